"""Light and camera for a batch of clean pictures."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from bookcls.pretraining.augment import uniform


def expose(rng: torch.Generator, canvas: Tensor) -> Tensor:
    """Gradient and glare, exposure, colour cast, gamma, haze, blur and noise, as photos have them.

    Args:
        rng: On the device of ``canvas``.
        canvas: float32 (N, 3, S, S), about 0 to 1.

    Returns:
        float32 (N, 3, S, S) in [0, 1].
    """
    num, _, side, _ = canvas.shape
    dice = uniform(rng, (9, num, 1, 1), 0, 1)
    x = torch.arange(side, device=canvas.device) / side - 0.5
    angle = 2 * math.pi * dice[0]
    field = 1 + 0.5 * dice[1] ** 2 * (x * angle.cos() + x[:, None] * angle.sin()) * 2
    away = (x - (dice[2] - 0.5)) ** 2 + (x[:, None] - (dice[3] - 0.5)) ** 2
    glare = (dice[4] - 0.75).clamp(min=0) * 2.4 * torch.exp(-away / 0.03)
    warm = 0.3 * (dice[5] - 0.35)
    cast = torch.stack([1 + warm, torch.ones_like(warm), 1 - 1.2 * warm], 1)
    exposure = ((dice[6] - 0.6) * 0.7).exp()
    canvas = canvas * (field * exposure)[:, None] * cast + 0.4 * glare[:, None]
    canvas = blurred(canvas, dice[7])
    gamma = uniform(rng, (num, 1, 1, 1), -0.35, 0.35).exp()
    haze = 0.08 * dice[8, :, None]
    canvas = canvas.clamp(1e-4, 1).pow(gamma) * (1 - haze) + 0.6 * haze
    grain = torch.randn(canvas.shape, generator=rng, device=rng.device)
    noise = uniform(rng, (num, 1, 1, 1), 0.003, 0.025)
    return (canvas + noise * grain).clamp(0, 1)


def blurred(canvas: Tensor, dice: Tensor) -> Tensor:
    """Blurs some pictures: mixes of the sharp one and two fixed Gaussians.

    Args:
        canvas: float32 (N, 3, S, S).
        dice: (N, 1, 1) in [0, 1): sharp below 0.5, the blurrier the higher above.
    """
    side = canvas.shape[-1]
    soft = _gauss(canvas, side / 150)
    softer = _gauss(soft, side / 60)
    dice = dice[:, None]
    canvas = torch.lerp(canvas, soft, ((dice - 0.4) / 0.4).clamp(0, 1))
    return torch.lerp(canvas, softer, ((dice - 0.85) / 0.3).clamp(0, 1))


def _gauss(canvas: Tensor, sigma: float) -> Tensor:
    reach = max(1, math.ceil(2 * sigma))
    places = torch.arange(-reach, reach + 1, device=canvas.device, dtype=torch.float32)
    kernel = torch.exp(-((places / sigma) ** 2) / 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    canvas = F.conv2d(F.pad(canvas, (reach, reach, 0, 0), mode="replicate"), kernel, groups=3)
    padded = F.pad(canvas, (0, 0, reach, reach), mode="replicate")
    return F.conv2d(padded, kernel.transpose(2, 3), groups=3)
