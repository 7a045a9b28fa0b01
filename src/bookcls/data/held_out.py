"""Reads and writes held_out.csv: cross-validated predictions. No torch."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bookcls.data.samples import Sample
from bookcls.errors import BookclsError
from bookcls.storage.files import unescape_field, write_csv
from bookcls.storage.folders import refuse_links

HELD_OUT = "held_out.csv"
TRIALS_TABLE = "trials.csv"
"""File with one row per trial; written after each trial."""
PROB = "prob_"
COLUMNS = ["trial", "fold", "file", "view", "label"]


@dataclass(frozen=True)
class HeldOut:
    """Predictions for held-out photos, each unchanged (view 0) and in augmented views.

    Attributes:
        trial: Number of the recipe that was evaluated.
        class_names: Sorted names.
        probs: float64 (N, C).
        labels: int64 (N,), the classes of the photos.
        views: int64 (N,), 0 for the unchanged photo.
        photos: int64 (N,), equal for predictions on the same photo.
    """

    trial: int
    class_names: list[str]
    probs: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    views: npt.NDArray[np.int64]
    photos: npt.NDArray[np.int64]


def write_held_out(
    run: Path,
    trial: int,
    class_names: Sequence[str],
    folds: Sequence[tuple[Sequence[Sample], npt.NDArray[np.float64]]],
) -> None:
    """Writes a row per fold, view and held-out photo, with all digits of the probabilities.

    Args:
        run: Folder of the search.
        trial: Number of the recipe.
        class_names: Sorted names.
        folds: The held-out photos of each, and their probabilities (views, photos, C).
    """
    table = [
        [trial, number, sample.name, view, class_names[sample.label], *map(float, row)]
        for number, (samples, probs) in enumerate(folds)
        for view, rows in enumerate(probs)
        for sample, row in zip(samples, rows, strict=True)
    ]
    write_csv(run / HELD_OUT, [*COLUMNS, *(f"{PROB}{name}" for name in class_names)], table)


def read_held_out(run: Path) -> HeldOut:
    """Reads the held-out predictions of a search.

    Raises:
        BookclsError: If it is missing or damaged, or the folder contains links to outside.
    """
    refuse_links(run)
    path = run / HELD_OUT
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file, strict=True)
        class_names = [column.removeprefix(PROB) for column in header[len(COLUMNS) :]]
        if header != [*COLUMNS, *(f"{PROB}{name}" for name in class_names)] or not rows:
            raise ValueError("other columns, or no rows")
        if any(len(row) != len(header) for row in rows):
            raise ValueError("a row is incomplete")
        probs = np.array([row[len(COLUMNS) :] for row in rows], np.float64)
        if not ((probs >= 0) & (probs <= 1 + 1e-6)).all():  # A softmax may round above 1.
            raise ValueError("a probability outside 0 to 1")
        labels = np.array([class_names.index(unescape_field(row[4])) for row in rows])
        views = np.array([int(row[3]) for row in rows])
        trial = int(rows[0][0])
    except FileNotFoundError as error:
        raise BookclsError(
            f"{run} contains no {HELD_OUT}: give a folder that tune wrote (tuning/DATE/TIME)."
        ) from error
    except (OSError, ValueError, csv.Error) as error:
        raise BookclsError(
            f"{path} cannot be read ({' '.join(str(error).split())[:120]}): run tune again."
        ) from error
    numbers = {name: i for i, name in enumerate(dict.fromkeys(row[2] for row in rows))}
    photos = np.array([numbers[row[2]] for row in rows])
    return HeldOut(trial, class_names, probs, labels, views, photos)
