"""Groups runs that differ only in their seed into cells, and labels the cells."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from bookcls.config import conf_dir
from bookcls.data.answers import Answer
from bookcls.models.layers import NAMES
from bookcls.reporting.collect import Run
from bookcls.reporting.files import read_yaml

Photo = tuple[str, str, str, tuple[str, ...]]
"""Split, file, dominant class, accepted classes: a photo with other labels is another photo."""

SOURCES = ("scratch", "rendered", "keras", "imagenet", "file")
AUGS = ("none", "mixup", "usual", "all")
"""Names of the study's augmentations."""
NAMED_AUGS = (*AUGS, "turn", "scenes")
SHORTENED = ("model.pretrained", "model.weights", "model.freeze_to")
"""Settings that the labels show as weights and freeze_to."""


@dataclass
class Cell:
    """Runs of the same settings, code, weights and data, one for each seed.

    Attributes:
        facets: Name -> value of everything that its label may contain.
        runs: One run per seed, sorted by seed.
        superseded: Names of older runs of a seed that has a newer one.
        label: The settings that differ between the cells.
        marks: Reasons why it cannot be compared like the others.
    """

    facets: dict[str, str]
    runs: list[Run]
    superseded: list[str] = field(default_factory=list)
    label: str = ""
    marks: list[str] = field(default_factory=list)

    @property
    def seeds(self) -> list[int]:
        """Seeds of its runs."""
        return [run.seed for run in self.runs]

    def photos(self, split: str) -> list[Photo]:
        """The test photos of a split, sorted."""
        return sorted(photo_key(a) for a in self.runs[0].answers if a.split == split)

    def values(self, split: str, value: Callable[[Answer], float]) -> npt.NDArray[np.float64]:
        """Applies a function to each prediction: float64 (seeds, photos), ordered as ``photos``."""
        rows = [
            [value(a) for a in sorted(run.answers, key=photo_key) if a.split == split]
            for run in self.runs
        ]
        return np.array(rows, dtype=np.float64)


def photo_key(answer: Answer) -> Photo:
    """Key that identifies the photo of a prediction."""
    return answer.split, answer.file, answer.dominant, answer.accepted


def make_cells(runs: Sequence[Run]) -> list[Cell]:
    """Groups runs into cells, labels and marks the cells, and sorts them by label."""
    groups: dict[Hashable, list[Run]] = {}
    for run in runs:
        photos = tuple(sorted(photo_key(a) for a in run.answers))
        settings = repr(sorted(run.settings.items()))
        key = (settings, run.code, run.source, run.weights, run.data, photos)
        groups.setdefault(key, []).append(run)
    cells = []
    for group in groups.values():
        newest: dict[int, Run] = {}
        for run in sorted(group, key=lambda run: (run.finished, run.name)):
            newest[run.seed] = run
        kept = [newest[seed] for seed in sorted(newest)]
        superseded = sorted(run.name for run in group if run not in kept)
        cells.append(Cell(find_facets(kept), kept, superseded))
    add_labels(cells)
    add_marks(cells)
    return cells


def find_facets(runs: Sequence[Run]) -> dict[str, str]:
    """Collects everything that may distinguish a cell from others, most informative first."""
    settings = runs[0].settings
    words = [word.partition("=") for run in runs for word in run.overrides]
    experiments = {value for name, _, value in words if name == "experiment"}
    first = {
        "experiment": experiments.pop() if len(experiments) == 1 else "",
        "weights": runs[0].source if runs[0].source != "file" else runs[0].weights.split(" ")[0],
        "aug": aug_name(settings),
        "freeze_to": str(settings["model.freeze_to"]),
    }
    rest = {k: "null" if v is None else str(v) for k, v in settings.items() if k not in SHORTENED}
    return first | rest


def aug_name(settings: dict[str, Any]) -> str:
    """Names the option of conf/aug that is closest to a run's settings, and the differences.

    Example:
        >>> aug_name({"aug.mixup_alpha": 0.2})
        'mixup'
        >>> aug_name({"aug.mixup_alpha": 1.0})
        'mixup+mixup_alpha=1'
    """
    own = {k.removeprefix("aug."): v for k, v in settings.items() if k.startswith("aug.")}
    options = aug_options()

    def changes(name: str) -> dict[str, float]:
        # Runs of earlier versions lack augmentations that were added later.
        return {k: own.get(k, 0.0) for k, v in options[name].items() if own.get(k, 0.0) != v}

    def distance(name: str) -> tuple[int, int]:
        # A different strength is a smaller change than a different augmentation.
        changed = changes(name)
        return sum(bool(v) != bool(options[name][k]) for k, v in changed.items()), len(changed)

    name = min(options, key=distance)
    return "+".join([name, *(f"{k}={v:g}" for k, v in changes(name).items())])


