"""Which files are opened at all: those kinds of images that the loader promises to read."""

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from bookcls.images import DECODER_ERRORS, ImageError, is_heic

KINDS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
"""Pillow would try some forty more, one of which hands the file to another program (EPS)."""


def refuse_other_kinds(path: Path) -> None:
    """Lets only those kinds of images pass that the loader promises to read.

    Raises:
        ImageError: For any other file. What else is wrong with an image, the loader says.
    """
    try:
        if path.stat().st_size == 0 or is_heic(path):
            return
        Image.open(path, formats=KINDS).close()
    except UnidentifiedImageError as error:
        raise ImageError(
            "not a photo; JPEG, PNG, WebP, BMP, TIFF and, with pillow-heif, HEIC are read"
        ) from error
    except DECODER_ERRORS:
        return
