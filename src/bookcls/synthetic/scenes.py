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

from bookcls.synthetic import floors, light, painting, props
from bookcls.synthetic.arrays import Bytes, Floats, Points, resize
from bookcls.synthetic.covers import Skin
from bookcls.synthetic.layout import Body, Layout


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


def _place(canvas: Floats, item: Skin, body: Body, scale: Points, angle: float) -> None:
    """Paint a box: its shadow, the sides that face the camera, its front."""
    painting.cast_shadow(canvas, body, scale)
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
            painting.paste(
                canvas, item.spine, np.stack([back[0], front[0], front[3], back[3]]), shade
            )
        else:
            painting.fill_side(canvas, quad, item.paper, shade, leaves=item.spine is not None)
    painting.paste(canvas, item.front, front)


def _mark(index: npt.NDArray[np.int16], item: Skin, body: Body, scale: Points, num: int) -> None:
    """Write the item's number where it covers the picture."""
    if item.front.shape[2] == 4:
        seen = np.zeros((*index.shape, 3), np.float32)
        solid = np.dstack([np.full((*item.front.shape[:2], 3), 255, np.uint8), item.front[..., 3]])
        painting.paste(seen, solid, body.front * scale)
        index[seen[..., 0] > 127] = num
        return
    polygon = body.outline(float(scale[0]), float(scale[1]))
    window = painting.part(polygon, (index.shape[0], index.shape[1]), 1)
    if window is not None:
        rows, cols = window
        patch = index[rows, cols]
        hit = painting.covered((patch.shape[0], patch.shape[1]), polygon - (cols.start, rows.start))
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
        if skin.front.shape[2] == 4:
            painting.cast_outline(canvas, skin.front[..., 3], item.body, scale)
            painting.paste(canvas, skin.front, item.body.front * scale)
        else:
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


def framed(
    layout: Layout,
    textures: Sequence[Skin | Bytes],
    height: int,
    width: int,
    *,
    background: Bytes | None = None,
    at: float = 0.5,
) -> tuple[Bytes, npt.NDArray[np.int16]]:
    """Composes at the camera's aspect and cuts a picture of any other out of it.

    Args:
        layout: See :func:`compose`, as ``textures`` and ``background``.
        textures: What the items' ``cover`` numbers count into.
        height: Height of the part in pixels.
        width: Width of the part in pixels.
        background: uint8 RGB picture to use instead of the layout's floor and props.
        at: How far along the longer way the part lies, 0 to 1.

    Returns:
        The part and its index, as in :class:`Scene`.
    """
    across = max(width, round(height * layout.camera.aspect))
    down = max(height, round(across / layout.camera.aspect))
    scene = compose(layout, textures, down, across, background=background)
    top, left = round((down - height) * at), round((across - width) * at)
    part = (slice(top, top + height), slice(left, left + width))
    return scene.image[part], scene.index[part]
