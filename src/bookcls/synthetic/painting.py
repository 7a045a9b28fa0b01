"""Painting on a picture: textures by homography, the sides of boxes, soft shadows."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from bookcls.synthetic.arrays import Bytes, Colour, Floats, Points, blur, resize
from bookcls.synthetic.layout import Body

_SHIFT = 4


def _fixed(points: Points) -> npt.NDArray[np.int32]:
    """Pixel places to OpenCV's fixed-point ones, whose pixel centres lie at whole numbers."""
    limited = np.clip(points - 0.5, -8000, 8000)
    return np.asarray((limited * 2**_SHIFT).round(), dtype=np.int32)


def covered(shape: tuple[int, int], polygon: Points) -> Floats:
    """How much of each pixel a convex polygon covers, float32 ``shape``, 0 to 1.

    OpenCV's polygons include their outline and so come out half a pixel too large on every side,
    which would bias small areas.
    """
    area = float(cv2.contourArea(polygon.astype(np.float32), oriented=True))
    x = np.arange(shape[1], dtype=np.float32) + np.float32(0.5)
    y = np.arange(shape[0], dtype=np.float32)[:, None] + np.float32(0.5)
    inside = np.full(shape, 0.5, np.float32)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        length = float(np.hypot(x1 - x0, y1 - y0))
        if length > 1e-6:
            a, b = np.array([y0 - y1, x1 - x0]) / (length if area > 0 else -length)
            depth = np.float32(a) * x + (np.float32(b) * y - np.float32(a * x0 + b * y0))
            np.minimum(inside, depth, out=inside)
    return np.asarray(np.clip(inside + np.float32(0.5), 0, 1), np.float32)


def part(points: Points, shape: tuple[int, int], margin: float) -> tuple[slice, slice] | None:
    """Rows and columns of a picture that some points may reach, or None."""
    low = np.floor(points.min(0) - margin).astype(int)
    high = np.ceil(points.max(0) + margin).astype(int)
    x0, y0 = max(0, low[0]), max(0, low[1])
    x1, y1 = min(shape[1], high[0]), min(shape[0], high[1])
    return (slice(y0, y1), slice(x0, x1)) if x1 > x0 and y1 > y0 else None


def _shrunk(texture: Bytes, corners: Points) -> Bytes:
    """A texture at about the size at which it shows."""
    sides = np.linalg.norm(np.roll(corners, -1, 0) - corners, axis=1)
    height = int(np.clip(np.ceil(max(sides[1], sides[3])), 2, texture.shape[0]))
    width = int(np.clip(np.ceil(max(sides[0], sides[2])), 2, texture.shape[1]))
    return texture if texture.shape[:2] == (height, width) else resize(texture, height, width)


def _warped(source: Floats, corners: Points, size: tuple[int, int]) -> Floats:
    """A texture brought to its corners in a picture of ``size`` (width, height)."""
    height, width = source.shape[:2]
    box = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    spots = corners.astype(np.float32) - 0.5
    warp = cv2.getPerspectiveTransform(box - np.float32(0.5), spots)
    return np.asarray(cv2.warpPerspective(source, warp, size, flags=cv2.INTER_LINEAR), np.float32)


def cast_shadow(canvas: Floats, body: Body, scale: Points) -> None:
    """Darken the canvas by the body's soft shadow, in place."""
    if body.darkness <= 0:
        return
    points = np.concatenate([body.shadow, body.back]) * scale
    hull = np.asarray(cv2.convexHull(points.astype(np.float32)), np.float64)[:, 0]
    sigma = body.softness * scale[0]
    window = part(hull, (canvas.shape[0], canvas.shape[1]), 3 * sigma + 1)
    if window is None:
        return
    rows, cols = window
    patch = canvas[rows, cols]
    hull -= (cols.start, rows.start)
    mask = np.zeros(patch.shape[:2], np.float32)
    cv2.fillConvexPoly(mask, _fixed(hull), 1.0, cv2.LINE_8, _SHIFT)
    patch *= 1 - blur(mask, sigma)[..., None] * np.float32(body.darkness)


