"""Reading parts of a photo's file, and limits on what it may cost."""

import os
import re
import struct
from typing import IO, Any

from bookcls.errors import BookclsError

MAX_PIXELS = 200_000_000
"""Larger images are refused: 200 megapixels is the largest phone sensor, 600 MB decoded."""
MAX_MEMORY = 2_050_000_000
"""Bytes that decoding may take. A progressive JPEG of 200 megapixels takes 2.0 GB: two bytes for
each coefficient, and four for each pixel."""
MAX_METADATA = 64 * 2**20
"""Bytes of EXIF, XMP, colour profiles and comments."""
MAX_JUNK = 100_000
"""Bytes between the parts of a file, which Pillow skips one by one."""
BLOCK = 2**20


class ImageError(BookclsError):
    """A file that cannot be used as a photo; the message does not repeat its path."""


class Reader:
    """Random access to a file.

    Attributes:
        size: Of the file, in bytes.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.size = file.seek(0, os.SEEK_END)

    def read(self, position: int, num_bytes: int) -> bytes:
        """The bytes from a position on, fewer at the end of the file."""
        if not 0 <= position < self.size:
            return b""
        self.file.seek(position)
        return self.file.read(min(num_bytes, self.size - position))

    def unpack(self, format: str, position: int) -> tuple[Any, ...] | None:
        """Numbers at a position, or None beyond the end of the file."""
        data = self.read(position, struct.calcsize(format))
        return struct.unpack(format, data) if len(data) == struct.calcsize(format) else None

    def find(self, pattern: re.Pattern[bytes], position: int) -> int:
        """The position of the next match of a pattern of two bytes, or the size of the file."""
        while position < self.size:
            block = self.read(position, BLOCK)
            if found := pattern.search(block):
                return position + found.start()
            position += max(1, len(block) - 1)  # A match may begin with the last byte.
        return self.size


def check_count(what: str, count: int, most: int) -> None:
    """Refuses more parts than a limit.

    Raises:
        ImageError: If there are more.
    """
    if count > most:
        raise ImageError(
            f"more than {most:,} {what}, which no camera writes: open it in an image editor and "
            "save it again as JPEG"
        )


def check_metadata(num_bytes: int, most: int = MAX_METADATA, what: str = "metadata") -> None:
    """Refuses more metadata than a limit.

    Raises:
        ImageError: If there is more.
    """
    if num_bytes > most:
        raise ImageError(
            f"{num_bytes / 2**20:.1f} MB of {what}; the limit is {most / 2**20:g} MB: save it "
            "again as JPEG, without metadata"
        )


def check_pixels(width: int, height: int, most: int = MAX_PIXELS, kind: str = "") -> None:
    """Refuses an image with more pixels than a limit.

    Raises:
        ImageError: If it has more.
    """
    if width * height > most:
        raise ImageError(
            f"{width}x{height} pixels; the limit {kind and f'for {kind} '}is {most // 10**6} "
            f"megapixels: save it {'again as JPEG or ' if kind else ''}at a smaller size"
        )


def check_memory(num_bytes: float) -> None:
    """Refuses an image whose decoding takes too much memory.

    Raises:
        ImageError: If it takes more than ``MAX_MEMORY``.
    """
    if num_bytes > MAX_MEMORY:
        raise ImageError(
            f"decoding it takes {num_bytes / 1e9:.1f} GB of memory; the limit is "
            f"{MAX_MEMORY // 10**9} GB: save it as JPEG at a smaller size"
        )


def check_work(num_bytes: float, most: int, what: str) -> None:
    """Refuses an image whose decoding takes too long.

    Raises:
        ImageError: If there is more to do than a limit.
    """
    if num_bytes > most:
        raise ImageError(
            f"{num_bytes / 1e6:,.0f} million {what} to decode; the limit is "
            f"{most / 1e6:,.0f} million: save it again as a baseline JPEG"
        )
