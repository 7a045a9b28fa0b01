"""Confusion matrices, also for photos with several accepted classes."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bookcls.reporting.cells import Cell


class Confusion(NamedTuple):
    """Confusion matrix of all seeds of a cell on a split.

    Attributes:
        rows: True classes: the dominant class, or all accepted classes if there is none.
        columns: Predicted classes.
        answers: int64 (rows, columns), number of predictions.
        right: int64 (rows, columns), number of correct predictions.
    """

    rows: list[str]
    columns: list[str]
    answers: npt.NDArray[Any]
    right: npt.NDArray[Any]


def count_confusions(cell: Cell, split: str) -> Confusion:
    """Counts the predictions of a cell on a split."""
    answers = [a for run in cell.runs for a in run.answers if a.split == split]
    columns = sorted({name for a in answers for name in a.probs})
    dominant = {a.dominant for a in answers if a.dominant}
    shared = sorted({a.accepted for a in answers if not a.dominant}, key=lambda s: (len(s), s))
    rows = [*sorted(dominant), *(" / ".join(names) for names in shared)]
    counts = np.zeros((2, len(rows), len(columns)), dtype=np.int64)
    for a in answers:
        at = rows.index(a.dominant or " / ".join(a.accepted)), columns.index(a.pred)
        counts[0][at] += 1
        counts[1][at] += a.correct
    return Confusion(rows, columns, counts[0], counts[1])
