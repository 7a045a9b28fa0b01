"""Segments the object in a photo: GrabCut from two guesses, and checks of the result.

GrabCut (Rother et al. 2004) learns the colours of the thing and of the ground from a guess and cuts
along edges. A photo of one thing on one ground makes guessing easy; where it fails, it fails
visibly, so the checks can tell.
"""

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from bookcls.synthetic.arrays import Bytes, Floats

SIDE = 256
"""Long side in pixels at which outlines are found: some 0.1 s a photo."""

MIN_AREA, MAX_AREA = 0.02, 0.85
"""Share of the photo that a thing takes."""

MIN_FILL = 0.75
"""Area of a thing over that of its convex hull."""

MAX_RARE = 0.3
"""Share of a thing whose colours few other photos of its class show."""

MAX_BORDER = 0.2
"""Share of the photo's border that a thing may lie on; more was probably the ground."""

_NEAR = 0.45
"""What is at least so near the middle is the first guess: an ellipse of half the photo."""

_RING = 0.04
"""Width of the strip along the border that shows the ground, in long sides."""


Guess: TypeAlias = npt.NDArray[np.bool_]


class NoObjectError(Exception):
    """Nothing could be cut out; the message says why."""


def find_object(image: Bytes, rare: Guess | None = None) -> Bytes:
    """Outlines the one thing that a photo shows.

    Args:
        image: uint8 RGB (H, W, 3), long side about ``SIDE``.
        rare: bool (H, W), True on colours that are not the thing's, as far as is known.

    Returns:
        uint8 (H, W), 1 on the thing.

    Raises:
        NoObjectError: If no outline passes the checks.
    """
    middle = _centre_weights(image.shape[0], image.shape[1])
    rare = np.zeros(image.shape[:2], bool) if rare is None else rare
    reasons = []
    # The middle first: a contrast finds a coloured part where the rest is as pale as the ground.
    for guess in (_guess_centre, _guess_contrast):
        try:
            mask = _clean(_grab_cut(image, guess(image, middle), rare), middle)
            _check(mask, rare)
            return mask
        except NoObjectError as error:
            reasons.append(str(error))
    raise NoObjectError(reasons[0])


def _centre_weights(height: int, width: int) -> Floats:
    """Weights of the pixels: 1 in the middle, about 0 at the border."""
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)
    return np.asarray(np.exp(-1.2 * (x**2 + y**2)), np.float32)


def _guess_centre(image: Bytes, middle: Floats) -> Guess:
    """The middle of the photo, whatever its colours."""
    return middle > _NEAR


def _guess_contrast(image: Bytes, middle: Floats) -> Guess:
    """Pixels near the middle that differ from the ground, which is visible along the border."""
    lab = cv2.cvtColor(cv2.GaussianBlur(image, (0, 0), 1.5), cv2.COLOR_RGB2LAB).astype(np.float32)
    lab[..., 0] *= 0.6  # Light falls unevenly on one ground.
    ring = np.ones(image.shape[:2], bool)
    width = max(2, round(_RING * max(image.shape)))
    ring[width:-width, width:-width] = False
    cv2.setRNGSeed(0)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 10, 1.0)
    number = np.empty((0, 1), np.int32)
    _, _, centres = cv2.kmeans(lab[ring], 4, number, stop, 1, cv2.KMEANS_PP_CENTERS)
    away = np.linalg.norm(lab[:, :, None] - centres, axis=-1).min(axis=-1)
    contrast = cv2.GaussianBlur(away, (0, 0), 3) * middle
    # Otsu's threshold parts low values from high ones best.
    grey = (contrast * (255 / max(float(contrast.max()), 1e-6))).astype(np.uint8)
    _, guess = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return np.asarray(guess, bool)


def _grab_cut(image: Bytes, guess: Guess, rare: Guess) -> Bytes:
    mask = np.where(guess, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    mask[rare] = cv2.GC_BGD
    width = max(1, round(_RING / 3 * max(image.shape)))
    for strip in (mask[:width], mask[-width:], mask[:, :width], mask[:, -width:]):
        strip[:] = cv2.GC_BGD
    if not (mask == cv2.GC_PR_FGD).any():
        raise NoObjectError("nothing stands out from the ground")
    # Its mixtures begin with a random clustering.
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(image, mask, (0, 0, 1, 1), *models, 5, cv2.GC_INIT_WITH_MASK)
    return np.asarray(mask & 1, np.uint8)


def _clean(mask: Bytes, middle: Floats) -> Bytes:
    """Keeps the component with the largest central weight, without thin parts and holes."""
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, disk), np.uint8)
    num, parts = cv2.connectedComponents(mask)
    if num < 2:
        raise NoObjectError("nothing stands out from the ground")
    weights = np.bincount(parts.ravel(), middle.ravel())
    weights[0] = 0
    mask = (parts == weights.argmax()).astype(np.uint8)
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, disk), np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(mask, outlines, -1, 1, cv2.FILLED), np.uint8)


def _check(mask: Bytes, rare: Guess) -> None:
    area = float(mask.mean())
    if not MIN_AREA <= area <= MAX_AREA:
        raise NoObjectError(f"what stands out takes {area:.0%} of the photo")
    width = max(1, round(_RING / 3 * max(mask.shape))) + 1
    inner = mask[width:-width, width:-width]
    border = np.concatenate([inner[0], inner[-1], inner[:, 0], inner[:, -1]])
    if border.mean() > MAX_BORDER:
        raise NoObjectError("what stands out runs over the border of the photo")
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.convexHull(np.concatenate(outlines))
    fill = area * mask.size / max(cv2.contourArea(hull), 1.0)
    if fill < MIN_FILL:
        raise NoObjectError(f"its outline is ragged: it fills {fill:.0%} of its hull")
    if rare[mask > 0].mean() > MAX_RARE:
        raise NoObjectError("few other photos of its class show the colours of what stands out")
