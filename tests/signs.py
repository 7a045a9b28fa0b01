"""Photos of road signs, rendered: a small dataset that is not books.

``python tests/signs.py DIR`` writes DIR/train/<sign>/ and DIR/test/<sign>/; with ``--flat`` the
class folders lie in DIR itself, without test photos; ``--background`` adds a class of streets
without a sign; another ``--seed`` takes other photos.
"""

import argparse
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 160
"""Side of a photo in pixels."""
SIGNS = ("ahead", "crossing", "no_entry", "stop", "yield")
WHITE, RED, BLUE, BLACK, YELLOW = "#f4f4f0", "#c4202b", "#1f5fae", "#1a1a1a", "#f2c230"


def polygon(num_corners: int, turn: float, radius: float = 95) -> list[tuple[float, float]]:
    """Corners of a regular polygon in a square of 200, turned by so many degrees."""
    angles = [math.radians(turn + 360 * i / num_corners) for i in range(num_corners)]
    return [(100 + radius * math.cos(a), 100 + radius * math.sin(a)) for a in angles]


def sign(name: str) -> Image.Image:
    """One sign as it is printed, 200 x 200 RGBA."""
    image = Image.new("RGBA", (200, 200))
    pen = ImageDraw.Draw(image)
    if name == "stop":
        pen.polygon(polygon(8, 22.5), RED, WHITE, 6)
        pen.text((100, 100), "STOP", WHITE, font_size=66, anchor="mm", stroke_width=2)
    elif name == "no_entry":
        pen.ellipse((5, 5, 195, 195), RED)
        pen.rectangle((35, 82, 165, 118), WHITE)
    elif name == "yield":
        pen.polygon(polygon(3, 90), WHITE, RED, 22)
    elif name == "ahead":
        pen.ellipse((5, 5, 195, 195), BLUE)
        pen.polygon(
            [(100, 30), (150, 90), (115, 90), (115, 170), (85, 170), (85, 90), (50, 90)], WHITE
        )
    else:
        pen.polygon(polygon(4, 0), YELLOW, BLACK, 8)
        pen.ellipse((88, 42, 112, 66), BLACK)
        pen.line([(100, 66), (100, 110), (75, 150)], BLACK, 12)
        pen.line([(100, 110), (125, 150)], BLACK, 12)
        pen.line([(72, 90), (128, 90)], BLACK, 10)
    return image


def street(rng: np.random.Generator) -> Image.Image:
    """A background: sky, ground, and some houses or trees."""
    image = Image.new("RGB", (SIDE, SIDE), tuple(rng.integers(120, 240, 3).tolist()))
    pen = ImageDraw.Draw(image)
    horizon = int(rng.uniform(0.4, 0.8) * SIDE)
    pen.rectangle((0, horizon, SIDE, SIDE), tuple(rng.integers(60, 150, 3).tolist()))
    for _ in range(rng.integers(5, 12)):
        x, width, height = rng.uniform((-20, 15, 20), (SIDE, 60, horizon))
        box = (x, horizon - height, x + width, horizon + rng.uniform(0, 15))
        colour = tuple(rng.integers(30, 220, 3).tolist())
        if rng.random() < 0.5:
            pen.rectangle(box, colour)
        else:
            pen.ellipse(box, colour)
    return image


def photo(name: str | None, rng: np.random.Generator) -> Image.Image:
    """A street with a sign in it, or without one; light, blur and noise of a camera."""
    image = street(rng)
    if name is not None:
        size = int(rng.uniform(0.35, 0.7) * SIDE)
        turned = sign(name).rotate(rng.uniform(-12, 12), Image.Resampling.BICUBIC, expand=True)
        turned = turned.resize((int(size * rng.uniform(0.8, 1)), size), Image.Resampling.LANCZOS)
        at = (int(rng.uniform(0, SIDE - turned.width)), int(rng.uniform(0, SIDE - size)))
        pole = at[0] + turned.width // 2
        grey = (130, 130, 130)
        ImageDraw.Draw(image).rectangle((pole - 3, at[1] + size // 2, pole + 3, SIDE), grey)
        image.paste(turned, at, turned)
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9)))
    pixels = np.asarray(image, np.float64) * rng.uniform(0.75, 1.15) + rng.normal(
        0, 5, (SIDE, SIDE, 3)
    )
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def make_signs(
    root: Path,
    *,
    flat: bool = False,
    background: bool = False,
    num_train: int = 12,
    num_test: int = 3,
    seed: int = 0,
) -> Path:
    """Renders the dataset.

    Args:
        root: Its folder.
        flat: Class folders directly in it, no test photos.
        background: Adds a class of streets without a sign.
        num_train: Photos of each class.
        num_test: Test photos of each class.
        seed: Decides every pixel.
    """
    splits = {"": num_train} if flat else {"train": num_train, "test": num_test}
    for label, name in enumerate([*SIGNS, *(["background"] if background else [])]):
        for part, (split, number) in enumerate(splits.items()):
            folder = root / split / name
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(number):
                rng = np.random.default_rng([seed, label, part, i])
                shown = None if name == "background" else name
                photo(shown, rng).save(folder / f"{name}_{split or 'x'}_{i:02d}.jpg", quality=90)
    return root


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Render photos of road signs.")
    parser.add_argument("output", type=Path)
    parser.add_argument("--flat", action="store_true")
    parser.add_argument("--background", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    make_signs(given.output, flat=given.flat, background=given.background, seed=given.seed)
