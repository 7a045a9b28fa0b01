"""Where the camera, the books and the furniture of a batch of composed scenes are."""

import math

import torch
from torch import Tensor

from bookcls.pretraining.augment import uniform
from bookcls.pretraining.quads import Boxes, Camera, look, lying

NUM_THINGS = 3
"""Pieces of furniture, shelves, mats in a scene, if any."""


def arrange(rng: torch.Generator, count: Tensor, sizes: Tensor) -> tuple[Camera, Boxes, Boxes]:
    """Places a camera, books and things for each scene.

    Args:
        rng: Source of randomness.
        count: (N,): books in the scene.
        sizes: (N, K, 3): of the books, absent ones included.
    """
    num, slots = sizes.shape[:2]
    tilt, azimuth, far, spread, way = uniform(rng, (5, num), 0, 1).unbind()
    # A pile is seen from near, and books strewn from farther off the more there are.
    piled = (way < 0.45) & (count > 1)
    strewn_far = (1.35 + 1.2 * far) * (1 + 0.38 * (count - 1).clamp(min=0) ** 0.7)
    distance = torch.where(piled, 1.5 + 1.7 * far, strewn_far)
    camera = look(0.75 * tilt**1.5, 2 * math.pi * azimuth, distance)
    reach = torch.where(piled, 0.2 + 0.5 * spread, (distance - 0.75).clamp(min=0.35) * 0.5)
    # Around a circle, so that books strewn seldom lie on one another; a pile's last is its top.
    order = torch.arange(slots, device=count.device).expand(num, slots)
    angle = 2.4 * order + uniform(rng, (num, 1), 0, 2 * math.pi)
    away = reach[:, None] * uniform(rng, (num, slots), 0.5, 1.1)
    middle = (order == count[:, None] - 1) & (piled | (count == 1))[:, None]
    away = torch.where(middle, 0.45 * away, away)
    level = torch.where(piled[:, None], 0.09 * order, 0.0)
    # Some photos miss: their books lie off the middle, even partly outside.
    miss = uniform(rng, (2, num, 1), -0.4, 0.4) * (uniform(rng, (num, 1), 0, 1) < 0.4)
    miss = miss * distance[:, None]
    spot = torch.stack([away * angle.cos() + miss[0], away * angle.sin() + miss[1], level], -1)
    turn = uniform(rng, (num, slots), 0, 2 * math.pi)
    sun = uniform(rng, (num, 2), -0.9, 0.9)
    scale = uniform(rng, (num, slots, 1), 0.85, 1.15)
    books = lying(camera, spot, turn, sizes * scale, sun)
    return camera, books, _things(rng, camera, sun)


def _things(rng: torch.Generator, camera: Camera, sun: Tensor) -> Boxes:
    num = len(sun)
    angle, away, turn = uniform(rng, (3, num, NUM_THINGS), 0, 1).unbind()
    away = (0.35 + 0.35 * away) * camera.distance[:, None] + 0.3
    direction = 2 * math.pi * angle
    level = torch.zeros_like(away)
    spot = torch.stack([away * direction.cos(), away * direction.sin(), level], -1)
    size = uniform(rng, (num, NUM_THINGS, 3), 0.15, 1.8)
    size = size * size.new_tensor([1.0, 1.6, 0.12])
    return lying(camera, spot, 2 * math.pi * turn, size, sun)
