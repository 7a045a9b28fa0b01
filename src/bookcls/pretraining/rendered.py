"""Training scenes from the renderer: (seed, split, index) decides everything, in any process."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bookcls.data.streams import Stream
from bookcls.pretraining.bank import Bank
from bookcls.synthetic import rooms, sampling, scenes
from bookcls.synthetic.arrays import Bytes

MAX_COVERS = 5
"""Most covers in a scene."""

UNKNOWN = -1
"""Stands for a cover that no class knows, or for none at all."""

NO_KNOWN = 0.08
"""Share of scenes without a known cover: half of them empty rooms, half with distractors."""

Split = Literal["train", "val"]
_STREAM = {"train": Stream.RENDERED_TRAIN, "val": Stream.RENDERED_VAL}


@dataclass(frozen=True)
class LabelledScene:
    """A scene and the covers visible in it.

    Attributes:
        image: uint8 RGB (S, S, 3).
        ids: int64 (MAX_COVERS,): identities from 0, UNKNOWN for a distractor or nothing.
        areas: float32 (MAX_COVERS,): visible area of each as a share of the picture.
    """

    image: Bytes
    ids: npt.NDArray[np.int64]
    areas: npt.NDArray[np.float32]


def draw_rows(rng: np.random.Generator, bank: Bank) -> list[int]:
    """Draws the rows of the bank that are in a scene; may be empty."""
    num_unknown = bank.num_covers - bank.num_identities
    way = rng.random()
    if way < NO_KNOWN / 2:
        return []
    num = 1 + int(rng.choice(MAX_COVERS, p=[0.34, 0.24, 0.18, 0.14, 0.1]))
    strange = rng.random(num) < (1.0 if way < NO_KNOWN else 0.15)
    if way >= NO_KNOWN:
        strange[int(rng.integers(num))] = False
    known = rng.choice(bank.num_identities, size=min(num, bank.num_identities), replace=False)
    others = rng.integers(num_unknown, size=num) + bank.num_identities
    pairs = zip(np.resize(known, num), others, strict=True)
    return [int(b if odd else a) for (a, b), odd in zip(pairs, strange, strict=True)]


def render_scene(
    bank: Bank, rows: Bytes, image_size: int, *, seed: int, split: Split, index: int
) -> LabelledScene:
    """Renders a scene.

    Args:
        bank: The covers.
        rows: ``bank.pictures()``, opened by this process.
        image_size: Side of the picture in pixels.
        seed: Seed of the run.
        split: Its scenes never meet the other split's.
        index: Number of the scene.

    Returns:
        A square part of a 4:3 picture, turned by quarters at random, and its truth.
    """
    rng = np.random.default_rng([_STREAM[split], seed, index])
    chosen = draw_rows(rng, bank)
    if chosen:
        scale = rng.normal(1.0, 0.07, len(chosen)).clip(0.8, 1.2)
        sizes = [
            (float(w * k), float(h * k), float(d * k))
            for (w, h, d), k in zip(bank.sizes[chosen], scale, strict=True)
        ]
        layout = sampling.anywhere(rng, sizes, range(len(chosen)))
    else:
        layout = rooms.empty(rng)
    skins = [bank.skin(rows, row) for row in chosen]
    # Cuts near the middle are the likeliest: at the ends there is often no book left.
    left, turns = float(rng.random(2).mean()), int(rng.integers(4))
    image, index_map = scenes.framed(layout, skins, image_size, image_size, at=left)
    counts = np.bincount(index_map.ravel() + 1, minlength=MAX_COVERS + 1)[1:]
    ids = np.full(MAX_COVERS, UNKNOWN, np.int64)
    for place, row in enumerate(chosen):
        ids[place] = row if row < bank.num_identities else UNKNOWN
    areas = (counts[:MAX_COVERS] / image_size**2).astype(np.float32)
    return LabelledScene(np.ascontiguousarray(np.rot90(image, turns)), ids, areas)
