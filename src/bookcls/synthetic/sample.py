"""Render ``dataset/sample``: photos, labels, masks and a contact sheet.

python -m bookcls.synthetic.sample --output dataset
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bookcls.synthetic import covers, scenes
from bookcls.synthetic.arrays import Bytes
from bookcls.synthetic.books import BOOKS, UNKNOWN
from bookcls.synthetic.plan import BACKGROUND, CLASS_NAMES, NAMES, Photo, label, photos

LONG, SHORT = 512, 384
QUALITY = 85
UNKNOWN_BOOK = 255
_TURNS = {1: 0, 3: 2, 6: 1, 8: 3}
_SHOWN = (0, 1, 2, 6, 10, 14)


@lru_cache(maxsize=64)
def _skin(name: str, band_shift: float) -> covers.Skin:
    return covers.skin({**BOOKS, **UNKNOWN}[name], 720, band_shift=band_shift)


def render(photo: Photo) -> tuple[Bytes, Bytes, list[float]]:
    """Render one photo as it is stored.

    Args:
        photo: From the plan.

    Returns:
        uint8 RGB ``(H, W, 3)`` and uint8 mask ``(H, W)``, both in stored orientation, and each
        item's visible share of the picture.
    """
    textures = [_skin(name, photo.band_shift) for name in NAMES]
    scene = scenes.compose(photo.layout, textures, SHORT, LONG)
    values = [
        CLASS_NAMES.index(name) + 1 if name in BOOKS else UNKNOWN_BOOK
        for name in (NAMES[item.cover] for item in photo.layout.items)
    ]
    mask = np.array([*values, 0], np.uint8)[scene.index]
    turns = _TURNS[photo.orientation]
    stored = np.ascontiguousarray(np.rot90(scene.image, turns))
    shares = [truth.share for truth in scene.truths]
    return stored, np.ascontiguousarray(np.rot90(mask, turns)), shares


def jpeg(image: Bytes, orientation: int) -> bytes:
    """JPEG bytes of stored pixels with their EXIF orientation; 1 writes no EXIF at all."""
    buffer = BytesIO()
    exif = Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    Image.fromarray(image).save(buffer, "JPEG", quality=QUALITY, exif=exif, optimize=True)
    return buffer.getvalue()


def photo_path(photo: Photo) -> Path:
    """Where a photo lies below the sample's root."""
    return Path(photo.split) / photo.folder / f"{photo.stem}.jpg"


def mask_path(photo: Photo) -> Path:
    """Where a photo's mask lies below the sample's root."""
    return Path("masks") / photo.split / f"{photo.stem}.png"


def write(root: Path) -> None:
    """Render the whole sample into ``root``; files of other names there are left alone."""
    rows: dict[str, list[tuple[str, str, str]]] = {"test_easy": [], "test_difficult": []}
    for photo in photos():
        image, mask, shares = render(photo)
        for path in (root / photo_path(photo), root / mask_path(photo)):
            path.parent.mkdir(parents=True, exist_ok=True)
        (root / photo_path(photo)).write_bytes(jpeg(image, photo.orientation))
        Image.fromarray(mask).save(root / mask_path(photo), optimize=True)
        dominant, accepted = label(photo, shares)
        if photo.split in rows:
            rows[photo.split].append((f"{photo.stem}.jpg", dominant, ";".join(accepted)))
    for split, lines in rows.items():
        with (root / split / "labels.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("file", "dominant", "accepted"))
            writer.writerows(lines)


def _upright(path: Path, width: int, height: int) -> Image.Image:
    """A photo as a viewer shows it, fitted into a cell."""
    with Image.open(path) as image:
        turn = {3: 180, 6: 270, 8: 90}.get(image.getexif().get(0x0112, 1), 0)
        shown = image.convert("RGB").rotate(turn, expand=True)
    shown.thumbnail((width, height), Image.Resampling.LANCZOS)
    return shown


def contact_sheet(root: Path, target: Path) -> None:
    """Lay some photos of each class, all Easy and all Difficult ones on one sheet."""
    plan = photos()
    sections: list[tuple[str, list[tuple[str, Photo]]]] = [("Training", [])]
    for name in CLASS_NAMES:
        own = [photo for photo in plan if photo.folder == name]
        picks = _SHOWN if name == BACKGROUND else (0, 2, 4)
        sections[0][1].extend((name, own[k]) for k in picks)
    for title, split in (("Easy", "test_easy"), ("Difficult", "test_difficult")):
        with (root / split / "labels.csv").open(newline="", encoding="utf-8") as file:
            accepted = [row["accepted"].replace(";", " ") for row in csv.DictReader(file)]
        own = [photo for photo in plan if photo.split == split]
        sections.append((f"{title}, with accepted classes", list(zip(accepted, own, strict=True))))
    width, height, num, head, line = 164, 123, 7, 26, 141
    rows = [-(-len(cells) // num) for _, cells in sections]
    size = (num * (width + 6) + 6, sum(rows) * line + head * len(sections) + 4)
    sheet = Image.new("RGB", size, "white")
    pen, top = ImageDraw.Draw(sheet), 0
    for (title, cells), count in zip(sections, rows, strict=True):
        pen.text((6, top + 6), title, fill=(20, 20, 20), font=ImageFont.load_default(15))
        for k, (caption, photo) in enumerate(cells):
            x, y = 6 + k % num * (width + 6), top + head + k // num * line
            pen.text((x, y), caption, fill=(70, 70, 70), font=ImageFont.load_default(10))
            sheet.paste(_upright(root / photo_path(photo), width, height), (x, y + 14))
        top += head + count * line
    sheet.save(target, "JPEG", quality=82, optimize=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Render the sample dataset.")
    parser.add_argument("--output", type=Path, default=Path("dataset"), metavar="DIR",
                        help="folder that gets sample/ and contact_sheet.jpg")  # fmt: skip
    options = parser.parse_args(argv)
    write(options.output / "sample")
    contact_sheet(options.output / "sample", options.output / "contact_sheet.jpg")


if __name__ == "__main__":
    main()
