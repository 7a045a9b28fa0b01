"""Things that lie about in rooms: carpets, shelves, grilles, slabs; textures for ``Prop``."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from bookcls.synthetic.arrays import Bytes, Colour, Floats, noise
from bookcls.synthetic.covers import Skin
from bookcls.synthetic.layout import Prop

_EDGE = 640


def _mix(first: Floats, second: Colour, share: Floats) -> Floats:
    share = share[..., None]
    return first * (1 - share) + np.array(second, np.float32) * share


def _ornament(tile: Floats, x: Floats, y: Floats, period: float, thick: float) -> Floats:
    """Mirror-symmetric curls: a noise tile folded twice, its contour lines kept, 0 to 1."""
    side = tile.shape[0] - 1
    a = np.abs(x / period - np.floor(x / period) - 0.5) * 2 * side
    b = np.abs(y / period - np.floor(y / period) - 0.5) * 2 * side
    spots = cv2.remap(tile, a.astype(np.float32), b.astype(np.float32), cv2.INTER_LINEAR)
    waves = np.abs(np.sin(np.asarray(spots, np.float32) * 13))
    return np.clip((thick - waves) * 6 + 0.5, 0, 1)


def carpet(prop: Prop, height: int, width: int) -> Bytes:
    """A carpet with borders, ornament and medallion; fringes at top and bottom.

    ``colours``: field, border, ornament, accent, fringe.
    """
    rng = np.random.default_rng([prop.seed, 23])
    field, border, curl, accent, fringe = (prop.colours * 5)[:5]
    across, along = prop.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = (x + 0.5) / width * across, (y + 0.5) / height * along
    tassel = 0.16
    edge = np.minimum(np.minimum(x, across - x), np.minimum(y, along - y) - tassel)
    tiles = [noise(rng, 48, 48, 3, 2) for _ in range(2)]
    image = np.empty((height, width, 3), np.float32)
    image[:] = field
    motif = _ornament(tiles[0], x - across / 2, y - along / 2, 0.9, 0.42)
    image = _mix(image, curl, motif * 0.65)
    image = _mix(image, accent, _ornament(tiles[1], x, y, 0.45, 0.22) * 0.55)
    theta = np.arctan2(y - along / 2, x - across / 2)
    radius = np.hypot((x - across / 2) / across, (y - along / 2) / along)
    inside = np.clip((0.24 + 0.02 * np.cos(theta * 12) - radius) * 60, 0, 1)
    heart = _mix(np.full_like(image, accent), curl, _ornament(tiles[1], x, y, 0.5, 0.4))
    image = image * (1 - inside[..., None]) + heart * inside[..., None]
    frame = np.clip((0.55 - edge) * 40, 0, 1)
    band = _mix(np.full_like(image, border), curl, _ornament(tiles[1], x, y, 0.36, 0.45) * 0.7)
    image = image * (1 - frame[..., None]) + band * frame[..., None]
    for place in (0.07, 0.14, 0.42, 0.52):
        image = _mix(image, accent if place < 0.3 else curl,
                     np.clip(1.5 - np.abs(edge - place) / 0.012, 0, 1))  # fmt: skip
    pile = 0.72 + 0.5 * noise(rng, height, width, max(8, min(height, width) // 6), 2)
    image *= pile[..., None]
    strands = 0.5 + 0.5 * np.sin(x * 130 + 5 * np.sin(x * 9) + 6 * np.sin(y * 17 + x * 5))
    hairs = edge < 0
    tone = (0.66 + 0.34 * strands)[..., None] * np.array(fringe, np.float32)
    image = np.where(hairs[..., None], tone, image)
    reach = np.clip(-edge / tassel, 0, 1)
    ragged = 0.55 + 0.4 * noise(rng, 1, max(4, width), max(2, width // 24), 2)
    alpha = np.where(hairs, np.clip((ragged - reach) * 6, 0, 1) * (0.25 + 0.75 * strands), 1.0)
    return np.dstack([np.clip(image, 0, 255), alpha * 255]).astype(np.uint8)


def shag(prop: Prop, height: int, width: int) -> Bytes:
    """A shaggy rug. ``colours``: the wool."""
    rng = np.random.default_rng([prop.seed, 29])
    cells = max(8, round(min(height, width) / 5))
    coarse, fine = (
        noise(rng, height, width, max(4, cells // 4), 2),
        noise(rng, height, width, cells, 1),
    )
    shade = 0.35 + 0.55 * fine + 0.45 * coarse
    rgb = shade[..., None] * np.array(prop.colours[0], np.float32)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    edge = np.minimum(np.minimum(x, width - x) / width, np.minimum(y, height - y) / height)
    alpha = np.clip((edge - 0.03 * fine) * 120, 0, 1) * 255
    return np.dstack([np.clip(rgb, 0, 255), alpha]).astype(np.uint8)


def shelf(prop: Prop, height: int, width: int) -> Bytes:
    """Spines in a dark shelf, as tall as the texture. ``colours``: the dark, then the spines."""
    rng = np.random.default_rng([prop.seed, 31])
    image = np.empty((height, width, 3), np.float32)
    image[:] = prop.colours[0]
    across, upward = prop.shape
    unit, left = width / max(across, 0.1), 0.0
    boards = max(1, round(upward / 1.0))
    for board in range(boards):
        low = round(height * (board + 1) / boards)
        tall = height / boards
        left = rng.uniform(0, 0.1) * unit
        while left < width:
            thick = max(1.0, unit * rng.uniform(0.04, 0.11))
            spine = prop.colours[1 + int(rng.integers(max(1, len(prop.colours) - 1)))]
            top = round(low - tall * rng.uniform(0.62, 0.9))
            x0, x1 = round(left), max(round(left) + 1, round(left + thick * 0.86))
            column = np.array(spine) * rng.uniform(0.5, 1.05)
            image[top : low - round(tall * 0.06), x0:x1] = column
            mark = round(tall * rng.uniform(0.06, 0.4))
            label = 235 if column.sum() < 330 else 40
            if x1 - x0 > 3 and rng.random() < 0.75:
                mid = slice(x0 + (x1 - x0) // 3, max(x0 + (x1 - x0) // 3 + 1, x1 - (x1 - x0) // 3))
                letters = slice(top + mark, top + mark + round(tall * 0.28))
                ink = rng.random((max(0, letters.stop - letters.start), 1, 1)) < 0.6
                target = image[letters, mid]
                target[:] = np.where(ink[: len(target)], 0.3 * target + 0.7 * label, target)
            left += thick + (unit * rng.uniform(0.1, 0.5) if rng.random() < 0.06 else 0)
        image[low - max(1, round(tall * 0.06)) : low] = np.array(prop.colours[0]) * 0.6
    depth = np.linspace(0.75, 1.0, height, dtype=np.float32)[:, None, None]
    return np.asarray(np.clip(image * depth, 0, 255), dtype=np.uint8)


def grille(prop: Prop, height: int, width: int) -> Bytes:
    """A slotted grille in a frame. ``colours``: the frame, the dark between the bars."""
    frame, dark = np.array(prop.colours[0], np.float32), np.array(prop.colours[1], np.float32)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = (x + 0.5) / width * prop.shape[0], (y + 0.5) / height * prop.shape[1]
    period = 0.11
    wave = np.abs(y / period - np.floor(y / period) - 0.5) * 2
    bars = np.clip((wave - 0.45) * max(1.0, height * period / prop.shape[1] * 0.5) + 0.5, 0, 1)
    pattern = dark + (frame * 0.93 - dark) * bars[..., None]
    edge = np.minimum(np.minimum(x, prop.shape[0] - x), np.minimum(y, prop.shape[1] - y))
    inside = np.clip((edge - 0.16) * 60, 0, 1)[..., None]
    return np.asarray(np.clip(frame * (1 - inside) + pattern * inside, 0, 255), dtype=np.uint8)


def slab(prop: Prop, height: int, width: int) -> Bytes:
    """A plain board, wall or box with a faint grain. ``colours``: its colour."""
    rng = np.random.default_rng([prop.seed, 37])
    grain = noise(rng, height, max(2, width // 8), 3, 3)
    grain = np.asarray(cv2.resize(grain, (width, height)), np.float32)
    shade = (0.92 + 0.16 * grain)[..., None]
    return np.asarray(
        np.clip(shade * np.array(prop.colours[0], np.float32), 0, 255), dtype=np.uint8
    )


def glass(prop: Prop, height: int, width: int) -> Bytes:
    """Dark glass with round corners that mirrors a bright window. ``colours``: glass, mirrored."""
    rng = np.random.default_rng([prop.seed, 41])
    image = np.empty((height, width, 3), np.float32)
    image[:] = prop.colours[0]
    x0, y0 = rng.uniform(0, width * 0.7), rng.uniform(0, height * 0.6)
    for _ in range(3):
        x1, y1 = x0 + rng.uniform(0.1, 0.35) * width, y0 + rng.uniform(0.2, 0.5) * height
        quad = np.array([(x0, y0), (x1, y0 + 0.1 * height), (x1 - 0.1 * width, y1), (x0, y1)])
        tone = np.array(prop.colours[1]) * rng.uniform(0.4, 0.9)
        cv2.fillPoly(image, [quad.astype(np.int32)], tone.tolist(), cv2.LINE_AA)
        x0 += rng.uniform(-0.2, 0.3) * width
    alpha = np.zeros((height, width), np.uint8)
    radius = max(1, round(min(height, width) * 0.12))
    cv2.rectangle(alpha, (radius, 0), (width - radius, height), 255, -1)
    cv2.rectangle(alpha, (0, radius), (width, height - radius), 255, -1)
    for centre in ((radius, radius), (width - radius, radius), (radius, height - radius),
                   (width - radius, height - radius)):  # fmt: skip
        cv2.circle(alpha, centre, radius, 255, -1, cv2.LINE_AA)
    return np.dstack([np.clip(image, 0, 255), alpha]).astype(np.uint8)


def disk(prop: Prop, height: int, width: int) -> Bytes:
    """The foot of a lamp. ``colours``: its colour."""
    image = np.empty((height, width, 3), np.float32)
    image[:] = prop.colours[0]
    image *= np.linspace(1.05, 0.85, width, dtype=np.float32)[None, :, None]
    alpha = np.zeros((height, width), np.uint8)
    axes = (width // 2 - 1, height // 2 - 1)
    if min(axes) > 0:
        cv2.ellipse(alpha, (width // 2, height // 2), axes, 0, 0, 360, 255, -1, cv2.LINE_AA)
    return np.dstack([np.clip(image, 0, 255), alpha]).astype(np.uint8)


def leaves(prop: Prop, height: int, width: int) -> Bytes:
    """A bunch of dry leaves and heads. ``colours``: their colours."""
    rng = np.random.default_rng([prop.seed, 43])
    image = np.zeros((height, width, 4), np.uint8)
    for _ in range(90):
        angle, away = rng.uniform(0, 6.3), np.sqrt(rng.random()) * 0.42
        x, y = (0.5 + away * np.cos(angle)) * width, (0.5 + away * np.sin(angle)) * height
        colour = prop.colours[int(rng.integers(len(prop.colours)))]
        tone = [*(np.array(colour) * rng.uniform(0.45, 1.1)).clip(0, 255).tolist(), 255]
        size = rng.uniform(0.02, 0.08) * min(height, width)
        axes = (max(1, round(size)), max(1, round(size * rng.uniform(0.3, 1))))
        cv2.ellipse(
            image, (round(x), round(y)), axes, float(np.degrees(angle)), 0, 360, tone, -1,
            cv2.LINE_AA,
        )  # fmt: skip
    return image


def sunlight(prop: Prop, height: int, width: int) -> Bytes:
    """A patch of sun with soft edges and a window's bars. ``colours``: the light."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = (x + 0.5) / width, (y + 0.5) / height
    edge = np.minimum(np.minimum(x, 1 - x) * 14, np.minimum(y, 1 - y) * 20)
    bars = np.minimum(np.abs(x - 0.5) * 20, np.abs(y - 0.5) * 30)
    alpha = np.clip(np.minimum(edge, bars), 0, 1) * 115
    rgb = np.full((height, width, 3), prop.colours[0], np.float32)
    return np.dstack([rgb, alpha]).astype(np.uint8)


_DRAW: dict[str, Callable[[Prop, int, int], Bytes]] = {
    "carpet": carpet, "shag": shag, "shelf": shelf, "grille": grille, "slab": slab,
    "glass": glass, "disk": disk, "leaves": leaves, "sunlight": sunlight,
}  # fmt: skip


def skin(prop: Prop, width: int) -> Skin:
    """Draw a prop at about the size at which a picture ``width`` pixels wide shows it."""
    corners = prop.body.front * (width, width)
    sides = np.linalg.norm(np.roll(corners, -1, 0) - corners, axis=1)
    across, along = (
        int(np.clip(max(sides[k], sides[k + 2]), 8, min(_EDGE, 3 * width // 2))) for k in (0, 1)
    )
    return Skin(_DRAW[prop.kind](prop, along, across), paper=prop.colours[0])
