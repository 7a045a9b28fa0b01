"""Decodes photos in a process of its own, within limits of time and memory.

A photo that crashes the decoder, or makes it take too much, ends this process and nothing else.
"""

import io
import json
import logging
import os
import signal
import stat
import sys
import warnings
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

from PIL import Image

from bookcls.data.images import ImageError, fit_square, load_image

SECONDS = 5.0
"""Of CPU time for one photo."""
MEMORY = 2_000_000_000
"""Bytes for one photo."""


class PhotoInMemory(io.BytesIO):
    """A photo in memory, with what :func:`bookcls.data.images.load_image` uses of a path."""

    def open(self, _: str = "rb") -> io.BytesIO:
        """Another view from the beginning."""
        return io.BytesIO(self.getvalue())

    def stat(self) -> os.stat_result:
        """Says that this is a file, and its size."""
        return os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, len(self.getbuffer()), 0, 0, 0))


def load_photo(body: bytes, size: int) -> Image.Image:
    """Loads a photo from memory, as :func:`bookcls.data.images.load_image` does from a file.

    Args:
        body: The content of a photo's file.
        size: Side of the largest square that it will be fitted to.

    Raises:
        ImageError: If it cannot be used.
    """
    return load_image(cast(Path, PhotoInMemory(body)), size=size)


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
    except MemoryError:
        return {"error": "does not fit into memory"}, b""
    except Exception as error:
        return {"error": f"damaged ({type(error).__name__})"}, b""
    return {"size": image.size}, b"".join(squares)


def work(connection: Connection, seconds: float, memory: int) -> None:
    """Decodes photos until the other end closes: json and a photo in, json and pixels out.

    Nothing is pickled, so that a photo that takes over this process cannot take over the server.

    Args:
        connection: To the server.
        seconds: Of CPU time for one photo.
        memory: Bytes for one photo.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches every process of a terminal.
    # Pillow complains of what is odd in a photo; the terminal is not for visitors' photos.
    warnings.simplefilter("ignore")
    logging.disable()
    Image.init()
    limit_memory(memory)
    connection.send_bytes(b"ready")
    with suppress(EOFError, BrokenPipeError, ConnectionError):
        while True:
            asked = json.loads(connection.recv_bytes())
            body = connection.recv_bytes()
            connection.send_bytes(b"arrived")
            start_clock(seconds)
            about, pixels = decode(body, asked["fit"], asked["sides"])
            start_clock(0)
            connection.send_bytes(json.dumps(about).encode())
            connection.send_bytes(pixels)


def start_clock(seconds: float) -> None:
    """Ends this process after so much CPU time; 0 stops the clock. Windows has none."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)


def limit_memory(memory: int) -> None:
    """Limits the memory of this process beyond its present use, where the platform can."""
    if sys.platform == "win32":
        return
    import resource

    used, kind = 0, resource.RLIMIT_DATA
    with suppress(OSError):  # Linux
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        used, kind = pages * resource.getpagesize(), resource.RLIMIT_AS
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(kind, (used + memory,) * 2)
