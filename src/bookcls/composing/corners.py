"""corners.csv: the outlines of things in training photos, given by the user as a few points."""

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from bookcls.data.images import DECODER_ERRORS, find_transpose, open_image
from bookcls.data.samples import Sample
from bookcls.errors import BookclsError
from bookcls.storage.files import read_csv, unescape_field
from bookcls.synthetic.arrays import Bytes

CORNERS = "corners.csv"
COLUMNS = ["file", "corners"]
MAX_OUTSIDE = 0.05
"""How far outside the photo a corner may be, as a share of the long side."""

Points = npt.NDArray[np.float64]


@lru_cache(maxsize=8)
def read_corners(root: Path) -> Mapping[str, Points]:
    """Photo, as ``train/<class>/<file>``, -> its corners, float64 (N, 2), x and y in pixels.

    Args:
        root: Folder of the dataset; without a ``corners.csv`` in it no photo has any.

    Raises:
        BookclsError: Listing every row that cannot be used.
    """
    path = root / CORNERS
    if not path.is_file():
        return {}
    try:
        rows = read_csv(path, COLUMNS)
    except BookclsError as error:
        raise BookclsError(f"{path}: {error}.") from error
    found: dict[str, Points] = {}
    problems = []
    for number, row in rows:
        name, text = (unescape_field((row[key] or "").strip()) for key in COLUMNS)
        numbers = [n for n in re.split(r"[\s,;]+", text) if n]
        try:
            points = np.array(numbers, np.float64).reshape(-1, 2)
        except ValueError:
            points = np.empty((0, 2))
        if None in row or len(points) < 3 or not np.isfinite(points).all():
            problems.append(f"line {number}: corners are x y of at least three points, not {text}")
        elif not name.startswith("train/") or not (root / name).is_file():
            problems.append(f"line {number}: there is no training photo {name}")
        elif name in found:
            problems.append(f"line {number}: {name} is already in an earlier line")
        found[name] = points
    if problems:
        raise BookclsError(f"{path} cannot be used as it is:\n  - " + "\n  - ".join(problems))
    return found


def corner_mask(root: Path, sample: Sample, height: int, width: int) -> Bytes | None:
    """A mask of what lies within a photo's corners.

    Args:
        root: Folder of the dataset.
        sample: A training photo.
        height: Of the mask, a smaller version of the upright photo.
        width: Of the mask.

    Returns:
        uint8 (height, width), 255 on the thing; None if the photo has no corners.

    Raises:
        BookclsError: If ``corners.csv`` cannot be used, or corners are outside their photo.
    """
    points = read_corners(root).get(f"train/{sample.name}")
    if points is None:
        return None
    try:
        with open_image(sample.path) as image:
            size, turn = image.size, find_transpose(image)
    except DECODER_ERRORS as error:
        raise BookclsError(f"{sample.path} cannot be read ({error}).") from error
    # Methods 2, 4, 5 and 6 of Pillow lay a photo on its side.
    across, down = size[::-1] if turn is not None and int(turn) in (2, 4, 5, 6) else size
    slack = MAX_OUTSIDE * max(size)
    if (points < -slack).any() or (points > np.array([across, down]) + slack).any():
        raise BookclsError(
            f"{root / CORNERS}: corners of train/{sample.name} are outside the photo, which has "
            f"{across}x{down} pixels."
        )
    scaled = points * np.array([width / across, height / down])
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round(scaled).astype(np.int32)], 255)
    return mask