@cache
def aug_options() -> dict[str, dict[str, float]]:
    """Reads the options of conf/aug with all their values, those of the study first."""
    folder = conf_dir("train") / "aug"

    def values(name: str) -> dict[str, float]:
        own = read_yaml(folder / f"{name}.yaml")
        bases = [base for base in own.pop("defaults", []) if base != "_self_"]
        return dict(chain(*(values(base).items() for base in bases), own.items()))

    names = sorted(path.stem for path in folder.glob("*.yaml"))
    return {name: values(name) for name in sorted(names, key=lambda name: sort_key("aug", name))}


def add_labels(cells: list[Cell]) -> None:
    """Labels cells by the settings that differ between them, and sorts them by label.

    A setting that is determined by previous ones (such as the length of the probe stage by the
    weights) is left out, unless it was set on a command line.
    """
    overridden = {
        w.lstrip("+").partition("=")[0] for c in cells for r in c.runs for w in r.overrides
    }
    overridden |= {"weights"} if overridden & set(SHORTENED[:2]) else set()
    overridden |= {"freeze_to"} if SHORTENED[2] in overridden else set()
    overridden.discard("experiment")  # It sets others, which are shown if they differ.
    keys: list[str] = []
    for key in dict.fromkeys(key for cell in cells for key in cell.facets):
        values = [cell.facets.get(key, "") for cell in cells]
        before = [tuple(cell.facets.get(k, "") for k in keys) for cell in cells]
        splits_cells = len(set(zip(before, values, strict=True))) > len(set(before))
        described_by_aug = key.startswith("aug.") and "aug" in keys and not splits_cells
        if len(set(values)) > 1 and (splits_cells or key in overridden) and not described_by_aug:
            keys.append(key)
    for cell in cells:
        words = [f"{key}={cell.facets[key]}" for key in keys if cell.facets.get(key)]
        cell.label = " ".join(words) or "all runs"
    cells.sort(key=lambda cell: [sort_key(key, cell.facets.get(key, "")) for key in keys])


def sort_key(key: str, value: str) -> tuple[float, str]:
    """Sort key of a value among those of its setting."""
    if key == "aug":
        option, _, changes = value.partition("+")
        if option in NAMED_AUGS:
            return NAMED_AUGS.index(option), changes
    orders: dict[str, Sequence[str]] = {"weights": SOURCES, "freeze_to": NAMES}
    if value in orders.get(key, ()):
        return orders[key].index(value), ""
    try:
        return float(value), ""
    except ValueError:
        return float("inf"), value


def add_marks(cells: list[Cell]) -> None:
    """Marks cells with fewer seeds, or with other code, weights or data than most."""
    max_seeds = max(len(cell.runs) for cell in cells)
    code = most_common(run.code for cell in cells for run in cell.runs)
    data = most_common(run.data for cell in cells for run in cell.runs)
    for cell in cells:
        run = cell.runs[0]
        weights = most_common(r.weights for c in cells for r in c.runs if r.source == run.source)
        if len(cell.runs) < max_seeds:
            cell.marks.append(f"{pluralise(len(cell.runs), 'seed')} of {max_seeds}")
        if run.code != code:
            cell.marks.append(f"other code: {shorten_hashes(run.code)}")
        if run.weights != weights:
            cell.marks.append(f"other weights: {shorten_hashes(run.weights)}")
        if run.data != data:
            cell.marks.append(f"other data: {run.data[:7]}")


def most_common(values: Iterable[str]) -> str:
    """Returns the most frequent value; on a tie, the first."""
    return Counter(values).most_common(1)[0][0]


def shorten_hashes(words: str) -> str:
    """Shortens hashes to seven digits."""
    return " ".join(
        f"{word[:7]}{'+changes' if word.endswith('+changes') else ''}" if len(word) > 30 else word
        for word in words.split()
    )


def pluralise(number: int, noun: str) -> str:
    """Formats a number with a noun: 1 seed, 3 seeds."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
