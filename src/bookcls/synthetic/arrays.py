"""Typed array helpers that the whole room shares: types, resizing, smooth noise."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Bytes: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float32]
Points: TypeAlias = npt.NDArray[np.float64]
Colour: TypeAlias = tuple[int, int, int]


def resize(image: Bytes, height: int, width: int) -> Bytes:
    """Resize to ``(height, width)``: area average when shrinking, linear when growing.

    Args:
        image: uint8 ``(H, W)`` or ``(H, W, C)``.
        height: New height in pixels, at least 1.
        width: New width in pixels, at least 1.

    Returns:
        uint8 array of the new size with the same number of channels.
    """
    shrinks = height * width < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)


def noise(
    rng: np.random.Generator, height: int, width: int, cells: int = 3, octaves: int = 4
) -> Floats:
    """Smooth noise: a sum of value-noise octaves, each twice as fine and half as strong.

    Args:
        rng: Source of randomness.
        height: Height in pixels.
        width: Width in pixels.
        cells: Cells along the shorter side in the coarsest octave.
        octaves: Number of octaves.

    Returns:
        float32 ``(height, width)`` stretched to [0, 1].
    """
    total = np.zeros((height, width), np.float32)
    short = min(height, width)
    for octave in range(octaves):
        num = cells * 2**octave
        if octave and num > short:
            break
        rows, cols = (max(2, round(num * side / short)) for side in (height, width))
        grid = rng.random((rows, cols), dtype=np.float32)
        method = cv2.INTER_CUBIC if rows < height else cv2.INTER_AREA
        total += np.asarray(cv2.resize(grid, (width, height), interpolation=method)) / 2**octave
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


def blur(image: Floats, sigma: float) -> Floats:
    """Gaussian blur of a float32 image; a ``sigma`` below 0.2 pixels does nothing."""
    if sigma < 0.2:
        return image
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.float32)


def ramp(values: Floats, colours: list[Colour]) -> Bytes:
    """Map values to a colour ramp.

    Args:
        values: float32 ``(H, W)`` in [0, 1].
        colours: Two or more RGB colours, evenly spaced over [0, 1].

    Returns:
        uint8 RGB ``(H, W, 3)``.
    """
    steps = np.linspace(0.0, 1.0, len(colours))
    table = np.stack(
        [np.interp(np.linspace(0, 1, 256), steps, c) for c in zip(*colours, strict=True)], axis=1
    )
    index = np.clip(values * 255, 0, 255).astype(np.uint8)
    return table.astype(np.uint8)[index]