def cast_outline(canvas: Floats, alpha: Bytes, body: Body, scale: Points) -> None:
    """As :func:`cast_shadow`, for a texture with a clear outline: that one's shadow, not a box's.

    Args:
        canvas: float32 RGB ``(H, W, 3)``, changed in place.
        alpha: uint8 ``(h, w)`` of the texture.
        body: Where it lies; its shadow's corners begin with those of the front.
        scale: Width and height of the canvas.
    """
    if body.darkness <= 0:
        return
    near, far = body.back * scale, body.shadow[:4] * scale
    sigma = body.softness * scale[0]
    window = part(np.concatenate([near, far]), (canvas.shape[0], canvas.shape[1]), 3 * sigma + 1)
    if window is None:
        return
    rows, cols = window
    patch = canvas[rows, cols]
    height, width = patch.shape[:2]
    solid = np.asarray(_shrunk(alpha, near), np.float32) / np.float32(255)
    mask = np.zeros((height, width), np.float32)
    for share in (0.0, 0.5, 1.0):
        corners = near + (far - near) * share - (cols.start, rows.start)
        np.maximum(mask, _warped(solid, corners, (width, height)), out=mask)
    patch *= 1 - blur(mask, sigma)[..., None] * np.float32(body.darkness)


def paste(canvas: Floats, texture: Bytes, corners: Points, shade: float = 1.0) -> None:
    """Lay a texture on a canvas by the homography of its corners, in place.

    The texture is first shrunk to about the size at which it shows, so that fine print turns to
    grey instead of to noise.

    Args:
        canvas: float32 RGB ``(H, W, 3)``, 0 to 255.
        texture: uint8 RGB or RGBA ``(h, w, 3 or 4)``, alpha not premultiplied.
        corners: (4, 2) pixel places of its top left, top right, bottom right, bottom left.
        shade: Factor of its colours.
    """
    window = part(corners, (canvas.shape[0], canvas.shape[1]), 1)
    if window is None:
        return
    rows, cols = window
    texture = _shrunk(texture, corners)
    colours = texture[..., :3].astype(np.float32)
    alpha = (
        texture[..., 3:].astype(np.float32) / 255
        if texture.shape[2] == 4
        else np.ones((*texture.shape[:2], 1), np.float32)
    )
    source = np.concatenate([colours * alpha * np.float32(shade), alpha], axis=2)
    patch = canvas[rows, cols]
    placed = _warped(source, corners - (cols.start, rows.start), (patch.shape[1], patch.shape[0]))
    patch *= 1 - placed[..., 3:]
    patch += placed[..., :3]


def fill_side(canvas: Floats, quad: Points, colour: Colour, shade: float, *, leaves: bool) -> None:
    """Fill a side; with ``leaves`` the edges of pages are hinted at."""
    window = part(quad, (canvas.shape[0], canvas.shape[1]), 1)
    if window is None:
        return
    rows, cols = window
    patch = canvas[rows, cols]
    spots = quad - (cols.start, rows.start)
    alpha = covered((patch.shape[0], patch.shape[1]), spots)[..., None]
    patch *= 1 - alpha
    patch += alpha * (np.array(colour, np.float32) * np.float32(shade))
    depth = float(np.linalg.norm(quad[2] - quad[1]))
    if leaves and depth > 5:
        for k in range(1, int(depth / 2.5)):
            deep = k / int(depth / 2.5)
            ends = quad[:2] + (quad[[3, 2]] - quad[:2]) * deep - (cols.start, rows.start)
            tone = np.array(colour) * shade * (0.86 + 0.1 * ((k * 7) % 3) / 2)
            first, last = _fixed(ends)
            cv2.line(patch, first, last, tone.tolist(), 1, cv2.LINE_AA, _SHIFT)
