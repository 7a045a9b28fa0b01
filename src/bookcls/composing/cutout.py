"""Cuts objects out of training photos, by the user's masks or corners, or automatically."""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from bookcls.composing.colours import rare_colours
from bookcls.composing.corners import corner_mask
from bookcls.composing.segment import SIDE, NoObjectError, find_object
from bookcls.data.images import ImageError, load_image
from bookcls.data.masks import find_mask, load_mask
from bookcls.data.progress import progress
from bookcls.data.samples import Sample
from bookcls.synthetic.arrays import Bytes, resize

MAX_PHOTOS = 200
"""Photos of a class that things are cut out of; more would only cost time and memory."""

MIN_PIXELS = 100
"""Smaller objects are of no use for training."""

MASK, BY_CORNERS, AUTOMATIC, WHOLE = "mask", "corners", "automatic", "whole"


@dataclass(frozen=True)
class Cutout:
    """The result for one training photo.

    Attributes:
        sample: The photo.
        aspect: Its width over its height.
        picture: uint8 RGBA (h, w, 4) around the thing; RGB of the whole photo if it shows no
            thing; None where none could be cut out.
        method: ``mask``, ``corners``, ``automatic`` or ``whole``; where none could be cut out, the
            reason.
    """

    sample: Sample
    aspect: float
    picture: Bytes | None
    method: str


@lru_cache(maxsize=8)
def make_cutouts(
    samples: tuple[Sample, ...], root: Path, num_classes: int, background: int | None, size: int
) -> tuple[Cutout, ...]:
    """Cuts the things out of training photos; cached, since trials of a search share folds.

    Args:
        samples: The photos; of each class at most ``MAX_PHOTOS``, spread over the class, are used.
        root: Folder of the dataset, which may hold masks or corners.csv.
        num_classes: Number of classes, which the masks' values go up to.
        background: Label of the class that shows no thing, or None.
        size: Side of the square that the network sees, in pixels.

    Raises:
        BookclsError: If a mask does not fit.
    """
    # The pool already uses all cores, and a forked worker that inherits OpenCV's thread pool
    # would wait for it forever.
    cv2.setNumThreads(0)
    cutouts: list[Cutout] = []
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")  # as in bookcls.data.photos.decode
        for label in progress(range(num_classes), "Cutting out"):
            own = _pick_evenly(samples, label)
            side = 2 * size if label == background else max(SIDE, 2 * size)
            photos = list(pool.map(lambda s, side=side: _read(s, side), own))
            if label == background:
                cutouts += photos
                continue
            read = [p for p in photos if p.picture is not None]
            rare = rare_colours([_shrink(p) for p in read])
            cutouts += [p for p in photos if p.picture is None]
            cutouts += pool.map(lambda p, r: cut_out(p, r, root, num_classes), read, rare)
    return tuple(cutouts)


def _pick_evenly(samples: Sequence[Sample], label: int) -> list[Sample]:
    own = [s for s in samples if s.label == label]
    return (
        own
        if len(own) <= MAX_PHOTOS
        else [own[i * len(own) // MAX_PHOTOS] for i in range(MAX_PHOTOS)]
    )


def _read(sample: Sample, side: int) -> Cutout:
    """Loads a whole photo, resized to a long side of ``side`` pixels."""
    try:
        photo = load_image(sample.path, size=side)
    except ImageError as error:
        return Cutout(sample, 1.0, None, str(error))
    scale = side / max(photo.size)
    size = (max(2, round(photo.width * scale)), max(2, round(photo.height * scale)))
    image = np.asarray(photo.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0))
    return Cutout(sample, photo.width / photo.height, image, WHOLE)


def _shrink(photo: Cutout) -> Bytes:
    """A whole photo as outlines are found in it, uint8 RGB, long side ``SIDE``."""
    assert photo.picture is not None
    height, width = photo.picture.shape[:2]
    scale = SIDE / max(height, width)
    return resize(photo.picture, max(2, round(height * scale)), max(2, round(width * scale)))


def cut_out(photo: Cutout, rare: npt.NDArray[np.bool_], root: Path, num_classes: int) -> Cutout:
    """Cuts the thing out of one photo.

    Args:
        photo: The whole photo.
        rare: See :func:`bookcls.composing.segment.find_object`.
        root: Folder of the dataset, which may hold masks or corners.csv.
        num_classes: Number of classes.

    Raises:
        BookclsError: If its mask or its corners do not fit.
    """
    sample = photo.sample
    assert photo.picture is not None
    path = find_mask(root, sample)
    drawn = corner_mask(root, sample, *photo.picture.shape[:2]) if path is None else None
    method = AUTOMATIC
    try:
        if path is not None:
            values = np.asarray(load_mask(path, sample.path, num_classes))
            mask = (values == sample.label + 1).astype(np.uint8) * np.uint8(255)
            method = MASK
        elif drawn is not None:
            mask, method = drawn, BY_CORNERS
        else:
            mask = find_object(_shrink(photo), rare) * np.uint8(255)
        picture = apply_mask(photo.picture, mask)
    except NoObjectError as error:
        return replace(photo, picture=None, method=str(error))
    return replace(photo, picture=picture, method=method)


def apply_mask(image: Bytes, mask: Bytes) -> Bytes:
    """Cuts out the part of a photo that a mask covers, with a soft edge.

    Args:
        image: uint8 RGB (H, W, 3).
        mask: uint8 (h, w) of the same aspect, 255 on the thing.

    Returns:
        uint8 RGBA around the thing. Pixels outside have the thing's own colours, so that no rim
        of the old ground shows when the picture is made smaller.

    Raises:
        NoObjectError: If the mask covers next to nothing.
    """
    height, width = image.shape[:2]
    soft = cv2.GaussianBlur(resize(mask, height, width), (0, 0), max(height, width) / 250)
    # A pixel inside the outline that was found: the ground's colours reach that far.
    alpha = np.clip((soft.astype(np.float32) - 127) * 2.5, 0, 255).astype(np.uint8)
    # Pixels at the very edge are a blend with the ground.
    inside = cv2.erode((alpha > 200).astype(np.uint8), np.ones((3, 3), np.uint8))
    if inside.sum() < MIN_PIXELS:
        raise NoObjectError("its mask shows next to nothing of its class")
    _, nearest = cv2.distanceTransformWithLabels(
        1 - inside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.zeros((int(nearest.max()) + 1, 3), np.uint8)
    colours[nearest[inside > 0]] = image[inside > 0]
    filled = np.where(inside[..., None] > 0, image, colours[nearest])
    x, y, across, down = cv2.boundingRect(alpha)
    part = (slice(y, y + down), slice(x, x + across))
    return np.ascontiguousarray(np.dstack([filled, alpha])[part])
