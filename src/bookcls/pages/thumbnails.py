"""Small copies of photos, embedded in a page."""

import base64
import io
from pathlib import Path

from PIL import Image

from bookcls.data.images import ImageError, load_image

SIDE = 160
"""Long side in pixels."""


def thumbnail(root: Path, split: str, file: str) -> str | None:
    """A test photo as a data URL, upright and without metadata.

    Args:
        root: Folder of the dataset.
        split: Name of the test split.
        file: The photo's path below the split's folder.

    Returns:
        ``data:image/jpeg;base64,...``; None if the photo no longer exists, cannot be read, or is
        not below ``root``: a table of predictions may be a stranger's.
    """
    path = find_photo(root, split, file)
    return None if path is None else embed_photo(path)


def find_photo(root: Path, split: str, file: str) -> Path | None:
    """The path of a test photo, with links followed; None if it is not below ``root``.

    Args:
        root: Folder of the dataset.
        split: Name of the test split.
        file: The photo's path below the split's folder.
    """
    try:
        path = (root / ("test" if split == "test" else f"test_{split}") / file).resolve()
        inside = path.is_relative_to(root.resolve()) and ".." not in Path(file).parts
    except (OSError, ValueError, RuntimeError):
        return None
    return path if inside else None


def embed_photo(path: Path) -> str | None:
    """A photo as a data URL, upright and without metadata.

    Returns:
        ``data:image/jpeg;base64,...``; None if it does not exist or cannot be read.
    """
    image = load_small(path)
    return None if image is None else data_url(image)


def load_small(path: Path) -> Image.Image | None:
    """A photo of at most ``SIDE`` pixels, upright; None if it does not exist or is unreadable."""
    try:
        image = load_image(path, size=SIDE)
    except (ImageError, OSError, ValueError):
        return None
    image.thumbnail((SIDE, SIDE))
    return image


def data_url(image: Image.Image) -> str:
    """An RGB image as ``data:image/jpeg;base64,...``, without metadata."""
    image.info.clear()  # Pillow would save a comment that it has read.
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
