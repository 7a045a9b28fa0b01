"""Scores of each cell on each test split, and which cells are tied with the best."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bookcls.data.answers import Answer
from bookcls.reporting.cells import Cell, Photo
from bookcls.scoring import statistics
from bookcls.scoring.statistics import Interval

MIN_PROB = 5e-7
"""Replaces probabilities that predictions.csv, with its six digits, rounds to zero."""


@dataclass
class Row:
    """Scores of a cell on a test split. Accuracies are in [0, 1]; accepted classes are correct.

    Attributes:
        cell: The cell.
        split: The test split.
        num_photos: Number of photos.
        by_seed: Accuracy of each seed.
        interval: Confidence interval of the mean accuracy.
        strict: Mean accuracy for the dominant class, on photos that have one; None without any.
        strict_n: Number of such photos.
        nll: Mean over seeds and photos of -log of the accepted classes' summed probability.
        brier: Mean of (1 - that sum) squared.
        brier_interval: Its confidence interval.
        p_accepted: Mean of that sum.
        floor: Accuracy of the best constant prediction.
        constant: That prediction.
        probe: Mean accuracy of the probes that the runs were compared with; None without any.
        p_photos: p-value of the sign-flip test against the best; None for the best itself.
        p_crossed: p-value of the t-test over photos and seeds; None if no cell has two seeds.
        p: The larger of the two, corrected for the number of cells.
        verdict: best, tie, worse, or apart (other photos, not compared).
    """

    cell: Cell
    split: str
    num_photos: int
    by_seed: list[float]
    interval: Interval
    strict: float | None
    strict_n: int
    nll: float
    brier: float
    brier_interval: Interval
    p_accepted: float
    floor: float
    constant: str
    probe: float | None = None
    p_photos: float | None = None
    p_crossed: float | None = None
    p: float | None = None
    verdict: str = "best"

    @property
    def mean(self) -> float:
        """Mean accuracy over seeds."""
        return sum(self.by_seed) / len(self.by_seed)

    @property
    def tied(self) -> bool:
        """Whether it is the best or tied with the best."""
        return self.verdict in ("best", "tie")


def summarise(cells: Sequence[Cell]) -> dict[str, list[Row]]:
    """Summarises the cells: test split -> one row per cell, highest mean first."""
    splits = dict.fromkeys(a.split for cell in cells for a in cell.runs[0].answers)
    table = {}
    for split in sorted(splits, key=lambda split: split != "easy"):
        rows = [make_row(cell, split) for cell in cells if cell.photos(split)]
        rows.sort(key=lambda row: (-round(row.mean, 9), row.nll))
        compare(rows)
        # Cells tested on other photos come last: their scores are not comparable.
        table[split] = sorted(rows, key=lambda row: row.verdict == "apart")
    return table


def make_row(cell: Cell, split: str) -> Row:
    """Computes the scores of a cell on a split."""
    photos = cell.photos(split)
    correct = cell.values(split, lambda a: a.correct)
    p_accepted = cell.values(split, lambda a: a.p_accepted)
    has_dominant = np.array([bool(dominant) for _, _, dominant, _ in photos])
    strict = cell.values(split, lambda a: a.pred == a.dominant)[:, has_dominant]
    brier = (1 - p_accepted) ** 2
    constant, num_right = best_constant(photos)
    return Row(
        cell,
        split,
        len(photos),
        [float(mean) for mean in correct.mean(axis=1)],
        statistics.accuracy_interval(correct),
        float(strict.mean()) if strict.size else None,
        int(has_dominant.sum()),
        mean_nll(cell, split),
        float(brier.mean()),
        statistics.crossed_interval(brier),
        float(p_accepted.mean()),
        num_right / len(photos),
        constant,
        mean_probe_accuracy(cell, split),
    )


def mean_probe_accuracy(cell: Cell, split: str) -> float | None:
    """Mean accuracy of the runs' probes, from metrics.json; None if a run has none."""
    values = [run.metrics.get(f"probe/{split}_acc") for run in cell.runs]
    if not all(isinstance(value, int | float) for value in values):
        return None
    return sum(values) / len(values)  # type: ignore[arg-type]  # checked above


def mean_nll(cell: Cell, split: str) -> float:
    """Mean NLL over seeds, from metrics.json if available, else from the rounded predictions."""
    logged = [run.metrics.get(f"test/{split}_nll") for run in cell.runs]
    if all(isinstance(value, int | float) and math.isfinite(value) for value in logged):
        return sum(logged) / len(logged)  # type: ignore[arg-type]  # checked above
    p_accepted = cell.values(split, lambda a: a.p_accepted)
    return float(-np.log(p_accepted.clip(min=MIN_PROB)).mean())


def best_constant(photos: Sequence[Photo]) -> tuple[str, int]:
    """Finds the best constant prediction, and the number of photos that it gets right."""
    counts = Counter(name for *_, accepted in photos for name in accepted)
    return min(counts.items(), key=lambda item: (-item[1], item[0]))


def compare(rows: Sequence[Row]) -> None:
    """Finds the cells of a split that cannot be distinguished from the best.

    A cell is called worse only if two tests are significant at 0.05: a sign-flip test on each
    photo's mean over seeds, which is exact for few photos but ignores the variance between seeds,
    and a t-test that treats both photos and seeds as random. The larger p-value is used,
    Holm-corrected for the number of cells. In simulated sweeps of 8 equal cells with 3 seeds and
    20 photos, where seeds alone move a cell by some 0.08, the first test by itself calls a cell
    worse in 27 of 100, both together in 2.

    Args:
        rows: Rows of a split, the best first; their verdicts and p-values are set.
    """
    photo_sets = [tuple(row.cell.photos(row.split)) for row in rows]
    common = Counter(photo_sets).most_common(1)[0][0]
    comparable = [row for row, photos in zip(rows, photo_sets, strict=True) if photos == common]
    for row in rows:
        row.verdict = "tie" if row in comparable else "apart"
    best, *others = comparable
    best.verdict = "best"
    pooled, dof = statistics.pooled_variance([row.by_seed for row in comparable])
    best_correct = best.cell.values(best.split, is_correct)
    for row in others:
        correct = row.cell.values(row.split, is_correct)
        row.p_photos = statistics.sign_flip_p(statistics.paired_differences(best_correct, correct))
        if dof:
            differences = best_correct.mean(axis=0) - correct.mean(axis=0)
            seed_variance = pooled * (1 / len(best_correct) + 1 / len(correct))
            row.p_crossed = statistics.crossed_p(differences, seed_variance, dof)
    larger = [max(row.p_photos or 0.0, row.p_crossed or 0.0) for row in others]
    for row, p in zip(others, statistics.holm_correction(larger), strict=True):
        row.p = p
        row.verdict = "worse" if p < statistics.LEVEL else "tie"


def is_correct(answer: Answer) -> float:
    """Returns 1 for a correct prediction, 0 for a wrong one."""
    return float(answer.correct)
