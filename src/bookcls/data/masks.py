"""Object masks, resized in the same way as photos."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from bookcls.data.images import DECODER_ERRORS, ImageError, find_transpose, open_image
from bookcls.data.samples import Sample
from bookcls.errors import BookclsError

UNKNOWN = 255
Mask = npt.NDArray[np.uint8]


def find_mask(root: Path, sample: Sample) -> Path | None:
    """Finds a photo's mask: ``masks/<split>/`` and the photo's name as a PNG, or None.

    Args:
        root: Folder of the dataset.
        sample: A photo of one of its splits; one in a class folder may have its mask in
            ``masks/<split>/`` itself.
    """
    name = Path(sample.name).with_suffix(".png")
    split = sample.path.parents[len(name.parts) - 1]
    if split.parent.resolve() != root.resolve():
        return None
    for path in (root / "masks" / split.name / name, root / "masks" / split.name / name.name):
        if path.is_file():
            return path
    return None


def load_mask(path: Path, photo: Path, num_classes: int) -> Image.Image:
    """Loads a mask and applies the EXIF orientation of its photo.

    A mask has the size of the photo as stored, before the EXIF orientation is applied.

    Args:
        path: 8-bit PNG: 0 is background, k is the class with index k - 1, 255 is an object of no
            class.
        photo: The photo, which contains the EXIF orientation.
        num_classes: Number of classes.

    Returns:
        A greyscale image, oriented like the photo.

    Raises:
        BookclsError: If it cannot be read, or does not match its photo or the classes.
    """
    try:
        with open_image(photo) as image:
            stored, turn = image.size, find_transpose(image)
        with open_image(path) as image:
            if image.mode not in ("L", "P"):
                raise BookclsError(
                    f"{path}: a mask must be an 8-bit grey PNG, but this is {image.mode}."
                )
            mask = Image.fromarray(np.asarray(image))
    except (ImageError, *DECODER_ERRORS) as error:
        raise BookclsError(f"{path}: this mask cannot be read ({error}).") from error
    if mask.size != stored:
        raise BookclsError(
            f"{path} has {mask.size[0]}x{mask.size[1]} pixels, but its photo has "
            f"{stored[0]}x{stored[1]}: a mask must have the size of its photo as stored."
        )
    found = {value for value, count in enumerate(mask.histogram()) if count}
    values = found - set(range(num_classes + 1)) - {UNKNOWN}
    if values:
        raise BookclsError(
            f"{path} contains the value {min(values)}: allowed are 0 (nothing), 1 to {num_classes} "
            f"(the classes in sorted order) and {UNKNOWN} (an object of no class)."
        )
    return mask if turn is None else mask.transpose(turn)


def fit_mask(mask: Image.Image, size: int, fit: str) -> Mask:
    """Resizes a mask to the input square, like :func:`bookcls.data.images.fit_square`.

    Args:
        mask: A greyscale image.
        size: Side of the square in pixels.
        fit: ``letterbox`` or ``squash``.

    Returns:
        uint8 (size, size), values as in the file; padding is 0.
    """
    if fit == "squash":
        return np.asarray(mask.resize((size, size), Image.Resampling.NEAREST))
    scale = size / max(mask.size)
    width, height = (max(1, round(side * scale)) for side in mask.size)
    square = Image.new("L", (size, size), 0)
    small = mask.resize((width, height), Image.Resampling.NEAREST)
    square.paste(small, ((size - width) // 2, (size - height) // 2))
    return np.asarray(square)
