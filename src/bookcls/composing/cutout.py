"""Things cut out of training photos, by the user's masks or else automatically."""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from bookcls.composing.segment import SIDE, NoObjectError, find_object
from bookcls.explaining.masks import find_mask, load_mask
from bookcls.images import ImageError, load_image
from bookcls.samples import Sample
from bookcls.synthetic.arrays import Bytes, resize

MOST = 200
"""Photos of a class that things are cut out of; more would only cost time and memory."""

MIN_PIXELS = 100
"""A thing that is smaller in its photo teaches nothing."""

MASK, AUTOMATIC = "mask", "automatic"


@dataclass(frozen=True)
class Cutout:
    """What was made of a training photo.

    Attributes:
        sample: The photo.
        aspect: Its width over its height.
        picture: uint8 RGBA (h, w, 4) around the thing; RGB of the whole photo if it shows no
            thing; None where none could be cut out.
        how: ``mask`` or ``automatic``; where none could be cut out, the reason.
    """

    sample: Sample
    aspect: float
    picture: Bytes | None
    how: str


def cut_all(
    samples: Sequence[Sample], root: Path, num_classes: int, background: int | None, size: int
) -> list[Cutout]:
    """Cuts the things out of training photos, in threads, with a progress bar on a terminal.

    Args:
        samples: The photos; of each class at most ``MOST``, spread over the class, are used.
        root: Folder of the dataset, which may hold masks.
        num_classes: Number of classes, which the masks' values go up to.
        background: Label of the class that shows no thing, or None.
        size: Side of the square that the network sees, in pixels.

    Raises:
        BookclsError: If a mask does not fit.
    """
    chosen = [s for label in range(num_classes) for s in _spread(samples, label)]

    def one(sample: Sample) -> Cutout:
        return cut(sample, root, num_classes, empty=sample.label == background, size=size)

    console = Console(stderr=True)
    # Photos side by side already take all cores; and a forked worker that inherits OpenCV's pool
    # of threads waits for them forever.
    cv2.setNumThreads(0)
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")  # as in bookcls.photos.decode
        return list(
            track(
                pool.map(one, chosen),
                description="Cutting out",
                total=len(chosen),
                transient=True,
                console=console,
                disable=not console.is_terminal,
            )
        )


def _spread(samples: Sequence[Sample], label: int) -> list[Sample]:
    own = [s for s in samples if s.label == label]
    return own if len(own) <= MOST else [own[i * len(own) // MOST] for i in range(MOST)]


@lru_cache(maxsize=2000)
def cut(sample: Sample, root: Path, num_classes: int, *, empty: bool, size: int) -> Cutout:
    """Cuts the thing out of one photo; remembered, since folds of a search share photos.

    Args:
        sample: The photo.
        root: See :func:`cut_all`, as ``num_classes`` and ``size``.
        num_classes: Number of classes.
        empty: Whether it shows no thing; then it is only brought to size.
        size: Side of the network's square.
    """
    side = 2 * size if empty else max(SIDE, 2 * size)
    try:
        photo = load_image(sample.path, size=side)
    except ImageError as error:
        return Cutout(sample, 1.0, None, str(error))
    aspect = photo.width / photo.height
    image = _sized(photo, side)
    if empty:
        return Cutout(sample, aspect, image, AUTOMATIC)
    mask_path = find_mask(root, sample)
    try:
        if mask_path is None:
            how = AUTOMATIC
            small = _sized(photo, SIDE)
            mask = find_object(small) * np.uint8(255)
        else:
            how = MASK
            values = np.asarray(load_mask(mask_path, sample.path, num_classes))
            mask = (values == sample.label + 1).astype(np.uint8) * np.uint8(255)
        return Cutout(sample, aspect, lifted(image, mask), how)
    except NoObjectError as error:
        return Cutout(sample, aspect, None, str(error))


def _sized(photo: Image.Image, side: int) -> Bytes:
    """A photo with a long side of so many pixels, uint8 RGB (H, W, 3)."""
    scale = side / max(photo.size)
    size = (max(2, round(photo.width * scale)), max(2, round(photo.height * scale)))
    return np.asarray(photo.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0))


def lifted(image: Bytes, mask: Bytes) -> Bytes:
    """The part of a photo that a mask covers, with a soft edge.

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
    inside = (alpha > 200).astype(np.uint8)
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
