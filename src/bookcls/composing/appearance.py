"""Size, lighting and background of composed scenes, and objects of no class."""

from functools import lru_cache

import cv2
import numpy as np

from bookcls.composing.cutout import apply_mask
from bookcls.synthetic import covers
from bookcls.synthetic.arrays import Bytes
from bookcls.synthetic.designs import design
from bookcls.synthetic.sampling import Size

NUM_UNKNOWN = 64
"""Number of rendered covers that serve as objects of no class."""

_UNKNOWN_BASE = 3_000_000_000


@lru_cache(maxsize=2)
def unknown_objects(height: int) -> tuple[Bytes, ...]:
    """Renders front covers of invented books, uint8 RGBA like cut-outs.

    Their sides are not rendered, since these would distinguish them from cut-outs.
    """
    fronts = (covers.render(design(_UNKNOWN_BASE + k), height) for k in range(NUM_UNKNOWN))
    return tuple(apply_mask(*_add_margin(front)) for front in fronts)


def _add_margin(front: Bytes) -> tuple[Bytes, Bytes]:
    """Adds a margin to a picture; returns it with a mask that excludes the margin."""
    mask = np.full(front.shape[:2], 255, np.uint8)
    wider = cv2.copyMakeBorder(front, 4, 4, 4, 4, cv2.BORDER_REPLICATE)
    return np.asarray(wider, np.uint8), np.pad(mask, 4)


def scene_size(picture: Bytes) -> Size:
    """Size of a cut-out in the scene, in book heights: the same area for all, as it is unknown."""
    height, width = picture.shape[:2]
    scale = 0.85 / float(np.sqrt(height * width))
    return width * scale, height * scale, 0.06


def relight(rng: np.random.Generator, picture: Bytes) -> Bytes:
    """Varies the lighting of a cut-out."""
    gain = np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.03, 3))
    levels = np.arange(256)[:, None] * np.append(gain, 1.0)
    table = np.clip(levels, 0, 255).astype(np.uint8)[None]
    return np.asarray(cv2.LUT(picture, table.transpose(1, 0, 2)), np.uint8)


def random_part(rng: np.random.Generator, picture: Bytes, height: int, width: int) -> Bytes:
    """Crops a background photo at about its resolution, randomly shifted, scaled and rotated."""
    rows, cols = picture.shape[:2]
    quarter = int(rng.integers(4))
    across, down = (cols, rows) if quarter % 2 == 0 else (rows, cols)
    scale = max(width / across, height / down) * float(rng.uniform(1.0, 1.6))
    angle = 90.0 * quarter + float(rng.uniform(-15, 15))
    warp = cv2.getRotationMatrix2D((cols / 2, rows / 2), angle, scale)
    for row, (extent, old) in enumerate(((width, cols), (height, rows))):
        warp[row, 2] += (extent - old) / 2 + float(rng.uniform(-0.15, 0.15)) * extent
    part = cv2.warpAffine(picture, warp, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(part, np.uint8)
