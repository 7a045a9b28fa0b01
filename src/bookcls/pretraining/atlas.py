"""Covers on the device: each with its smaller copies beside it, sampled at the fitting one."""

import torch
from torch import Tensor
from torch.nn import functional as F

LEVELS = 4
"""A cover, its half, its quarter, its eighth."""


def atlas(fronts: Tensor) -> Tensor:
    """A picture and its halves, quarters and eighths beside it.

    Args:
        fronts: float32 (N, 3, H, W), 0 to 255.

    Returns:
        uint8 (N, 3, H, W + W / 2): each level below the last, right of the whole picture.
    """
    num, _, height, width = fronts.shape
    sheet = torch.zeros(num, 3, height, width + width // 2, device=fronts.device)
    for left, top, wide, tall in regions(height, width):
        small = F.adaptive_avg_pool2d(fronts, (tall, wide))
        sheet[..., top : top + tall, left : left + wide] = small
    return (sheet + 0.5).clamp(0, 255).to(torch.uint8)


def regions(height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Left, top, width, height of each level in an atlas."""
    places, top = [(0, 0, width, height)], 0
    for level in range(1, LEVELS):
        places.append((width, top, width >> level, height >> level))
        top += height >> level
    return places


def look_at(sheets: Tensor, u: Tensor, v: Tensor, front: Tensor, image_size: int) -> Tensor:
    """Samples atlases at (u, v) in [-1, 1], at the level that fits the size on the screen.

    Without levels fine print would turn to noise in small books.
    """
    height, wide = sheets.shape[2:]
    # The inverse of width + width // 2, also for odd widths.
    table = u.new_tensor(regions(height, -(-wide * 2 // 3)))
    # The shorter of the two directions on the screen, in pixels to a texel, decides.
    tall = (front[:, 3] - front[:, 0]).norm(dim=-1) * image_size / height
    across = (front[:, 1] - front[:, 0]).norm(dim=-1) * image_size / float(table[0, 2])
    scale = torch.minimum(tall, across).clamp(min=1e-3)
    level = (0.25 - scale.log2()).floor().clamp(0, LEVELS - 1).long()
    left, top, width, rise = table[level][..., None, None].unbind(1)
    column = left + ((u + 1) / 2 * width).maximum(torch.full_like(width, 0.5)).minimum(width - 0.5)
    row = top + ((v + 1) / 2 * rise).maximum(torch.full_like(rise, 0.5)).minimum(rise - 0.5)
    places = torch.stack([column * (2 / wide) - 1, row * (2 / height) - 1], -1)
    return F.grid_sample(sheets.float() / 255, places, align_corners=False)
