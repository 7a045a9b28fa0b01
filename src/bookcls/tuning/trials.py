"""Scores of a trial for each photo, and significance tests between trials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t

from bookcls.tuning.space import Value

Photos = npt.NDArray[np.float64]
"""One value per training photo; NaN where it was not evaluated."""
MAX_SIGNS = 2_000_000
"""Random signs in memory at a time, 8 bytes each."""


@dataclass(frozen=True)
class Trial:
    """One recipe and its result.

    Attributes:
        number: From 0, the start.
        state: ``complete``; ``stopped`` early, as clearly worse; ``diverged``; ``out of memory``.
        values: Its settings, by dotted name.
        nll: Per photo, see :class:`bookcls.tuning.crossval.FoldResult`; mean over the repeats.
        correct: Per photo, the share of the repeats in which it was classified correctly.
        by_fold: For each fold that was judged the mean NLL of its photos.
        seconds: How long they took.
    """

    number: int
    state: str
    values: Mapping[str, Value]
    nll: Photos
    correct: Photos
    by_fold: Photos
    seconds: float

    @property
    def score(self) -> float:
        """The objective: mean NLL of the photos judged so far; lower is better."""
        return float(np.nanmean(self.nll)) if len(self.by_fold) else float("inf")

    @property
    def error(self) -> float:
        """Standard error of the score over photos."""
        judged = self.nll[~np.isnan(self.nll)]
        return float(judged.std(ddof=1) / np.sqrt(len(judged))) if len(judged) > 1 else 0.0

    @property
    def num_photos(self) -> int:
        """Photos judged so far."""
        return int((~np.isnan(self.nll)).sum())

    @property
    def accuracy(self) -> float:
        """Share of them classified correctly, without augmentation."""
        return float(np.nanmean(self.correct)) if len(self.by_fold) else 0.0


def average_by_photo(
    held_out: Sequence[Sequence[int]], values: Sequence[Sequence[float]], num_photos: int
) -> Photos:
    """Averages the folds' values for each photo.

    Args:
        held_out: For each fold the photos that it held out.
        values: For each of the first folds one value per held-out photo.
        num_photos: Training photos in all.

    Returns:
        The mean over the repeats.
    """
    sums, counts = np.zeros(num_photos), np.zeros(num_photos)
    for photos, row in zip(held_out, values, strict=False):
        sums[list(photos)] += row
        counts[list(photos)] += 1
    with np.errstate(invalid="ignore"):
        return np.asarray(sums / counts)


def sign_flip(differences: Photos, *, draws: int = 9999) -> float:
    """Two-sided p-value of a paired permutation test: is the mean of the differences zero?

    If neither side is better, the sign of each difference is arbitrary, so their sum is compared
    with sums under random signs (Good, Permutation Tests, 2000).

    Args:
        differences: One per photo; NaN counts as not there.
        draws: Random signs, the same in every call.

    Example:
        >>> sign_flip(np.ones(20)) < 0.001, sign_flip(np.zeros(20))
        (True, 1.0)
    """
    differences = differences[~np.isnan(differences)]
    rng, num = np.random.default_rng(0), len(differences)
    at_a_time = max(1, MAX_SIGNS // max(1, num))
    least, as_large = abs(differences.sum()) * (1 - 1e-9), 0
    for start in range(0, draws, at_a_time):
        signs = rng.choice([-1.0, 1.0], size=(min(at_a_time, draws - start), num))
        as_large += int((np.abs(signs @ differences) >= least).sum())
    return (as_large + 1) / (draws + 1)


def corrected_p_value(best: Trial, start: Trial, num_folds: int, num_others: int) -> float:
    """p-value of the best of several trials against the start, on the same folds.

    Photos of a fold were judged by one model, which may have been lucky, and models of different
    folds share photos: the corrected resampled t-test over folds knows of both (Nadeau & Bengio,
    Machine Learning 2003), which a test over photos does not.

    Args:
        best: The trial with the lowest score.
        start: The first one.
        num_folds: Folds of a repeat.
        num_others: Trials that the best was picked from, the start apart; the p-value is multiplied
            by it (Bonferroni), since the best of many looks better than it is.
    """
    differences = best.by_fold - start.by_fold
    num = len(differences)
    variance = float(differences.var(ddof=1)) * (1 / num + 1 / (num_folds - 1))
    if variance == 0:
        return 1.0
    p = 2 * float(t.sf(abs(float(differences.mean())) / variance**0.5, num - 1))
    return min(1.0, p * max(1, num_others))
