"""What a photo's file would cost to decode, found without decoding it.

A small file may ask for minutes of work or for gigabytes: thousands of scans, millions of empty
chunks, tiles of one pixel. :func:`check_container` walks over the parts of a file before Pillow
opens it, and refuses what no camera, scanner or editor writes.
"""

from typing import IO

from bookcls.data.containers.bmp import check_bmp
from bookcls.data.containers.gif import check_gif
from bookcls.data.containers.jpeg import check_jpeg
from bookcls.data.containers.png import check_png
from bookcls.data.containers.reading import ImageError, Reader
from bookcls.data.containers.tiff import check_tiff
from bookcls.data.containers.webp import check_webp

__all__ = ["ImageError", "check_container"]

CHECKS = {
    b"\xff\xd8\xff": check_jpeg,
    b"\x89PNG\r\n\x1a\n": check_png,
    b"GIF8": check_gif,
    b"RIFF": check_webp,
    b"BM": check_bmp,
    b"II": check_tiff,
    b"MM": check_tiff,
}
"""The check of each format, by how its files begin; others are not checked."""


def check_container(file: IO[bytes], size: int | None = None) -> None:
    """Checks that a photo can be decoded in little time and memory.

    Damaged files pass: Pillow says what is wrong with them.

    Args:
        file: The photo; its position is left as it was.
        size: See :func:`bookcls.data.images.load_image`.

    Raises:
        ImageError: What was found, what the limit is and what to do.
    """
    position = file.tell()
    try:
        reader = Reader(file)
        head = reader.read(0, 12)
        for prefix, check in CHECKS.items():
            if head.startswith(prefix):
                check(reader, size)
    finally:
        file.seek(position)
