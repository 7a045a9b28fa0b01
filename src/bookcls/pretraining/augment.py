"""Augmentation on the device, each image by draws of its own: colour, then erasing.

The renderer does light, blur, noise and rotation. Nothing is mirrored: mirrored print never occurs.
"""

import torch
from torch import Tensor

from bookcls.models.weights import MEAN, STD

_GREY = (0.299, 0.587, 0.114)


def uniform(rng: torch.Generator, shape: tuple[int, ...], low: float, high: float) -> Tensor:
    """float32 draws in [low, high) on the generator's device."""
    return torch.rand(shape, generator=rng, device=rng.device) * (high - low) + low


def jitter_colour(images: Tensor, rng: torch.Generator, strength: float) -> Tensor:
    """Brightness, contrast, saturation and white balance.

    Args:
        images: float32 (N, 3, H, W) in [0, 1].
        rng: On the device of ``images``.
        strength: 0 changes nothing; 1 up to a factor of 1.6 or 0.6.
    """
    draws = (uniform(rng, (6, len(images), 1, 1, 1), -0.5, 0.5) * strength).exp()
    grey = (images * images.new_tensor(_GREY).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    images = torch.lerp(grey, images, draws[0])
    mean = grey.mean(dim=(2, 3), keepdim=True)
    images = torch.lerp(mean, images, draws[1]) * draws[2]
    balance = draws[3:].transpose(0, 1)[..., 0, 0].pow(0.3)
    return (images * balance.view(-1, 3, 1, 1)).clamp(0, 1)


def erase(images: Tensor, rng: torch.Generator, probability: float) -> Tensor:
    """Random erasing (Zhong et al., arXiv 1708.04896): a rectangle becomes one grey or noise.

    Args:
        images: float32 (N, 3, H, W) in [0, 1].
        rng: On the device of ``images``.
        probability: Share of the images it is done to.
    """
    num, _, height, width = images.shape
    area, ratio, left, top, chance, grain = uniform(rng, (6, num), 0, 1)
    area, ratio = 0.02 + 0.2 * area, (2.4 * (ratio - 0.5)).exp()
    tall, wide = (area * ratio).sqrt().clamp(max=0.9), (area / ratio).sqrt().clamp(max=0.9)
    x = (torch.arange(width, device=images.device) + 0.5) / width
    y = (torch.arange(height, device=images.device) + 0.5) / height
    top, left = top * (1 - tall), left * (1 - wide)
    rows = (y >= top[:, None]) & (y < (top + tall)[:, None]) & (chance < probability)[:, None]
    cols = (x >= left[:, None]) & (x < (left + wide)[:, None])
    hole = (rows[:, :, None] & cols[:, None, :])[:, None]
    fill = uniform(rng, (num, 3, 1, 1), 0, 1)
    noise = torch.rand(images.shape, generator=rng, device=rng.device)
    fill = torch.where((grain < 0.3)[:, None, None, None], noise, fill)
    return torch.where(hole, fill, images)


def normalise(images: Tensor) -> Tensor:
    """RGB in [0, 1] to what the network takes, channels last."""
    mean = images.new_tensor(MEAN).view(1, 3, 1, 1)
    std = images.new_tensor(STD).view(1, 3, 1, 1)
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)
