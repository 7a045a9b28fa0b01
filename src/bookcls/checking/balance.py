"""How many photos there are, and what follows from it."""

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
"""A class with so many times the photos of another is worth a word."""
FEW = 2
"""Fewer validation photos of a class than this say next to nothing about it."""


@dataclass(frozen=True)
class Row:
    """A class in numbers.

    Attributes:
        name: The class.
        train: Photos that train.
        val: Photos held out for validation.
        drawn: How often an epoch draws each that trains, on average.
        tests: Photos of each test split for which it is a fair answer.
    """

    name: str
    train: int
    val: int
    drawn: float
    tests: tuple[int, ...]


def count_classes(
    folder: PhotoFolder, data: DataConfig, seed: int = 0
) -> tuple[list[Row], list[Finding]]:
    """Counts what train would train on, by its own split, and says what to expect.

    Args:
        folder: The dataset.
        data: The settings of the split and of oversampling.
        seed: Decides which photos are held out, not how many.
    """
    findings = []
    train, val = folder.train, folder.train[:0]
    try:
        train, val = split_train_val(train, folder.class_names, data.val_fraction, seed)
    except BookclsError as error:
        findings.append(Finding("too few to validate", True, "add photos", [str(error)]))
    trains, vals = (Counter(s.label for s in part) for part in (train, val))
    most = max(trains.values(), default=0)
    rows = [
        Row(
            name,
            trains[label],
            vals[label],
            most / trains[label] if data.oversample and trains[label] else 1.0,
            tuple(sum(label in s.accepted for s in t) for t in folder.tests.values()),
        )
        for label, name in enumerate(folder.class_names)
    ]
    return rows, [*findings, *expectations(folder, rows, data)]


def expectations(folder: PhotoFolder, rows: Sequence[Row], data: DataConfig) -> list[Finding]:
    """What the numbers of photos let expect."""
    units = count_units(folder.train)
    least = min(units[label] for label in range(len(rows)))
    folds = f"data.cv={min(5, least)}" if least > 1 else "(two different photos of each class)"
    root = shlex.quote(str(folder.root))
    tune = f"{python_command()} -m bookcls.tune data=folder data.root={root} trials=1 {folds}"
    few = [r for r in rows if 0 < r.val < FEW]
    most = max(r.train for r in rows)
    uneven = [r for r in rows if 0 < r.train * UNEVEN <= most]
    absent = [f"{r.name} is the answer to no test photo" for r in rows if not any(r.tests)]
    cure = (
        "oversampling draws the photos of a small class again, so the network sees the same few "
        "often: strong augmentation (aug=all) or more photos"
        if data.oversample
        else "with data.oversample=false small classes are seldom seen: data.oversample=true"
    )
    return [
        Finding(
            "few to validate",
            False,
            "data.val_fraction=0 trains on all and keeps the last weights; "
            f"{tune} judges every photo once",
            [f"{r.name}: {r.val} of {r.train + r.val} held out" for r in few],
        ),
        Finding(
            "uneven classes",
            False,
            cure,
            [f"{r.name}: {r.train} photos beside {most}, {drawn(r, data)}" for r in uneven],
        ),
        Finding(
            "no test photos",
            False,
            f"{python_command()} -m bookcls.init data.root={root} output=DIR "
            f"test_fraction=0.2 holds some out; {tune} cross-validates without",
            [] if folder.tests else ["nothing would tell how good the classifier is"],
        ),
        Finding("untested class", False, "add test photos of it", absent if folder.tests else []),
        Finding(
            "no background",
            False,
            "a class background, with photos of none of your things, gives the model a way to say "
            "none; leave it if every photo to come shows one of them",
            []
            if any(name.lower() == "background" for name in folder.class_names)
            else ["a photo of something else will get one of your names"],
        ),
    ]


def drawn(row: Row, data: DataConfig) -> str:
    """What an epoch makes of a class."""
    return f"each drawn {row.drawn:.1f} times an epoch" if data.oversample else "each drawn once"
