"""Small copies of photos that travel inside a page."""

import base64
import io
from pathlib import Path

from PIL import Image

from bookcls.data.images import ImageError, load_image

SIDE = 160
"""Long side in pixels."""


def thumbnail(root: Path, split: str, file: str) -> str | None:
    """A test photo as a data address, upright and without metadata.

    Args:
        root: Folder of the dataset.
        split: Name of the test split.
        file: The photo's path below the split's folder.

    Returns:
        ``data:image/jpeg;base64,...``; None if the photo is no longer there or cannot be read.
    """
    folder = root / ("test" if split == "test" else f"test_{split}")
    return embedded(folder / file)


def embedded(path: Path) -> str | None:
    """A photo as a data address, upright and without metadata.

    Returns:
        ``data:image/jpeg;base64,...``; None if it is not there or cannot be read.
    """
    image = small(path)
    return None if image is None else as_address(image)


def small(path: Path) -> Image.Image | None:
    """A photo of at most ``SIDE`` pixels, upright; None if it is not there or cannot be read."""
    try:
        image = load_image(path, size=SIDE)
    except (ImageError, OSError, ValueError):
        return None
    image.thumbnail((SIDE, SIDE))
    return image


def as_address(image: Image.Image) -> str:
    """An RGB image as ``data:image/jpeg;base64,...``, without metadata."""
    image.info.clear()  # Pillow writes a comment that it has read.
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
