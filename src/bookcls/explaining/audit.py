"""Classifies changed photos: with the evidence blurred, and with the objects removed."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bookcls.explaining.maps import Map

TOP = 0.2
"""Share of the image that is blurred."""
SURE = 0.5
"""Minimum probability for a prediction on the background alone to count as the same."""
MARGIN = 0.04
"""Margin around removed objects, as a share of the side, since shadows and edges reveal them."""
MIN_BACKGROUND = 0.02
"""Minimum share of background needed to fill in the rest."""
MIN_WEIGHT = 0.005
"""Minimum blurred weight of background at a pixel before it is filled in."""


@dataclass(frozen=True)
class Audit:
    """Predictions on changed photos; probabilities are those of the original prediction.

    Attributes:
        blurred_pred: Prediction with the strongest evidence blurred; None for an empty map.
        blurred_prob: Probability of the original prediction in that case.
        random_prob: The same with a random region of the same size blurred.
        background_pred: Prediction on the background alone; None without a mask or an object.
        background_prob: Probability of the original prediction in that case.
        same_on_background: Whether the prediction stays the same, with a probability of at least
            0.5, although all objects were removed, including the predicted one.
        without_pred: Prediction with only the predicted object removed; None if there is no such
            object.
        without_prob: Probability of the original prediction in that case.
        same_without: Whether the prediction is the same in that case; None if there is none.
    """

    blurred_pred: int | None = None
    blurred_prob: float | None = None
    random_prob: float | None = None
    background_pred: int | None = None
    background_prob: float | None = None
    same_on_background: bool = False
    without_pred: int | None = None
    without_prob: float | None = None
    same_without: bool | None = None


def blurred(image: Tensor, heat: Map) -> Tensor:
    """Blurs the part of an image where a map is strongest beyond recognition.

    Args:
        image: float32 (3, H, W), normalised, on the CPU.
        heat: A map of any size; it is resized to the image.

    Returns:
        float32 (3, H, W).
    """
    size = image.shape[-1]
    top = torch.from_numpy(rank_pixels(heat, size) > 1 - TOP)
    pixels = np.ascontiguousarray(image.numpy().transpose(1, 2, 0))
    soft = cv2.GaussianBlur(pixels, (0, 0), sigmaX=size / 8, borderType=cv2.BORDER_REFLECT)
    return torch.where(top, torch.from_numpy(soft.transpose(2, 0, 1).copy()), image)


def rank_pixels(heat: Map, size: int) -> Map:
    """Ranks pixels in (0, 1] at another size; ties are broken, so that any share can be cut off."""
    values = cv2.resize(heat, (size, size), interpolation=cv2.INTER_LINEAR)
    order = np.argsort(values, axis=None, kind="stable")
    ranks = np.empty(values.size, np.float32)
    ranks[order] = np.arange(1, values.size + 1, dtype=np.float32) / values.size
    return ranks.reshape(size, size)


def remove_objects(image: Tensor, mask: npt.NDArray[np.uint8] | None) -> Tensor | None:
    """Removes objects: fills in what a mask covers smoothly from its surroundings.

    Args:
        image: float32 (3, H, W), normalised, on the CPU.
        mask: uint8 (H, W), 0 where there is no object; None if there is no mask.

    Returns:
        float32 (3, H, W); None if there is no object, or hardly any background.
    """
    if mask is None or not mask.any():
        return None
    objects = (mask != 0).astype(np.uint8)
    kernel_size = 2 * max(1, round(MARGIN * mask.shape[0])) + 1
    dilated = cv2.dilate(objects, np.ones((kernel_size, kernel_size), np.uint8))
    kept = (1 - dilated).astype(np.float32)
    if kept.mean() < MIN_BACKGROUND:
        return None
    pixels = np.ascontiguousarray(image.numpy().transpose(1, 2, 0))
    missing = dilated.astype(bool)
    # Normalised convolution with increasing width: each pixel uses the nearest background.
    sigma = 1.0
    while missing.any():
        weight = cv2.GaussianBlur(kept, (0, 0), sigma)
        total = cv2.GaussianBlur(pixels * kept[..., None], (0, 0), sigma)
        ready = missing & (weight > MIN_WEIGHT)
        pixels[ready] = total[ready] / weight[ready][:, None]
        missing &= ~ready
        sigma *= 1.5
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def compare(
    k: int,
    *,
    blurred: Tensor | None,
    chance: Tensor | None,
    alone: Tensor | None,
    without: Tensor | None,
) -> Audit:
    """Compares the predictions on changed photos with the original one.

    Args:
        k: The original prediction.
        blurred: Probabilities (C,) with the top of the map blurred; None if not computed.
        chance: Probabilities (C,) with a random region of the same size blurred.
        alone: Probabilities (C,) for the background alone.
        without: Probabilities (C,) without the predicted object; None also if there is none.
    """

    def pred(probs: Tensor | None) -> int | None:
        return None if probs is None else int(probs.argmax())

    def prob(probs: Tensor | None) -> float | None:
        return None if probs is None else float(probs[k])

    same = pred(alone) == k and (prob(alone) or 0.0) >= SURE
    return Audit(
        blurred_pred=pred(blurred),
        blurred_prob=prob(blurred),
        random_prob=prob(chance),
        background_pred=pred(alone),
        background_prob=prob(alone),
        same_on_background=same and without is not None,
        without_pred=pred(without),
        without_prob=prob(without),
        same_without=None if without is None else pred(without) == k,
    )
