"""What light and a phone's camera do to a clean picture."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from bookcls.synthetic.arrays import Bytes, Floats, blur
from bookcls.synthetic.layout import Light


@lru_cache(maxsize=1)
def _sensor() -> Floats:
    """A fixed field of unit noise; pictures take shifted windows of it."""
    return np.random.default_rng(7003).standard_normal((1024, 1024, 3), dtype=np.float32)


def _motion(canvas: Floats, length: float, angle: float) -> Floats:
    side = max(3, int(np.ceil(length)) | 1)
    kernel = np.zeros((side, side), np.float32)
    mid = side // 2
    step = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))]) * mid
    first = (round(mid - step[0]), round(mid - step[1]))
    last = (round(mid + step[0]), round(mid + step[1]))
    cv2.line(kernel, first, last, 1.0, 1, cv2.LINE_AA)
    return np.asarray(cv2.filter2D(canvas, -1, kernel / kernel.sum()), np.float32)


def expose(canvas: Floats, light: Light, seed: int) -> Bytes:
    """Turn clean colours into a photo.

    Args:
        canvas: float32 RGB ``(H, W, 3)``, 0 to 255; changed in place.
        light: Light and camera.
        seed: Seed of the noise.

    Returns:
        uint8 RGB ``(H, W, 3)``.
    """
    height, width = canvas.shape[:2]
    x = (np.arange(width, dtype=np.float32) + 0.5) / width
    y = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height
    cos, sin = np.cos(np.radians(light.angle)), np.sin(np.radians(light.angle))
    field = 1 + np.float32(2 * light.gradient) * ((x - 0.5) * cos + (y - 0.5) * sin)
    away = (x - light.spot[0]) ** 2 + (y - light.spot[1]) ** 2
    field = np.maximum(field, 0.15).astype(np.float32) * np.float32(light.exposure)
    canvas *= field[..., None] * np.array(light.cast, np.float32)
    if light.glare > 0:
        canvas += (np.float32(150 * light.glare) * np.exp(-away / 0.03))[..., None]
    if light.motion * width > 1.2:
        canvas = _motion(canvas, light.motion * width, light.angle)
    canvas = blur(canvas, light.blur * width)
    np.clip(canvas, 0, 255, out=canvas)
    if light.gamma != 1.0:
        table = (np.linspace(0, 1, 4096) ** light.gamma * 255).astype(np.float32)
        canvas = table[(canvas * np.float32(4095 / 255)).astype(np.uint16)]
    canvas = canvas * np.float32(1 - light.haze) + np.float32(255 * light.haze * 0.6)
    if light.noise > 0:
        rng = np.random.default_rng([seed, 19])
        top, left = (int(k) for k in rng.integers(0, [1024 - min(height, 1024) + 1,
                                                      1024 - min(width, 1024) + 1]))  # fmt: skip
        grain = _sensor()[top : top + height, left : left + width]
        if grain.shape != canvas.shape:
            grain = rng.standard_normal(canvas.shape, dtype=np.float32)
        canvas += grain * np.float32(light.noise)
    return np.asarray(np.clip(canvas + 0.5, 0, 255), dtype=np.uint8)
