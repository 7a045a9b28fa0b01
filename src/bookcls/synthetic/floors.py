"""Floors, computed for each pixel from the floor point that it shows, so cost follows size."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from bookcls.synthetic.arrays import Floats, noise
from bookcls.synthetic.camera import Camera
from bookcls.synthetic.layout import Ground

_TILE = 256


@lru_cache(maxsize=64)
def _grain(seed: int, level: int) -> Floats:
    """A noise tile that wraps around, ``level`` times halved, values about 0 +- 0.25."""
    if level > 0:
        finer = _grain(seed, level - 1)
        return np.asarray(finer.reshape(len(finer) // 2, 2, -1, 2).mean((1, 3)), np.float32)
    rng = np.random.default_rng([7002, seed])
    field = noise(rng, _TILE, _TILE, 4, 6)
    # The half-rolled copy wraps around smoothly, and its own seam lies where it counts nothing.
    ease = 1 - np.abs(np.linspace(-1, 1, _TILE, dtype=np.float32))
    field = field * ease[:, None] + np.roll(field, _TILE // 2, 0) * (1 - ease[:, None])
    field = field * ease[None] + np.roll(field, _TILE // 2, 1) * (1 - ease[None])
    return np.asarray((field - field.mean()) * 1.6, np.float32)


def _sample(seed: int, u: Floats, v: Floats, step: float) -> Floats:
    """Grain at (u, v) in tiles; ``step`` is a pixel's size in tiles and picks the level."""
    level = int(np.clip(np.log2(max(step * _TILE, 1.0)), 0, 5))
    tile = _grain(seed % 8, level)
    side = tile.shape[0]
    across, along = (u - np.floor(u)) * side, (v - np.floor(v)) * side
    out = cv2.remap(tile, across, along, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(out, np.float32)


def _seam(distance: Floats, width: float, pixel: float) -> Floats:
    """How much of a seam of ``width`` a pixel at ``distance`` covers, 0 to 1."""
    reach = max(width, pixel)
    cover = np.clip(1.5 - np.abs(distance) / reach, 0, 1) * np.float32(min(1.0, width / pixel))
    return np.asarray(cover, np.float32)


def _hash(values: Floats, seed: int) -> Floats:
    """A number in [0, 1) for each whole number, alike for alike."""
    table = np.random.default_rng([seed, 17]).random(257, dtype=np.float32)
    return table[(values.astype(np.int64) * 31) % 257]


def _wood(ground: Ground, u: Floats, v: Floats, pixel: float) -> Floats:
    row = np.floor(v / ground.width)
    along = u + _hash(row, ground.seed) * 7
    length = 4.5 * ground.width / 0.6
    board = np.floor(along / length)
    kind = _hash(row * 13 + board, ground.seed + 1)
    fine = _sample(ground.seed, along * 0.12 + kind * 5, v * 1.5 + kind * 3, pixel * 1.5)
    coarse = _sample(ground.seed + 3, along * 0.07 + kind * 9, v * 0.6 + kind, pixel * 0.6)
    hairs = _sample(ground.seed + 5, along * 0.9 + kind * 7, v * 9 + kind, pixel * 9)
    rings = np.sin((v * 26 + coarse * 26) + kind * 20) if pixel < 0.05 else 0.0
    shade = 1 + 0.07 * (kind - 0.5) + 0.16 * fine + 0.12 * coarse + 0.1 * hairs
    shade = shade - 0.3 * np.clip(rings - 0.7, 0, 1) * np.clip(coarse * 3, 0, 1)
    gap = (v / ground.width - row - 0.5) * ground.width
    seam = _seam(np.abs(gap) - ground.width / 2, 0.003, pixel)
    joint = (along / length - board - 0.5) * length
    seam = np.maximum(seam, _seam(np.abs(joint) - length / 2, 0.003, pixel))
    return np.asarray(shade * (1 - 0.5 * seam), np.float32)


def _tiles(ground: Ground, u: Floats, v: Floats, pixel: float) -> Floats:
    side = ground.width
    row, col = np.floor(v / side), np.floor(u / side)
    kind = _hash(row * 7 + col, ground.seed)
    speck = _sample(ground.seed, u * 0.4 + kind, v * 0.4, pixel * 0.4)
    across = (u / side - col - 0.5) * side
    down = (v / side - row - 0.5) * side
    edge = np.maximum(np.abs(across), np.abs(down)) - side / 2
    shade = (1 + 0.1 * (kind - 0.5) + 0.12 * speck) * (1 - 0.35 * _seam(edge, 0.015, pixel))
    return np.asarray(shade, np.float32)


def _desk(ground: Ground, u: Floats, v: Floats, pixel: float) -> Floats:
    fine = _sample(ground.seed, u * 0.1, v * 1.1, pixel * 1.1)
    broad = _sample(ground.seed + 1, u * 0.2, v * 0.2, pixel * 0.2)
    return np.asarray(1 + 0.1 * fine + 0.06 * broad, np.float32)


def render(ground: Ground, camera: Camera, height: int, width: int) -> Floats:
    """The floor as the camera sees it.

    Args:
        ground: Kind, colour and seed.
        camera: Gives the floor point of every pixel.
        height: Height in pixels.
        width: Width in pixels.

    Returns:
        float32 RGB ``(height, width, 3)``, 0 to 255 before light.
    """
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = (x + 0.5) / width, (y + 0.5) / height
    to_floor = camera.floor().astype(np.float32)
    far = to_floor[2, 0] * x + to_floor[2, 1] * y + to_floor[2, 2]
    far = np.maximum(far, 1e-2)  # above the horizon there is no floor; a wall covers that
    cos, sin = np.cos(np.radians(ground.angle)), np.sin(np.radians(ground.angle))
    turn = np.array([[cos, sin], [-sin, cos]], np.float32)
    rows = turn @ to_floor[:2]
    u = (rows[0, 0] * x + rows[0, 1] * y + rows[0, 2]) / far + np.float32(ground.seed % 89)
    v = (rows[1, 0] * x + rows[1, 1] * y + rows[1, 2]) / far + np.float32(ground.seed % 83)
    pixel = camera.distance / (camera.focal * width)
    paint = {"wood": _wood, "tiles": _tiles, "desk": _desk}[ground.kind]
    return paint(ground, u, v, pixel)[..., None] * np.array(ground.colour, np.float32)
