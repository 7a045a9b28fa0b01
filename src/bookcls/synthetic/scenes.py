"""A layout and its textures become a photo and its truth.

Pasting objects on other grounds is a strong augmentation in itself (Dwibedi et al., Cut, Paste
and Learn, ICCV 2017); any RGB or RGBA texture can be placed here, not only rendered covers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from bookcls.synthetic import floors, light, props
from bookcls.synthetic.arrays import Bytes, Colour, Floats, Points, blur, resize
from bookcls.synthetic.covers import Skin
from bookcls.synthetic.layout import Body, Layout

_SHIFT = 4


@dataclass(frozen=True)
class Truth:
    """What is known of one item of a scene.

    Attributes:
        cover: The item's number among the textures.
        corners: Corners of the front (4, 2) in pixels, order as in ``Body.front``; pixel centres
            lie at halves.
        mask: bool ``(H, W)``, True where the item (front and sides) is to be seen.
        visible: Visible pixels over its full projected area, also outside the frame, 0 to 1.
        share: Visible pixels over all pixels of the picture.
    """

    cover: int
    corners: Points
    mask: npt.NDArray[np.bool_]
    visible: float
    share: float


@dataclass(frozen=True)
class Scene:
    """A composed picture.

    Attributes:
        image: uint8 RGB ``(H, W, 3)``.
        index: int16 ``(H, W)``: number of the item seen at each pixel, -1 for none.
        truths: One entry for each item, in painting order.
    """

    image: Bytes
    index: npt.NDArray[np.int16]
    truths: tuple[Truth, ...]


def _fixed(points: Points) -> npt.NDArray[np.int32]:
    """Pixel places to OpenCV's fixed-point ones, whose pixel centres lie at whole numbers."""
    limited = np.clip(points - 0.5, -8000, 8000)
    return np.asarray((limited * 2**_SHIFT).round(), dtype=np.int32)


def _cover(shape: tuple[int, int], polygon: Points) -> Floats:
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


def _window(points: Points, shape: tuple[int, int], margin: float) -> tuple[slice, slice] | None:
    low = np.floor(points.min(0) - margin).astype(int)
    high = np.ceil(points.max(0) + margin).astype(int)
    x0, y0 = max(0, low[0]), max(0, low[1])
    x1, y1 = min(shape[1], high[0]), min(shape[0], high[1])
    return (slice(y0, y1), slice(x0, x1)) if x1 > x0 and y1 > y0 else None


def _shade(canvas: Floats, body: Body, scale: Points) -> None:
    """Darken the canvas by the body's soft shadow, in place."""
    if body.darkness <= 0:
        return
    points = np.concatenate([body.shadow, body.back]) * scale
    hull = np.asarray(cv2.convexHull(points.astype(np.float32)), np.float64)[:, 0]
    sigma = body.softness * scale[0]
    window = _window(hull, (canvas.shape[0], canvas.shape[1]), 3 * sigma + 1)
    if window is None:
        return
    rows, cols = window
    patch = canvas[rows, cols]
    hull -= (cols.start, rows.start)
    mask = np.zeros(patch.shape[:2], np.float32)
    cv2.fillConvexPoly(mask, _fixed(hull), 1.0, cv2.LINE_8, _SHIFT)
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
    window = _window(corners, (canvas.shape[0], canvas.shape[1]), 1)
    if window is None:
        return
    rows, cols = window
    sides = np.linalg.norm(np.roll(corners, -1, 0) - corners, axis=1)
    height = int(np.clip(np.ceil(max(sides[1], sides[3])), 2, texture.shape[0]))
    width = int(np.clip(np.ceil(max(sides[0], sides[2])), 2, texture.shape[1]))
    if height < texture.shape[0] or width < texture.shape[1]:
        texture = resize(texture, height, width)
    height, width = texture.shape[:2]
    colours = texture[..., :3].astype(np.float32)
    alpha = (
        texture[..., 3:].astype(np.float32) / 255
        if texture.shape[2] == 4
        else np.ones((height, width, 1), np.float32)
    )
    source = np.concatenate([colours * alpha * np.float32(shade), alpha], axis=2)
    box = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    spots = (corners - (cols.start, rows.start)).astype(np.float32) - 0.5
    warp = cv2.getPerspectiveTransform(box - np.float32(0.5), spots)
    patch = canvas[rows, cols]
    size = (patch.shape[1], patch.shape[0])
    placed = np.asarray(cv2.warpPerspective(source, warp, size, flags=cv2.INTER_LINEAR))
    patch *= 1 - placed[..., 3:]
    patch += placed[..., :3]


