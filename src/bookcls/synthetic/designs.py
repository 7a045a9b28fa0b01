"""Cover identities: an integer gives a design, ``member`` its near-duplicates.

The members of a family share all but one detail, as volumes of one series do.
"""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np

from bookcls.synthetic import glyphs, pictures
from bookcls.synthetic.arrays import Colour
from bookcls.synthetic.covers import BLACK, WHITE, Block, Design, render


def _colour(rng: np.random.Generator, *, vivid: bool = True) -> Colour:
    hue = rng.random()
    if vivid:
        saturation, value = rng.uniform(0.45, 0.95), rng.uniform(0.35, 0.95)
    else:
        saturation, value = rng.uniform(0.0, 0.3), rng.uniform(0.75, 0.97)
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _ink_on(ground: Colour, rng: np.random.Generator) -> Colour:
    """A colour that can be read on ``ground``."""
    bright = sum(ground) > 400
    if rng.random() < 0.4:
        colour = _colour(rng)
        if abs(sum(colour) - sum(ground)) > 220:
            return colour
    return BLACK if bright else WHITE


def _palette(rng: np.random.Generator, ground: Colour) -> tuple[Colour, ...]:
    middle = tuple(_colour(rng, vivid=rng.random() < 0.7) for _ in range(int(rng.integers(1, 5))))
    return (ground, *middle, _ink_on(ground, rng))


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _script(rng: np.random.Generator) -> str:
    weights = np.array([0.18, 0.1, 0.1, 0.07, 0.2, 0.1, 0.25])
    return str(rng.choice(np.array(glyphs.SCRIPTS), p=weights))


def design(identity: int, member: int = 0) -> Design:
    """Draw the design of an identity.

    Args:
        identity: Non-negative integer; any two give unlike covers.
        member: 0 for the cover itself; others share the layout, script and words of 0 and differ
            in one detail: a panel's colour, the picture, the title or the band.

    Returns:
        The design, a function of the two numbers alone.
    """
    rng = np.random.default_rng([identity, 0])
    white = rng.random() < 0.55
    base = WHITE if white else _colour(rng, vivid=rng.random() < 0.6)
    blocks: list[Block] = []
    ground = base
    if rng.random() < 0.6:
        top = rng.uniform(0.0, 0.3)
        sides = rng.choice([0.0, 0.06])
        box = (sides, top, 1 - sides, min(1.0, top + rng.uniform(0.35, 0.75)))
        ground = _colour(rng)
        blocks.append(Block("panel", box, (ground,)))
    if rng.random() < 0.85:
        x0, y0 = rng.uniform(0.0, 0.25), rng.uniform(0.15, 0.5)
        box = (x0, y0, min(1.0, x0 + rng.uniform(0.5, 1)), min(1.0, y0 + rng.uniform(0.25, 0.6)))
        kind = str(rng.choice(np.array(pictures.PICTURES)))
        blocks.append(Block("picture", box, _palette(rng, ground), kind, _seed(rng)))
    script, ink = _script(rng), _ink_on(ground if rng.random() < 0.5 else base, rng)
    vertical = script in ("kanji", "kana", "mixed") and rng.random() < 0.25
    y0, height = rng.uniform(0.04, 0.2), rng.uniform(0.1, 0.24)
    box = (0.07, y0, 0.93, y0 + height)
    if vertical:
        box = (0.6, 0.06, 0.92, 0.8)
    blocks.append(
        Block(
            "print",
            box,
            (ink,),
            script,
            _seed(rng),
            "",
            int(rng.integers(1, 4)),
            int(rng.integers(4, 10)),
            bool(rng.random() < 0.6),
            vertical,
        )
    )
    for _ in range(int(rng.integers(0, 4))):
        x0, y0 = rng.uniform(0.05, 0.5), rng.uniform(0.25, 0.9)
        box = (x0, y0, x0 + rng.uniform(0.25, 0.45), min(0.98, y0 + rng.uniform(0.03, 0.14)))
        style = _script(rng)
        rows, length = int(rng.integers(1, 6)), int(rng.integers(8, 22))
        blocks.append(
            Block("print", box, (_ink_on(base, rng),), style, _seed(rng), "", rows, length)
        )
    band: tuple[Block, ...] = ()
    if rng.random() < 0.5:
        band = _band(rng, rng.uniform(0.6, 0.8))
    return _vary(
        Design(
            base,
            tuple(blocks),
            band,
            _colour(rng) if rng.random() < 0.4 else base,
            rng.uniform(0.66, 0.8),
            rng.uniform(0.05, 0.14),
        ),
        identity,
        member,
    )


def _band(rng: np.random.Generator, top: float) -> tuple[Block, ...]:
    fill = WHITE if rng.random() < 0.3 else _colour(rng)
    ink, script = _ink_on(fill, rng), _script(rng)
    low, high = (top, 0.99) if rng.random() < 0.7 else (0.99 - (1 - top), 1.0)
    mid = low + (high - low) * 0.45
    rows, length = int(rng.integers(2, 5)), int(rng.integers(14, 24))
    return (
        Block("panel", (0.0, low, 1.0, high), (fill,)),
        Block("print", (0.06, low + 0.03, 0.94, mid), (ink,), script, _seed(rng), bold=True),
        Block("print", (0.06, mid + 0.01, 0.7, high - 0.03), (ink,), script, _seed(rng), "",
              rows, length),
    )  # fmt: skip


def _vary(base: Design, identity: int, member: int) -> Design:
    """Change one detail of a design that is to be seen; member 0 keeps it."""
    if member == 0:
        return base
    rng = np.random.default_rng([identity, member])
    known = render(base, 48)
    for _ in range(8):
        other = _change(base, rng)
        if np.abs(render(other, 48).astype(np.float32) - known).mean() > 1:
            return other
    # Later blocks hide what was changed: take another paper.
    return replace(base, base=_colour(rng, vivid=False), blocks=_change(base, rng).blocks)


def _change(base: Design, rng: np.random.Generator) -> Design:
    blocks = list(base.blocks)
    kinds = [block.kind for block in blocks]
    choices = [k for k, kind in enumerate(kinds) if kind != "print"] or [kinds.index("print")]
    title = kinds.index("print")
    index = title if rng.random() < 0.25 else choices[int(rng.integers(len(choices)))]
    block = blocks[index]
    if block.kind == "panel":
        blocks[index] = replace(block, colours=(_colour(rng),))
    elif block.kind == "picture":
        blocks[index] = replace(block, seed=_seed(rng), colours=_palette(rng, block.colours[0]))
    else:
        blocks[index] = replace(block, seed=_seed(rng))
    return replace(base, blocks=tuple(blocks))
