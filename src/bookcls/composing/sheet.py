"""A contact sheet of cut-outs and of scenes, to see what the network will see."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bookcls.composing.compose import Scenes
from bookcls.composing.cutout import Cutout
from bookcls.data.samples import Sample
from bookcls.storage.files import atomic_write, write_csv
from bookcls.synthetic.arrays import Bytes, Floats

CELL, GAP, LINE, HEAD, COLUMNS = 128, 6, 12, 26, 10
NUM_CUTOUTS, NUM_SCENES = 40, 40
_GREY = (188, 188, 188)


def write_table(path: Path, cutouts: Sequence[Cutout], class_names: Sequence[str]) -> None:
    """Writes a row per photo: file, class, and how its thing was cut out or why it was left out."""
    rows = []
    for c in cutouts:
        done = c.picture is not None
        name = class_names[c.sample.label]
        rows.append((c.sample.name, name, c.method if done else "none", "" if done else c.method))
    write_csv(path, ["file", "class", "cutout", "why_left_out"], rows)


def write_sheet(
    path: Path, scenes: Scenes, class_names: Sequence[str], samples: Sequence[Sample]
) -> None:
    """Draws some cut-outs and some scenes in one picture.

    Args:
        path: A .png file.
        scenes: What is drawn from.
        class_names: Names by label.
        samples: Photos that train; scenes are drawn for some of them.
    """
    things = [
        c for c in scenes.cutouts if c.picture is not None and c.sample.label in scenes.things
    ]
    left = [c for c in scenes.cutouts if c.picture is None]
    cells = [
        (_on_grey(c.picture), Path(c.sample.name).stem) for c in _pick_evenly(things, NUM_CUTOUTS)
    ]
    sections = [(f"Cut out of {len(things)} photos ({len(left)} left out)", cells)]
    drawn: list[tuple[Bytes, str]] = []
    order = np.random.default_rng(0).permutation(len(samples)).tolist()
    for seed in range(100 * NUM_SCENES):
        scene = scenes.draw(samples[order[seed % len(order)]], seed)
        if scene is not None:
            drawn.append((scene.image, _caption(scene.target, class_names)))
        if len(drawn) == NUM_SCENES:
            break
    sections.append(("Composed scenes, labelled by visible area", drawn))
    sheet = _draw_sheet(sections)
    with atomic_write(path) as temporary:
        sheet.save(temporary, "PNG")


def _pick_evenly(cutouts: Sequence[Cutout], number: int) -> list[Cutout]:
    """At most ``number``, evenly spaced."""
    step = max(1.0, len(cutouts) / number)
    return [cutouts[int(i * step)] for i in range(min(number, len(cutouts)))]


def _caption(target: Floats, class_names: Sequence[str]) -> str:
    shares = sorted(
        ((share, k) for k, share in enumerate(target.tolist()) if share > 0), reverse=True
    )
    if len(shares) == 1:
        return class_names[shares[0][1]]
    return " ".join(f"{class_names[k]} {share:.1f}"[:12] for share, k in shares[:3])


def _on_grey(picture: Bytes | None) -> Bytes:
    assert picture is not None
    alpha = picture[..., 3:].astype(np.float32) / 255
    laid = picture[..., :3] * alpha + np.array(_GREY, np.float32) * (1 - alpha)
    return laid.astype(np.uint8)


def _draw_sheet(sections: Sequence[tuple[str, Sequence[tuple[Bytes, str]]]]) -> Image.Image:
    across, down = CELL + GAP, CELL + GAP + LINE
    heights = [HEAD + -(-len(cells) // COLUMNS) * down for _, cells in sections]
    sheet = Image.new("RGB", (COLUMNS * across + GAP, sum(heights) + GAP), "white")
    pen, top = ImageDraw.Draw(sheet), 0
    title, small = ImageFont.load_default(15), ImageFont.load_default(10)
    for (heading, cells), height in zip(sections, heights, strict=True):
        pen.text((GAP, top + 6), heading, (20, 20, 20), title)
        for k, (picture, caption) in enumerate(cells):
            x, y = GAP + k % COLUMNS * across, top + HEAD + k // COLUMNS * down
            pen.text((x, y), caption[:24], (70, 70, 70), small)
            image = Image.fromarray(picture)
            scale = CELL / max(image.size)
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            method = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
            sheet.paste(image.resize(size, method), (x, y + LINE + 2))
        top += height
    return sheet