def _side(canvas: Floats, quad: Points, colour: Colour, shade: float, *, leaves: bool) -> None:
    """Fill a side; with ``leaves`` the edges of pages are hinted at."""
    window = _window(quad, (canvas.shape[0], canvas.shape[1]), 1)
    if window is None:
        return
    rows, cols = window
    patch = canvas[rows, cols]
    spots = quad - (cols.start, rows.start)
    alpha = _cover((patch.shape[0], patch.shape[1]), spots)[..., None]
    patch *= 1 - alpha
    patch += alpha * (np.array(colour, np.float32) * np.float32(shade))
    depth = float(np.linalg.norm(quad[2] - quad[1]))
    if leaves and depth > 5:
        for k in range(1, int(depth / 2.5)):
            part = k / int(depth / 2.5)
            ends = quad[:2] + (quad[[3, 2]] - quad[:2]) * part - (cols.start, rows.start)
            tone = np.array(colour) * shade * (0.86 + 0.1 * ((k * 7) % 3) / 2)
            first, last = _fixed(ends)
            cv2.line(patch, first, last, tone.tolist(), 1, cv2.LINE_AA, _SHIFT)


def _place(canvas: Floats, item: Skin, body: Body, scale: Points, angle: float) -> None:
    """Paint a box: its shadow, the sides that face the camera, its front."""
    _shade(canvas, body, scale)
    front, back = body.front * scale, body.back * scale
    centre = front.mean(0)
    sun = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    # What has a clear outline is a sheet: its box would show where the texture has holes.
    for k in range(4 if item.front.shape[2] == 3 else 0):
        after = (k + 1) % 4
        quad = np.stack([front[after], front[k], back[k], back[after]])
        if float(cv2.contourArea(quad.astype(np.float32), oriented=True)) <= 0.3:
            continue
        away = (front[k] + front[after]) / 2 - centre
        facing = float(away @ sun / max(float(np.linalg.norm(away)), 1e-6))
        shade = 0.74 + 0.2 * facing
        if k == 3 and item.spine is not None:
            paste(canvas, item.spine, np.stack([back[0], front[0], front[3], back[3]]), shade)
        else:
            _side(canvas, quad, item.paper, shade, leaves=item.spine is not None)
    paste(canvas, item.front, front)


def _mark(index: npt.NDArray[np.int16], item: Skin, body: Body, scale: Points, num: int) -> None:
    """Write the item's number where it covers the picture."""
    if item.front.shape[2] == 4:
        seen = np.zeros((*index.shape, 3), np.float32)
        solid = np.dstack([np.full((*item.front.shape[:2], 3), 255, np.uint8), item.front[..., 3]])
        paste(seen, solid, body.front * scale)
        index[seen[..., 0] > 127] = num
        return
    polygon = body.outline(float(scale[0]), float(scale[1]))
    window = _window(polygon, (index.shape[0], index.shape[1]), 1)
    if window is not None:
        rows, cols = window
        patch = index[rows, cols]
        hit = _cover((patch.shape[0], patch.shape[1]), polygon - (cols.start, rows.start))
        patch[hit > 0.5] = num


def compose(
    layout: Layout,
    textures: Sequence[Skin | Bytes],
    height: int,
    width: int,
    *,
    background: Bytes | None = None,
) -> Scene:
    """Compose a layout.

    Args:
        layout: Where everything lies, and the light.
        textures: What the items' ``cover`` numbers count into: skins, or plain RGB(A) pictures.
        height: Height of the picture in pixels.
        width: Width in pixels.
        background: uint8 RGB picture to use instead of the layout's floor and props; it is
            resized.

    Returns:
        The picture and the truth of every item. For a texture with holes the full area counts
        its solid share.
    """
    scale = np.array([width, height], np.float64)
    if background is not None:
        canvas = resize(background, height, width).astype(np.float32)
    else:
        canvas = floors.render(layout.ground, layout.camera, height, width)
        for prop in layout.props:
            _place(canvas, props.skin(prop, width), prop.body, scale, layout.light.angle)
    index = np.full((height, width), -1, np.int16)
    solid: list[float] = []
    for num, item in enumerate(layout.items):
        texture = textures[item.cover]
        skin = texture if isinstance(texture, Skin) else Skin(texture)
        _place(canvas, skin, item.body, scale, layout.light.angle)
        _mark(index, skin, item.body, scale, num)
        front = skin.front
        solid.append(float((front[..., 3] > 127).mean()) if front.shape[2] == 4 else 1.0)
    truths = []
    for num, item in enumerate(layout.items):
        mask = index == num
        share = float(mask.mean())
        full = max(item.body.area() * solid[num], 1e-9)
        corners = item.body.front * scale
        truths.append(Truth(item.cover, corners, mask, min(1.0, share / full), share))
    return Scene(light.expose(canvas, layout.light, layout.seed), index, tuple(truths))
