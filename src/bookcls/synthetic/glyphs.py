"""Lines of print: letters of bundled fonts, and characters that are drawn here.

The drawn ones only look like kanji and kana: strokes on a grid, put together from parts as real
characters are, none of which means anything.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bookcls.synthetic.arrays import Bytes

Script: TypeAlias = Literal["latin", "serif", "cyrillic", "greek", "kanji", "kana", "mixed"]
SCRIPTS: tuple[Script, ...] = ("latin", "serif", "cyrillic", "greek", "kanji", "kana", "mixed")

_GLYPH = 48
_FONT_FILES = {"latin": "DejaVuSans", "serif": "DejaVuSerif"}
_LETTERS = {
    "cyrillic": ("бвгджзклмнпрст", "аеиоуыя"),
    "greek": ("βγδζθκλμνπρστφ", "αεηιουω"),
}
_LATIN = ("bcdfglmnprstvz", "aeiou")


@lru_cache(maxsize=16)
def _font(name: str, bold: bool) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A font that a dependency ships: matplotlib's DejaVu, else Pillow's own."""
    spec = importlib.util.find_spec("matplotlib")
    for place in (spec.submodule_search_locations or []) if spec else []:
        file = f"{name}{'-Bold' if bold else ''}.ttf"
        path = Path(place) / "mpl-data" / "fonts" / "ttf" / file
        if path.is_file():
            return ImageFont.truetype(path, _GLYPH)
    return ImageFont.load_default(_GLYPH)


def _part(canvas: Bytes, rng: np.random.Generator, box: tuple[int, int, int, int]) -> None:
    """Draw one part of a character into ``box`` (x0, y0, x1, y1)."""
    x0, y0, x1, y1 = box
    mid = (x0 + x1) // 2
    pen = 3 if min(x1 - x0, y1 - y0) < 24 else 4

    def line(*points: tuple[float, float]) -> None:
        path = np.array(points, np.float32).round().astype(np.int32)
        cv2.polylines(canvas, [path], False, 255, pen, cv2.LINE_AA)

    kind = int(rng.integers(6))
    bars = int(rng.integers(2, 5 if y1 - y0 > 28 else 4))
    heights = np.linspace(y0, y1, bars)
    if kind == 0:
        line((x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0))
        for y in heights[1:-1]:
            line((x0, y), (x1, y))
        if rng.random() < 0.5:
            line((mid, y0), (mid, y1))
    elif kind in (1, 2):
        for y in heights[: -1 if kind == 1 else None]:
            inset = rng.uniform(0, 0.25) * (x1 - x0)
            line((x0 + inset, y), (x1 - inset, y))
        line((mid, y0 - 2), (mid, y1))
    elif kind == 3:
        line((x0, y0 + (y1 - y0) * 0.3), (x1, y0 + (y1 - y0) * 0.3))
        line((mid, y0), (mid, y0 + (y1 - y0) * 0.5), (x0, y1))
        line((mid, y0 + (y1 - y0) * 0.45), (x1, y1))
    elif kind == 4:
        line((x0, y1), (x0, y0), (x1, y0), (x1, y1 - 2), (x1 - 5, y1 - 4))
        for y in heights[1:-1]:
            line((x0 + 6, y), (x1 - 6, y))
    else:
        for k in range(3):
            x = x0 + (x1 - x0) * (k + 0.5) / 3
            line((x, y0), (x - 3 + 3 * k, y0 + 6))
        line((x0, mid - x0 + y0 if y1 - y0 > 28 else y0 + 9), (x1, y0 + 10))
        line((mid, y0 + 10), (mid - 5, y1), (x0, y1 - 3))


def _kanji(rng: np.random.Generator) -> Bytes:
    canvas = np.zeros((_GLYPH, _GLYPH), np.uint8)
    low, high, mid = 5, _GLYPH - 6, _GLYPH // 2
    way = rng.random()
    if way < 0.45:
        cut = int(rng.integers(16, 24))
        _part(canvas, rng, (low, low, cut - 2, high))
        _part(canvas, rng, (cut + 3, low, high, high))
    elif way < 0.8:
        _part(canvas, rng, (low + 4, low, high - 4, mid - 4))
        _part(canvas, rng, (low, mid + 2, high, high))
    else:
        _part(canvas, rng, (low, low, high, high))
    return canvas


