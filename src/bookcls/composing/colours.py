"""Colours that a photo shares with the others of its class, and those that only it shows."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from bookcls.synthetic.arrays import Bytes, Floats

MIN_PHOTOS = 4
"""Fewer photos of a class do not tell which colours are its thing's."""

RARE = 0.4
"""A colour in less than this share of the other photos of a class is not its thing's."""

_BINS = (4, 16, 16)
_MIN_MASS = 0.002
_SMALL = 0.1


def rare_colours(images: Sequence[Bytes]) -> list[npt.NDArray[np.bool_]]:
    """Where photos of one class show colours that few others of it show: not its thing, then.

    Args:
        images: uint8 RGB (H, W, 3), of any sizes.

    Returns:
        For each (H, W); nowhere, if there are fewer than ``MIN_PHOTOS`` photos.
    """
    if len(images) < MIN_PHOTOS:
        return [np.zeros(image.shape[:2], bool) for image in images]
    indices = [_bins(image) for image in images]
    shown = np.stack([_histogram(index) > _MIN_MASS for index in indices])
    total = shown.sum(axis=0)
    found = []
    # Print and other small parts are rare in any photo, and the thing's all the same.
    width = round(_SMALL * max(images[0].shape)) | 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    for own, index in zip(shown, indices, strict=True):
        share = ((total - own) / (len(images) - 1)).astype(np.float32)
        rare = (cv2.GaussianBlur(share[index], (0, 0), 2) < RARE).astype(np.uint8)
        found.append(np.asarray(cv2.morphologyEx(rare, cv2.MORPH_OPEN, disk), bool))
    return found


def _bins(image: Bytes) -> npt.NDArray[np.intp]:
    """The number of each pixel's colour, coarse in lightness, finer in hue."""
    lab = cv2.cvtColor(cv2.GaussianBlur(image, (0, 0), 1.0), cv2.COLOR_RGB2LAB).astype(np.float32)
    # Most colours lie in the middle half of a and b.
    parts = lab[..., 0] / 256, (lab[..., 1] - 64) / 128, (lab[..., 2] - 64) / 128
    levels = [
        np.clip(part * num, 0, num - 1).astype(np.intp)
        for part, num in zip(parts, _BINS, strict=True)
    ]
    return np.asarray((levels[0] * _BINS[1] + levels[1]) * _BINS[2] + levels[2], np.intp)


def _histogram(index: npt.NDArray[np.intp]) -> Floats:
    """Share of the pixels of each colour, near ones counted in part."""
    counts = np.bincount(index.ravel(), minlength=int(np.prod(_BINS))) / index.size
    grid = np.pad(counts.reshape(_BINS).astype(np.float32), 1)
    for axis in range(3):
        grid = 0.5 * grid + 0.25 * (np.roll(grid, 1, axis) + np.roll(grid, -1, axis))
    return np.asarray(grid[1:-1, 1:-1, 1:-1].ravel(), np.float32)
