"""Conversion of any image to 8-bit RGB.

It works in bands: copies of all pixels, in float64 or with transparency, would take gigabytes.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

from bookcls.data.containers.reading import ImageError

BAND = 4_000_000
"""Pixels of a band; a smaller image is converted at once."""


def convert_to_rgb(image: Image.Image) -> Image.Image:
    """Converts any Pillow mode to 8-bit RGB without clipping; transparency is laid on white.

    Raises:
        ImageError: If its values are not those of a photo.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return _convert_numbers(image)
    if image.mode not in ("LA", "PA", "La", "RGBA", "RGBa") and "transparency" not in image.info:
        return image.convert("RGB")
    result = Image.new("RGB", image.size)
    for top, band in _cut_bands(image):
        band = band.convert("RGBA")
        white = Image.new("RGBA", band.size, "white")
        result.paste(Image.alpha_composite(white, band).convert("RGB"), (0, top))
    return result


def _convert_numbers(image: Image.Image) -> Image.Image:
    """Converts grey values of 16 bits, of 32 bits or in floating point."""
    if image.mode == "F":
        # Floating-point TIFFs hold 0..1 by convention.
        scale = 255.0
    else:
        # Pillow opens 16-bit files as I;16 or, in older versions, as 32-bit I.
        deep = image.mode != "I" or any((values > 255).any() for _, values in _cut_arrays(image))
        scale = 255.0 / 65535.0 if deep else 1.0
    result = Image.new("RGB", image.size)
    for top, values in _cut_arrays(image):
        if not np.isfinite(values).all() or values.min() < 0 or values.max() * scale > 255.5:
            raise ImageError(f"grey values outside 0 to {255 / scale:g}")
        grey = Image.fromarray(np.rint(values * scale).astype(np.uint8))
        result.paste(grey.convert("RGB"), (0, top))
    return result


def _cut_bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Cuts an image into bands, each with the row at which it begins."""
    width, height = image.size
    rows = max(1, BAND // max(width, 1))
    if rows >= height:
        yield 0, image
        return
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(top + rows, height)))


def _cut_arrays(image: Image.Image) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """Cuts an image into bands of numbers, each with the row at which it begins."""
    for top, band in _cut_bands(image):
        yield top, np.asarray(band, dtype=np.float64)
