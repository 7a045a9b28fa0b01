"""Floors for a whole batch: boards, tiles, desks and carpets, computed for each pixel."""

import torch
from torch import Tensor
from torch.nn import functional as F

from bookcls.pretraining.augment import uniform
from bookcls.pretraining.quads import Camera, plane

_FIELD = 128


def fields(rng: torch.Generator, num: int, *, side: int = _FIELD, coarsest: int = 4) -> Tensor:
    """Noise (num, 1, side, side): octaves of smooth noise, mean 0, deviation about 1."""
    total = torch.zeros(num, 1, side, side, device=rng.device)
    cells, weight = coarsest, 1.0
    while cells <= side:
        grid = torch.randn(num, 1, cells, cells, generator=rng, device=rng.device)
        total += weight * F.interpolate(grid, (side, side), mode="bilinear", align_corners=False)
        cells, weight = cells * 2, weight * 0.65
    return total / 1.1


def look_up(field: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Noise at (u, v), each (N, H, W); the field spans 2 and then repeats mirrored."""
    places = torch.stack([u, v], -1)
    return F.grid_sample(field, places, padding_mode="reflection", align_corners=False)[:, 0]


def hashed(values: Tensor, seed: Tensor) -> Tensor:
    """A number in [0, 1) for each whole number, alike for alike."""
    return torch.frac(torch.sin(values * 12.9898 + seed * 78.233) * 437.5453).abs()


def coordinates(camera: Camera, x: Tensor, y: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Floor points (u, v), each (N, H, W), that the picture's places show."""
    zero = torch.zeros_like(angle)
    across = torch.stack([angle.cos(), angle.sin(), zero], -1)[:, None]
    along = torch.stack([angle.sin(), -angle.cos(), zero], -1)[:, None]
    return through(plane(camera, torch.zeros_like(across), across, along)[:, 0], x, y)


def through(inverse: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Places (x (W,), y (H,)) through homographies (N, 3, 3): two (N, H, W)."""
    grid = (inverse[:, :, :1] * x)[:, :, None] + (inverse[:, :, 1:2] * y)[..., None]
    rows = grid + inverse[:, :, 2][..., None, None]
    below = torch.where(rows[:, 2].abs() < 1e-6, 1e-6, rows[:, 2])
    return rows[:, 0] / below, rows[:, 1] / below


def palette(rng: torch.Generator, num: int, colours: int) -> Tensor:
    """RGB (num, colours, 3): mostly muted browns and greys, some vivid."""
    value = uniform(rng, (num, colours, 1), 0.12, 0.92)
    vivid = uniform(rng, (num, 1, 1), 0, 1) ** 3
    tint = uniform(rng, (num, colours, 3), -1, 1) * 0.35 * (0.1 + vivid)
    warm = value.new_tensor([0.05, 0.0, -0.08]) * uniform(rng, (num, 1, 1), 0, 2)
    return (value + tint + warm * value).clamp(0.02, 0.98)


def floors(rng: torch.Generator, camera: Camera, x: Tensor, y: Tensor) -> Tensor:
    """Draws a floor for each camera.

    Args:
        rng: On the device of the cameras.
        camera: N cameras.
        x: (W,) relative places of the columns.
        y: (H,) of the rows.

    Returns:
        float32 (N, 3, H, W), about 0 to 1.
    """
    num = len(camera.distance)
    kind, wide, long, seed, gap, contrast, angle = uniform(rng, (7, num), 0, 1)[
        ..., None, None
    ].unbind()
    u, v = coordinates(camera, x, y, 6.2832 * angle[:, 0, 0])
    pixel = (camera.distance / len(x))[:, None, None]
    boards, tiles, carpet = kind < 0.5, (kind >= 0.5) & (kind < 0.63), kind > 0.8
    wide = torch.where(boards, 0.3 + 0.5 * wide, 0.4 + wide)
    long = torch.where(boards, wide * (3 + 5 * long), wide)
    row = torch.floor(v / wide)
    shifted = u + torch.where(boards, hashed(row, seed * 40) * 9, 0.0)
    board = torch.floor(shifted / long)
    tone = hashed(row * 7 + board, seed * 90)
    # The distance to the nearest joint, and how much of it a pixel covers.
    joint = torch.minimum(
        ((v / wide - row) - 0.5).abs().neg().add(0.5) * wide,
        ((shifted / long - board) - 0.5).abs().neg().add(0.5) * long,
    )
    seam_width = torch.where(boards, 0.008, 0.03) * (0.5 + gap)
    reach = torch.maximum(seam_width, pixel)
    seam = (1.5 - joint / reach).clamp(0, 1) * (seam_width / pixel).clamp(max=1)
    noise = fields(rng, num)
    stretch = torch.where(tiles | carpet, 1.0, 6.0)
    fine = look_up(noise, shifted * 0.3 + tone * 5, v * 0.3 * stretch + tone * 3)
    broad = look_up(noise, u * 0.11 + 0.3, v * 0.13 - 0.2)
    flat = ~(boards | tiles)
    shade = 1 + (0.3 + contrast) * (0.09 * fine + 0.08 * broad)
    shade = shade + torch.where(flat, 0.0, 0.14 * (tone - 0.5))
    shade = shade * (1 - torch.where(flat, 0.0, 0.3 + 0.4 * contrast) * seam)
    colours = palette(rng, num, 3)
    pale = colours.new_tensor([0.77, 0.72, 0.65]) * uniform(rng, (num, 1), 0.7, 1.2)
    base = torch.where(boards[:, 0] & (contrast[:, 0] < 0.8), pale, colours[:, 0])
    ornament = _ornament(u, v, broad, seed, wide)
    weight = torch.stack([ornament > 0.3, ornament < -0.35], 1) & carpet[:, None]
    canvas = base[..., None, None].expand(-1, -1, *u.shape[1:])
    for k in range(2):
        canvas = torch.where(weight[:, k : k + 1], colours[:, k + 1, :, None, None], canvas)
    return canvas * shade[:, None]


def _ornament(u: Tensor, v: Tensor, noise: Tensor, seed: Tensor, wide: Tensor) -> Tensor:
    """A repeating, slightly bent pattern for carpets, -1 to 1."""
    turn = 6.2832 / wide * (0.6 + seed)
    bent = 0.15 * noise
    first = torch.sin((u + bent) * turn) * torch.sin((v + bent) * turn)
    second = torch.sin((u + v) * turn * (1 + 3 * seed)) * torch.cos((u - v) * turn * 2)
    return 0.6 * first + 0.4 * second
