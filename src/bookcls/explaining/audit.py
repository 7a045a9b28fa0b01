"""Asks again: with the evidence blurred out, and with the background alone."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bookcls.explaining.maps import Map

TOP = 0.2
"""Share of the square that is blurred."""
SURE = 0.5
"""An answer to the background alone counts as the same only with at least this probability."""
MARGIN = 0.04
"""Objects are taken out with a margin, a share of the side: their shadows and edges tell, too."""
LEFT = 0.02
"""Share of the square that must remain to fill the rest from."""
REACHED = 0.005
"""A pixel is filled once so much of what a blur gathers there is background."""


@dataclass(frozen=True)
class Audit:
    """What the model said to changed photos; probabilities are those of its first answer.

    Attributes:
        blurred_pred: Answer with the strongest evidence blurred out, or None for an empty map.
        blurred_prob: Probability of the first answer then.
        random_prob: The same with as large a random part blurred.
        background_pred: Answer to the background alone; None without a mask or an object.
        background_prob: Probability of the first answer then.
        same_on_background: Whether the model gives the same answer, and is more than half sure,
            though the object that it named has been taken out with all others.
        without_pred: Answer with only the object taken out that the first answer names; None
            where there is none.
        without_prob: Probability of the first answer then.
        same_without: Whether the answer is the same then; None where there is none.
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
    """The image with the top of a map blurred beyond recognition.

    Args:
        image: float32 (3, H, W), normalised, on the CPU.
        heat: Any map; it is brought to the image's size.

    Returns:
        float32 (3, H, W).
    """
    size = image.shape[-1]
    top = torch.from_numpy(ranked(heat, size) > 1 - TOP)
    pixels = np.ascontiguousarray(image.numpy().transpose(1, 2, 0))
    soft = cv2.GaussianBlur(pixels, (0, 0), sigmaX=size / 8, borderType=cv2.BORDER_REFLECT)
    return torch.where(top, torch.from_numpy(soft.transpose(2, 0, 1).copy()), image)


def ranked(heat: Map, size: int) -> Map:
    """Each pixel's place in (0, 1] at another size; of equal values any share can be cut off."""
    values = cv2.resize(heat, (size, size), interpolation=cv2.INTER_LINEAR)
    order = np.argsort(values, axis=None, kind="stable")
    ranks = np.empty(values.size, np.float32)
    ranks[order] = np.arange(1, values.size + 1, dtype=np.float32) / values.size
    return ranks.reshape(size, size)


def without_objects(image: Tensor, mask: npt.NDArray[np.uint8] | None) -> Tensor | None:
    """The background alone: what a mask covers is filled in smoothly from around it.

    Args:
        image: float32 (3, H, W), normalised, on the CPU.
        mask: uint8 (H, W), 0 where there is no object; None where nothing is known.

    Returns:
        float32 (3, H, W); None where there is no object, or nothing but objects.
    """
    if mask is None or not mask.any():
        return None
    objects = (mask != 0).astype(np.uint8)
    reach = 2 * max(1, round(MARGIN * mask.shape[0])) + 1
    grown = cv2.dilate(objects, np.ones((reach, reach), np.uint8))
    kept = (1 - grown).astype(np.float32)
    if kept.mean() < LEFT:
        return None
    pixels = np.ascontiguousarray(image.numpy().transpose(1, 2, 0))
    todo = grown.astype(bool)
    # Normalised convolution, ever wider: each pixel takes the nearest surroundings in reach.
    sigma = 1.0
    while todo.any():
        weight = cv2.GaussianBlur(kept, (0, 0), sigma)
        total = cv2.GaussianBlur(pixels * kept[..., None], (0, 0), sigma)
        ready = todo & (weight > REACHED)
        pixels[ready] = total[ready] / weight[ready][:, None]
        todo &= ~ready
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
    """Lays the answers to changed photos beside the first one.

    Args:
        k: The first answer.
        blurred: Probabilities (C,) with the top of the map blurred, None where nothing was asked.
        chance: With as large a random part blurred.
        alone: For the background alone.
        without: Without the object that the answer names; None also where there is none.
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