def _kana(rng: np.random.Generator) -> Bytes:
    canvas = np.zeros((_GLYPH, _GLYPH), np.uint8)
    for turn in rng.permutation(4)[: int(rng.integers(2, 4))]:
        angle = turn * np.pi / 4 + rng.normal(0, 0.25)
        reach = rng.uniform(12, 19) * np.array([np.cos(angle), np.sin(angle)])
        middle = rng.normal(_GLYPH / 2, 4, 2)
        start, end = middle - reach, middle + reach
        bend = middle + rng.normal(0, 16, 2)
        t = np.linspace(0, 1, 12)[:, None]
        path = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end
        points = np.clip(path, 5, _GLYPH - 6).round().astype(np.int32)
        cv2.polylines(canvas, [points], False, 255, 4, cv2.LINE_AA)
    if rng.random() < 0.5:
        y = int(rng.integers(10, 26))
        cv2.line(canvas, (8, y), (_GLYPH - 9, y - 2), 255, 4, cv2.LINE_AA)
    return canvas


@lru_cache(maxsize=2)
def _atlas(script: str) -> Bytes:
    """A fixed set of drawn characters, uint8 ``(count, 48, 48)``."""
    rng = np.random.default_rng([7001, len(script)])
    if script == "kanji":
        return np.stack([_kanji(rng) for _ in range(240)])
    return np.stack([_kana(rng) for _ in range(60)])


def word(rng: np.random.Generator, script: Script = "latin") -> str:
    """An invented word of one to four syllables in a lettered script."""
    consonants, vowels = _LETTERS.get(script, _LATIN)
    count = int(rng.integers(1, 5))
    return "".join(rng.choice(list(part)) for _ in range(count) for part in (consonants, vowels))


def _letters(text: str, script: Script, bold: bool) -> Bytes:
    font = _font(_FONT_FILES.get(script, "DejaVuSans"), bold)
    left, _, right, _ = font.getbbox(text)
    image = Image.new("L", (max(1, int(right - left)) + 4, _GLYPH + 12))
    ImageDraw.Draw(image).text((2 - left, 0), text, fill=255, font=font)
    return np.asarray(image, dtype=np.uint8)


def line(
    rng: np.random.Generator,
    script: Script,
    length: int,
    *,
    text: str = "",
    bold: bool = False,
    vertical: bool = False,
) -> Bytes:
    """One line of print as a mask.

    Args:
        rng: Source of the characters where ``text`` is empty.
        script: Which letters or drawn characters.
        length: About how many characters.
        text: Words to print; only lettered scripts can.
        bold: Heavier strokes.
        vertical: Drawn characters stacked from top to bottom; letters are turned a quarter.

    Returns:
        uint8 mask, 255 where there is ink; the short side is 48 (drawn) or 60 (letters) pixels.
    """
    if text or script not in ("kanji", "kana", "mixed"):
        words = text
        while not text and len(words) < length:
            words = f"{words} {word(rng, script)}".strip()
        strip = _letters(words.capitalize() if not text else words, script, bold)
        return np.ascontiguousarray(np.rot90(strip, -1)) if vertical else strip
    kanji, kana = _atlas("kanji"), _atlas("kana")
    share = {"kanji": 1.0, "kana": 0.0}.get(script, 0.5)
    glyphs = [
        kanji[rng.integers(len(kanji))] if rng.random() < share else kana[rng.integers(len(kana))]
        for _ in range(max(1, length))
    ]
    strip = np.concatenate(glyphs, axis=0 if vertical else 1)
    if bold:
        strip = np.asarray(cv2.dilate(strip, np.ones((3, 3), np.uint8)), dtype=np.uint8)
    return strip
