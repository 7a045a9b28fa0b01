"""Pictures for covers: shapes, noise, contours, fractals, line drawings, objects, a figure.

Pictures are what makes a cover more than a colour. Which kinds teach a network useful filters:
coloured fractals (Anderson and Farrell, WACV 2022), noise and dead leaves (Baradad et al.,
NeurIPS 2021), contours (Kataoka et al., CVPR 2022).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import cv2
import numpy as np

from bookcls.synthetic.arrays import Bytes, Colour, noise, ramp, resize

Picture: TypeAlias = Literal[
    "shapes", "noise", "posterised", "contours", "fractal", "plant", "objects", "figure", "strokes"
]
PICTURES: tuple[Picture, ...] = (
    "shapes", "noise", "posterised", "contours", "fractal", "plant", "objects", "figure",
    "strokes",
)  # fmt: skip


def _flat(height: int, width: int, colour: Colour) -> Bytes:
    return np.full((height, width, 3), colour, np.uint8)


def _opaque(rgb: Bytes) -> Bytes:
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])


def _ink(mask: Bytes, colour: Colour) -> Bytes:
    return np.dstack([_flat(mask.shape[0], mask.shape[1], colour), mask])


def _shapes(rng: np.random.Generator, height: int, width: int, colours: list[Colour]) -> Bytes:
    image = _flat(height, width, colours[0])
    size = min(height, width)
    for _ in range(int(rng.integers(6, 26))):
        colour = colours[rng.integers(len(colours))]
        x, y = int(rng.integers(width)), int(rng.integers(height))
        radius = max(2, int(size * rng.uniform(0.04, 0.28)))
        kind = rng.integers(4)
        if kind == 0:
            cv2.circle(image, (x, y), radius, colour, -1, cv2.LINE_AA)
        elif kind == 1:
            cv2.circle(image, (x, y), radius, colour, max(1, radius // 5), cv2.LINE_AA)
        else:
            num = 3 if kind == 2 else int(rng.integers(4, 7))
            angles = rng.uniform(0, 6.3) + np.arange(num) * 2 * np.pi / num
            points = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)
            cv2.fillPoly(image, [points.round().astype(np.int32)], colour, cv2.LINE_AA)
    return _opaque(image)


def _noise(rng: np.random.Generator, height: int, width: int, colours: list[Colour]) -> Bytes:
    return _opaque(ramp(noise(rng, height, width, int(rng.integers(2, 5)), 5), colours))


def _posterised(rng: np.random.Generator, height: int, width: int, colours: list[Colour]) -> Bytes:
    field = noise(rng, height, width, int(rng.integers(2, 6)), 3)
    index = np.minimum((field * len(colours)).astype(np.intp), len(colours) - 1)
    return _opaque(np.array(colours, np.uint8)[index])


def _contours(rng: np.random.Generator, height: int, width: int, colours: list[Colour]) -> Bytes:
    field = noise(rng, height, width, int(rng.integers(2, 4)), 2)
    waves = np.abs(np.sin(field * rng.uniform(14, 40)))
    mask = np.clip((0.45 - waves) * 5, 0, 1)[..., None]
    paper, ink = np.array(colours[0]), np.array(colours[-1])
    return _opaque((paper * (1 - mask) + ink * mask).astype(np.uint8))


def _fractal(rng: np.random.Generator, height: int, width: int, colours: list[Colour]) -> Bytes:
    """An iterated function system drawn by the chaos game, many points at once.

    The maps' singular values are drawn below one, so that the system contracts
    (Anderson and Farrell, WACV 2022, section 3).
    """
    num = int(rng.integers(2, 5))
    turns = rng.uniform(0, 2 * np.pi, (num, 2))
    sizes = np.sort(rng.uniform(0.3, 0.85, (num, 2)), axis=1)[:, ::-1]

    def turn(angle: np.ndarray) -> np.ndarray:
        cos, sin = np.cos(angle), np.sin(angle)
        return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)

    maps = turn(turns[:, 0]) @ (sizes[:, :, None] * turn(turns[:, 1]))
    shifts = rng.uniform(-1, 1, (num, 2))
    weights = np.abs(np.linalg.det(maps)) + 0.05
    points = rng.uniform(-1, 1, (1500, 2))
    seen = []
    for step in range(36):
        which = rng.choice(num, len(points), p=weights / weights.sum())
        points = np.einsum("nij,nj->ni", maps[which], points) + shifts[which]
        if step > 8:
            seen.append(points)
    cloud = np.concatenate(seen)
    low, high = np.quantile(cloud, [0.01, 0.99], axis=0)
    cloud = (cloud - low) / np.maximum(high - low, 1e-6)
    counts, _, _ = np.histogram2d(
        cloud[:, 1], cloud[:, 0], bins=(min(height, 96), min(width, 96)), range=[[0, 1], [0, 1]]
    )
    glow = np.log1p(counts)
    glow = (glow / max(glow.max(), 1e-6) * 255).astype(np.uint8)
    smooth = np.asarray(resize(glow, height, width) / 255, np.float32)
    return _opaque(ramp(smooth, colours))


def _plant(rng: np.random.Generator, height: int, width: int, colours: list[Colour]) -> Bytes:
    mask = np.zeros((height, width), np.uint8)
    pen = max(1, round(min(height, width) / 90))
    size = min(height, width)

    def grow(x: float, y: float, angle: float, length: float, depth: int) -> None:
        end = (x + length * np.cos(angle), y + length * np.sin(angle))
        start = (round(x), round(y))
        cv2.line(mask, start, (round(end[0]), round(end[1])), 255, pen, cv2.LINE_AA)
        if depth == 0 or length < 2:
            centre = (round(end[0]), round(end[1]))
            axes = (max(1, round(size * 0.03)), max(1, round(size * 0.014)))
            cv2.ellipse(mask, centre, axes, float(np.degrees(angle)), 0, 360, 255, pen, cv2.LINE_AA)
            return
        for _ in range(int(rng.integers(2, 4))):
            share = rng.uniform(0.4, 1)
            x1, y1 = x + (end[0] - x) * share, y + (end[1] - y) * share
            grow(x1, y1, angle + rng.normal(0, 0.6), length * rng.uniform(0.5, 0.85), depth - 1)

    for k in range(3):
        x = width * (0.3 + 0.2 * k + rng.uniform(-0.06, 0.06))
        grow(x, height * 0.98, -np.pi / 2 + rng.normal(0, 0.25), size * 0.3, 4)
    return _ink(mask, colours[-1])


def _objects(rng: np.random.Generator, height: int, width: int, colours: list[Colour]) -> Bytes:
    """A table seen from above with things in rows: plates, leaves, tools, boxes."""
    image = _flat(height, width, colours[0])
    cols, rows = int(rng.integers(4, 6)), int(rng.integers(3, 5))
    cell_w, cell_h = width / cols, height / rows
    for row in range(rows):
        for col in range(cols):
            x, y = round((col + 0.5) * cell_w), round((row + 0.5) * cell_h)
            a, b = max(2, round(cell_w * 0.4)), max(2, round(cell_h * 0.4))
            first, second = (colours[int(k)] for k in rng.integers(1, len(colours), 2))
            kind = rng.integers(5)
            if kind == 0:
                radius = min(a, b)
                cv2.circle(image, (x, y), radius, (246, 244, 238), -1, cv2.LINE_AA)
                cv2.circle(image, (x, y), radius * 2 // 3, first, -1, cv2.LINE_AA)
            elif kind == 1:
                for k in range(3):
                    at = (x + round((k - 1) * a * 0.6), y + round(rng.normal(0, b * 0.15)))
                    axes = (max(1, a // 4), b)
                    angle = float(rng.normal(0, 15))
                    cv2.ellipse(image, at, axes, angle, 0, 360, first, -1, cv2.LINE_AA)
            elif kind == 2:
                pen = max(1, a // 4)
                cv2.line(image, (x, y - b // 3), (x, y + b), first, pen, cv2.LINE_AA)
                cv2.ellipse(
                    image, (x, y - b // 2), (a // 2, b // 2), 0, 0, 360, first, -1, cv2.LINE_AA
                )
            elif kind == 3:
                cv2.rectangle(image, (x - a, y - b), (x + a, y + b), (232, 230, 226), -1)
                for k in (-1, 0, 1):
                    left = (x - a * 3 // 4, y + k * b // 2)
                    right = (x + a * 3 // 4, y + k * b // 2)
                    cv2.line(image, left, right, second, max(1, b // 4), cv2.LINE_AA)
            else:
                for _ in range(5):
                    at = (x + int(rng.integers(-a, a)), y + int(rng.integers(-b, b)))
                    cv2.circle(image, at, max(1, min(a, b) // 4), second, -1, cv2.LINE_AA)
    return _opaque(image)


def _figure(rng: np.random.Generator, height: int, width: int, colours: list[Colour]) -> Bytes:
    """A standing figure in a long robe, cut out on a clear ground."""
    mask = np.zeros((height, width), np.uint8)
    tone = ramp(noise(rng, height, width, 4, 4), colours[:-1] if len(colours) > 2 else colours)
    lean = rng.uniform(-0.06, 0.06)

    def path(points: list[tuple[float, float]]) -> Bytes:
        spots = np.array([((x + lean * (1 - y)) * width, y * height) for x, y in points])
        shape = np.zeros((height, width), np.uint8)
        cv2.fillPoly(shape, [spots.round().astype(np.int32)], 255, cv2.LINE_AA)
        return shape

    hem = rng.uniform(0.12, 0.2)
    robe = path([(0.4, 0.2), (0.62, 0.2), (0.72, 0.5), (1 - hem, 0.97), (hem, 0.97), (0.32, 0.5)])
    arm = path([(0.38, 0.22), (0.2, 0.38), (0.3, 0.48), (0.66, 0.4), (0.78, 0.3), (0.6, 0.22)])
    cx, cy = round((0.5 + lean * 0.88) * width), round(0.12 * height)
    cv2.ellipse(
        mask, (cx, cy), (max(1, round(width * 0.1)), max(1, round(height * 0.07))), 0, 0, 360, 255,
        -1, cv2.LINE_AA,
    )  # fmt: skip
    sash = path([(0.34, 0.46), (0.68, 0.4), (0.7, 0.47), (0.52, 0.56), (0.56, 0.86), (0.46, 0.86)])
    mask = np.maximum(np.maximum(mask, robe), arm)
    x = np.linspace(0, rng.uniform(18, 30), width, dtype=np.float32)[None]
    folds = (0.72 + 0.28 * np.sin(x + np.linspace(0, 3, height, dtype=np.float32)[:, None]))[
        ..., None
    ]
    rgb = (tone * folds).astype(np.uint8)
    rgb[cy - round(height * 0.07) : cy + round(height * 0.03)] = (168, 128, 108)
    rgb[sash > 127] = colours[-1]
    return np.dstack([rgb, mask])


def _strokes(rng: np.random.Generator, height: int, width: int, colours: list[Colour]) -> Bytes:
    """A few long thin lines that nearly meet."""
    mask = np.zeros((height, width), np.uint8)
    pen = max(1, round(min(height, width) / 110))
    fan, start = rng.uniform(0, 0.35), rng.uniform(0, 0.3)
    for k in range(int(rng.integers(3, 6))):
        x0, y0 = width * (start + 0.1 * k), height * (0.05 + fan * k * 0.3)
        x1, y1 = width * rng.uniform(0.75, 1.0), height * (0.3 + 0.16 * k + rng.normal(0, 0.04))
        cv2.line(mask, (round(x0), round(y0)), (round(x1), round(y1)), 255, pen, cv2.LINE_AA)
    return _ink(mask, colours[-1])


_DRAW: dict[str, Callable[[np.random.Generator, int, int, list[Colour]], Bytes]] = {
    "shapes": _shapes, "noise": _noise, "posterised": _posterised, "contours": _contours,
    "fractal": _fractal, "plant": _plant, "objects": _objects, "figure": _figure,
    "strokes": _strokes,
}  # fmt: skip


def draw(kind: Picture, seed: int, height: int, width: int, colours: list[Colour]) -> Bytes:
    """Draw a picture.

    Args:
        kind: One of ``PICTURES``.
        seed: The same seed and size give the same picture.
        height: Height in pixels.
        width: Width in pixels.
        colours: Two or more RGB colours; the first is the ground, the last the ink.

    Returns:
        uint8 RGBA ``(height, width, 4)``, not premultiplied.
    """
    return _DRAW[kind](np.random.default_rng([seed, 11]), height, width, colours)
