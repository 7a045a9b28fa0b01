"""Decodes photos in a process of its own, within limits of time and memory.

A photo that crashes the decoder, or makes it take too much, ends this process and nothing else.
"""

import io
import json
import math
import signal
import sys
import warnings
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from bookcls.data.images import (
    DECODER_ERRORS,
    FORMATS,
    HEIC_ADVICE,
    HEIC_BRANDS,
    MAX_PIXELS,
    ImageError,
    convert_image,
    fit_square,
    register_heic,
)

SECONDS = 5.0
"""Of CPU time for one photo."""
MEMORY = 2_000_000_000
"""Bytes for one photo."""


def load_photo(body: bytes, size: int) -> Image.Image:
    """Loads a photo from memory, as :func:`bookcls.data.images.load_image` does from a file.

    Args:
        body: The content of a photo's file.
        size: Side of the largest square that it will be fitted to.

    Raises:
        ImageError: If it cannot be used.
    """
    if not body:
        raise ImageError("empty file (0 bytes)")
    with open_photo(body) as image:
        if image.format in ("JPEG", "MPO") and math.prod(image.size) <= MAX_PIXELS:
            image.draft(None, (2 * size, 2 * size))
        return convert_image(image)


def open_photo(body: bytes) -> Image.Image:
    """Opens a photo and reads its header.

    Raises:
        ImageError: If it is none.
    """
    try:
        return Image.open(io.BytesIO(body), formats=FORMATS)
    except UnidentifiedImageError as error:
        if body[4:8] != b"ftyp" or body[8:12] not in HEIC_BRANDS:
            raise ImageError("not an image") from error
        if not register_heic():
            raise ImageError(HEIC_ADVICE) from error
    except DECODER_ERRORS as error:
        raise ImageError(describe(error)) from error
    try:
        return Image.open(io.BytesIO(body), formats=("HEIF",))
    except UnidentifiedImageError as error:
        raise ImageError("damaged") from error
    except DECODER_ERRORS as error:
        raise ImageError(describe(error)) from error


def describe(error: BaseException) -> str:
    """Describes briefly why a photo could not be opened, as ``load_image`` does."""
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    if "truncated" in str(error).lower():
        return "truncated"
    return f"damaged ({' '.join(str(error).split())[:80] or type(error).__name__})"


def decode(body: bytes, fit: str, sides: list[int]) -> tuple[dict[str, Any], bytes]:
    """Decodes a photo to squares.

    Args:
        body: The content of its file.
        fit: See :func:`bookcls.data.images.fit_square`.
        sides: Of the squares, in pixels.

    Returns:
        What json can express: ``size``, or ``error``; and the pixels, one square after another.
    """
    try:
        image = load_photo(body, max(sides))
        squares = [fit_square(image, side, fit).tobytes() for side in sides]
    except ImageError as error:
        return {"error": str(error)}, b""
    except Exception as error:
        return {"error": describe(error)}, b""
    return {"size": image.size}, b"".join(squares)


def work(connection: Connection) -> None:
    """Decodes photos until the other end closes: json and a photo in, json and pixels out.

    Nothing is pickled, so that a photo that takes over this process cannot take over the server.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches every process of a terminal.
    warnings.simplefilter("ignore")  # Pillow warns about broken EXIF; only the EXIF is lost.
    Image.init()
    limit_memory()
    connection.send_bytes(b"ready")
    with suppress(EOFError, BrokenPipeError, ConnectionError):
        while True:
            asked = json.loads(connection.recv_bytes())
            body = connection.recv_bytes()
            connection.send_bytes(b"arrived")
            start_clock(SECONDS)
            about, pixels = decode(body, asked["fit"], asked["sides"])
            start_clock(0)
            connection.send_bytes(json.dumps(about).encode())
            connection.send_bytes(pixels)


def start_clock(seconds: float) -> None:
    """Ends this process after so much CPU time; 0 stops the clock. Windows has none."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)


def limit_memory() -> None:
    """Limits the memory of this process, where the platform can."""
    if sys.platform == "win32":
        return
    import resource

    used, kind = 0, resource.RLIMIT_DATA
    with suppress(OSError):  # Linux
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        used, kind = pages * resource.getpagesize(), resource.RLIMIT_AS
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(kind, (used + MEMORY,) * 2)
