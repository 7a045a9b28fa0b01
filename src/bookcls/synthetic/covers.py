"""Book covers: a design is plain data, its picture follows from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bookcls.synthetic import glyphs, pictures
from bookcls.synthetic.arrays import Bytes, Colour, resize

Box = tuple[float, float, float, float]
WHITE: Colour = (246, 245, 243)
BLACK: Colour = (28, 28, 32)


@dataclass(frozen=True)
class Block:
    """One element of a cover.

    Attributes:
        kind: A filled panel, a picture, or lines of print.
        box: (x0, y0, x1, y1) in fractions of the cover's width and height.
        colours: Fill of a panel, ink of print, or ground to ink of a picture (RGB).
        style: Script of print, or kind of picture.
        seed: Seed of the picture or of the words.
        text: Words to print instead of random ones.
        rows: Lines of print (columns where vertical).
        length: Characters in a line, about.
        bold: Heavy print.
        vertical: Print that runs from top to bottom, columns from the right.
    """

    kind: Literal["panel", "picture", "print"]
    box: Box
    colours: tuple[Colour, ...]
    style: str = "kanji"
    seed: int = 0
    text: str = ""
    rows: int = 1
    length: int = 8
    bold: bool = False
    vertical: bool = False


@dataclass(frozen=True)
class Design:
    """A cover as plain data.

    Attributes:
        base: Colour of the paper.
        blocks: Elements in drawing order.
        band: Elements of the paper band (obi), drawn last; they move together. May be empty.
        spine: Colour of the spine.
        aspect: Width over height.
        thickness: Thickness in units of the height.
    """

    base: Colour
    blocks: tuple[Block, ...]
    band: tuple[Block, ...] = ()
    spine: Colour = WHITE
    aspect: float = 0.72
    thickness: float = 0.09


@dataclass(frozen=True)
class Skin:
    """What covers the outside of a book.

    Attributes:
        front: uint8 RGB or RGBA ``(H, W, 3 or 4)``.
        spine: uint8 RGB of the left side, as tall as it is long, or None for paper.
        paper: Colour of the other three sides.
    """

    front: Bytes
    spine: Bytes | None = None
    paper: Colour = (226, 222, 212)


def _print(canvas: Bytes, block: Block, x0: int, y0: int, x1: int, y1: int) -> None:
    rng = np.random.default_rng([block.seed, 13])
    script: glyphs.Script = block.style  # type: ignore[assignment]
    for row in range(block.rows):
        length = round(block.length * (1.0 if row == 0 else rng.uniform(0.55, 1.0)))
        words = block.text.split("|")[row] if block.text else ""
        mask = glyphs.line(
            rng, script, length, text=words, bold=block.bold, vertical=block.vertical
        )
        if block.vertical:
            pitch = (x1 - x0) / block.rows
            width = max(1, round(pitch * 0.8))
            height = min(y1 - y0, max(1, round(mask.shape[0] * width / mask.shape[1])))
            left, top = round(x1 - pitch * (row + 1)), y0
        else:
            pitch = (y1 - y0) / block.rows
            height = max(1, round(pitch * 0.8))
            width = min(x1 - x0, max(1, round(mask.shape[1] * height / mask.shape[0])))
            left, top = x0, round(y0 + pitch * row)
        _blend(canvas, resize(mask, height, width), left, top, block.colours[0])


def _blend(canvas: Bytes, mask: Bytes, left: int, top: int, colour: Colour | Bytes) -> None:
    """Lay a colour or picture on the canvas through a mask, clipped to the canvas."""
    rows, cols = canvas.shape[0] - top, canvas.shape[1] - left
    mask = mask[: max(0, rows), : max(0, cols)]
    patch = canvas[top : top + mask.shape[0], left : left + mask.shape[1]]
    ink = np.asarray(colour, np.float32)
    if ink.ndim == 3:
        ink = ink[: mask.shape[0], : mask.shape[1]]
    alpha = mask[..., None].astype(np.float32) / 255
    patch[:] = (patch * (1 - alpha) + ink * alpha + 0.5).astype(np.uint8)


def _draw(canvas: Bytes, block: Block, shift: float) -> None:
    height, width = canvas.shape[:2]
    x0, x1 = (round(x * width) for x in block.box[0::2])
    y0, y1 = (round((y + shift) * height) for y in block.box[1::2])
    y0, y1 = max(0, y0), min(height, y1)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    if block.kind == "panel":
        canvas[y0:y1, x0:x1] = block.colours[0]
    elif block.kind == "picture":
        kind: pictures.Picture = block.style  # type: ignore[assignment]
        art = pictures.draw(kind, block.seed, y1 - y0, x1 - x0, list(block.colours))
        _blend(canvas, art[..., 3], x0, y0, art[..., :3])
    else:
        _print(canvas, block, x0, y0, x1, y1)


def render(plan: Design, height: int = 192, *, band_shift: float = 0.0) -> Bytes:
    """Draw the front of a cover.

    Args:
        plan: The design.
        height: Height in pixels; the width follows from the design's aspect.
        band_shift: How far the paper band has slipped down, in fractions of the height.

    Returns:
        uint8 RGB ``(height, width, 3)``.
    """
    canvas = np.full((height, max(2, round(height * plan.aspect)), 3), plan.base, np.uint8)
    for block in plan.blocks:
        _draw(canvas, block, 0.0)
    for block in plan.band:
        _draw(canvas, block, band_shift)
    return canvas


def skin(plan: Design, height: int = 192, *, band_shift: float = 0.0) -> Skin:
    """Draw the front and the spine of a book; arguments as in ``render``."""
    front = render(plan, height, band_shift=band_shift)
    width = max(2, round(height * plan.thickness))
    spine = np.full((height, width, 3), plan.spine, np.uint8)
    titles = [block for block in plan.blocks if block.kind == "print"]
    ink = BLACK if sum(plan.spine) > 400 else WHITE
    for block in plan.band[:1]:
        _draw(spine, replace(block, box=(0.0, block.box[1], 1.0, block.box[3])), band_shift)
    for block in titles[:1]:
        box = (0.2, 0.08, 0.8, 0.6)
        _draw(spine, replace(block, box=box, colours=(ink,), rows=1, vertical=True), 0.0)
    return Skin(front, spine)
