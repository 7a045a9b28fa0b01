"""Counts the photos of each class and split, and reports problems with the counts."""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bookcls.checking.finding import Finding
from bookcls.data.samples import PhotoFolder, count_units, split_train_val
from bookcls.environment import python_command
from bookcls.errors import BookclsError
from bookcls.settings import DataConfig

UNEVEN = 5
"""Minimum ratio of two class sizes that is reported."""
FEW = 2
"""Minimum number of validation photos per class; fewer are not informative."""


@dataclass(frozen=True)
class Row:
    """The counts of a class.

    Attributes:
        name: The class.
        train: Photos left for training.
        val: Photos held out for validation.
        drawn: How often an epoch draws each training photo, on average.
        tests: Photos of each test split that accept the class.
    """

    name: str
    train: int
    val: int
    drawn: float
    tests: tuple[int, ...]


def count_classes(
    folder: PhotoFolder, data: DataConfig, seed: int = 0
) -> tuple[list[Row], list[Finding]]:
    """Counts the photos as training would split them, and finds what to expect.

    Args:
        folder: The dataset.
        data: The settings of the split and of oversampling.
        seed: Seed of the split; it decides which photos are held out, not how many.
    """
    findings = []
    train, val = folder.train, folder.train[:0]
    try:
        train, val = split_train_val(train, folder.class_names, data.val_fraction, seed)
    except BookclsError as error:
        findings.append(Finding("too few to validate", True, "add photos", [str(error)]))
    train_counts, val_counts = (Counter(s.label for s in part) for part in (train, val))
    most = max(train_counts.values(), default=0)
    rows = [
        Row(
            name,
            train_counts[label],
            val_counts[label],
            most / train_counts[label] if data.oversample and train_counts[label] else 1.0,
            tuple(sum(label in s.accepted for s in t) for t in folder.tests.values()),
        )
        for label, name in enumerate(folder.class_names)
    ]
    return rows, [*findings, *balance_findings(folder, rows, data)]


def balance_findings(folder: PhotoFolder, rows: Sequence[Row], data: DataConfig) -> list[Finding]:
    """Creates the findings about the number of photos."""
    units = count_units(folder.train)
    least = min(units[label] for label in range(len(rows)))
    folds = f"data.cv={min(5, least)}" if least > 1 else "(two different photos of each class)"
    root = shlex.quote(str(folder.root))
    tune = f"{python_command()} -m bookcls.tune data=folder data.root={root} trials=1 {folds}"
    few = [r for r in rows if 0 < r.val < FEW]
    most = max(r.train for r in rows)
    uneven = [r for r in rows if 0 < r.train * UNEVEN <= most]
    absent = [f"no test photo shows {r.name}" for r in rows if not any(r.tests)]
    advice = (
        "oversampling draws the photos of a small class again, so the network sees the same few "
        "photos often: strong augmentation (aug=all) or more photos"
        if data.oversample
        else "with data.oversample=false small classes are rarely seen: use data.oversample=true"
    )
    return [
        Finding(
            "few to validate",
            False,
            "data.val_fraction=0 trains on all and keeps the last weights; "
            f"{tune} predicts every photo once",
            [f"{r.name}: {r.val} of {r.train + r.val} held out" for r in few],
        ),
        Finding(
            "uneven classes",
            False,
            advice,
            [
                f"{r.name}: {r.train} photos, the largest class has {most}, "
                f"{describe_sampling(r, data)}"
                for r in uneven
            ],
        ),
        Finding(
            "no test photos",
            False,
            f"{python_command()} -m bookcls.init data.root={root} output=DIR test_fraction=0.2 "
            f"holds out some; {tune} cross-validates without them",
            [] if folder.tests else ["nothing would measure how good the classifier is"],
        ),
        Finding("untested class", False, "add test photos of it", absent if folder.tests else []),
        Finding(
            "no background",
            False,
            "a class background, with photos of none of your classes, lets the model predict none "
            "of them; not needed if every future photo shows one of them",
            []
            if any(name.lower() == "background" for name in folder.class_names)
            else ["a photo of anything else will be assigned to one of your classes"],
        ),
    ]


def describe_sampling(row: Row, data: DataConfig) -> str:
    """Describes how often an epoch draws each photo of a class."""
    return f"each drawn {row.drawn:.1f} times an epoch" if data.oversample else "each drawn once"
