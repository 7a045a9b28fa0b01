"""Which recipe is best, judged without any test photo: by scenes of the photos that runs held out.

Each finished run of a folder is asked about scenes composed of things and grounds of its own
validation part: several things, turned, overlapping, small, with unknown ones among them. Seeds
hold out different photos, so that the mean over seeds is a repeated cross-validation (Monte Carlo:
random splits). Photos of one thing on one ground tell recipes apart no more once all get them
right; these scenes do.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import options, record
from bookcls.composing.compose import Scene, Scenes
from bookcls.composing.cutout import make_cutouts
from bookcls.composing.gather import BACKGROUND
from bookcls.config import read_config
from bookcls.data.dataset import read_folder
from bookcls.data.samples import Sample, split_train_val
from bookcls.reporting.cells import make_cells
from bookcls.reporting.collect import find_runs
from bookcls.runs import BEST, CONFIG
from bookcls.scoring.scores import SplitScores
from bookcls.training.checkpoint import load_classifier

UNKNOWN = 0.2
"""Share of a scene's things that are rendered ones of no class."""
ACCEPTED = 0.2
"""A class that takes such a share of what is seen of all is a fair answer."""
FIRST = 1_000_000
"""Seed of the first scene, the same for every run; training draws from others."""


def compose(scenes: Scenes, samples: Sequence[Sample], number: int) -> list[Scene]:
    """So many scenes, as many of each class."""
    labels = sorted({s.label for s in samples})
    found: list[Scene] = []
    for turn in range(20 * number):
        own = [s for s in samples if s.label == labels[turn % len(labels)]]
        scene = scenes.draw(own[turn // len(labels) % len(own)], FIRST + turn)
        found += [scene] if scene is not None else []
        if len(found) == number:
            return found
    raise SystemExit(f"only {len(found)} of {number} scenes could be composed of held-out photos")


def held_out(run: Path, number: int) -> list[Scene]:
    """Scenes of the photos that a run held out.

    Raises:
        SystemExit: If it held out none.
        BookclsError: If its photos are gone.
    """
    config = read_config(run / CONFIG)
    data, root = config.data, Path(config.data.root)
    folder = read_folder(root, on_bad=data.on_bad)
    _, val = split_train_val(folder.train, folder.class_names, data.val_fraction, config.seed)
    if not val:
        raise SystemExit(f"{run} held out no photo (data.val_fraction=0)")
    names = [name.casefold() for name in folder.class_names]
    background = names.index(BACKGROUND) if BACKGROUND in names else None
    # All photos tell which colours are a class's; only the held-out ones are drawn.
    cut = make_cutouts(tuple(folder.train), root, len(names), background, data.image_size)
    own = [c for c in cut if c.sample in set(val)]
    sizes = {"size": data.image_size, "fit": data.fit}
    scenes = Scenes(own, len(names), background, **sizes, share=1.0, unknown=UNKNOWN)
    things = [s for s in val if s.label in scenes.things or s.label == background]
    return compose(scenes, things, number)


@torch.inference_mode()
def score(run: Path, scenes: Sequence[Scene], rotations: int) -> dict[str, float]:
    """Accuracy, NLL and mean probability of what is fair to say of scenes."""
    classifier = load_classifier(run / BEST)
    images = torch.stack([classifier.preprocessing(scene.image) for scene in scenes])
    probs = torch.cat([classifier.probs(part, rotations) for part in torch.split(images, 50)])
    targets = torch.from_numpy(np.stack([scene.target for scene in scenes]))
    accepted = targets >= ACCEPTED
    scores = SplitScores(targets.shape[1])
    scores.update(probs, targets.argmax(dim=1), accepted)
    found = scores.compute()
    p_accepted = float((probs * accepted).sum(dim=1).mean())
    return {"acc": found["acc"], "NLL": found["nll"], "p(accepted)": p_accepted}


def main() -> None:
    """Scores each cell of a folder of runs."""
    started = time.monotonic()
    given = options(
        "held_out_scenes",
        __doc__,
        runs={"type": Path, "required": True, "help": "a sweep's folder"},
        scenes={"type": int, "default": 200, "help": "how many for each run"},
        rotations={"type": int, "default": 1, "choices": [1, 2, 4]},
    )
    number = 10 if given.toy else given.scenes
    rows: list[dict[str, Any]] = []
    for cell in make_cells(find_runs(given.runs).runs):
        own = [
            score(run.folder, held_out(run.folder, number), given.rotations) for run in cell.runs
        ]
        row: dict[str, Any] = {"recipe": cell.label, "seeds": len(own)}
        row |= {key: float(np.mean([scores[key] for scores in own])) for key in own[0]}
        rows.append(row)
    rows.sort(key=lambda row: row["NLL"])
    record(given, f"{number} scenes of held-out photos for each run", rows, started)


if __name__ == "__main__":
    main()
