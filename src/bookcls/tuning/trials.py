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
"""Maximum number of random signs in memory at a time, 8 bytes each."""


@dataclass(frozen=True)
class Trial:
    """One recipe and its result.

    Attributes:
        number: Number of the trial; 0 is the start.
        state: ``complete``; ``stopped`` early, as clearly worse; ``diverged``; ``out of memory``.
        values: Settings, by dotted name.
        nll: float64 (photos,), see :class:`bookcls.tuning.crossval.FoldResult`; mean over repeats.
        correct: float64 (photos,), share of the repeats that classified the photo correctly.
        by_fold: float64 (evaluated folds,), mean NLL of the held-out photos.
        seconds: Duration of the trial.
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
        """The objective: mean NLL of the photos evaluated so far; lower is better."""
        return float(np.nanmean(self.nll)) if len(self.by_fold) else float("inf")

    @property
    def error(self) -> float:
        """Standard error of the score over photos."""
        values = self.nll[~np.isnan(self.nll)]
        return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0

    @property
    def num_photos(self) -> int:
        """Number of photos evaluated so far."""
        return int((~np.isnan(self.nll)).sum())

    @property
    def accuracy(self) -> float:
        """Share of these photos that were classified correctly, without augmentation."""
        return float(np.nanmean(self.correct)) if len(self.by_fold) else 0.0


def average_by_photo(
    held_out: Sequence[Sequence[int]], values: Sequence[Sequence[float]], num_photos: int
) -> Photos:
    """Averages the values of each photo over the folds.

    Args:
        held_out: Indices of the held-out photos of each fold.
        values: One value per held-out photo, for each evaluated fold.
        num_photos: Total number of training photos.

    Returns:
        float64 (num_photos,), the mean over the repeats; NaN for photos that were not evaluated.
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
        differences: One value per photo; NaN is ignored.
        draws: Number of random sign vectors; they are the same in every call.

    Returns:
        The p-value, in (0, 1].

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
    """p-value of the best of several trials compared with the start, on the same folds.

    The photos of a fold are predicted by the same model, and the models of different folds share
    training photos. The corrected resampled t-test over folds (Nadeau & Bengio, Machine Learning
    2003) accounts for both; a test over photos would not.

    Args:
        best: The trial with the lowest score.
        start: The first one.
        num_folds: Number of folds per repeat.
        num_others: Number of trials that the best was selected from, without the start; the p-value
            is multiplied by it (Bonferroni), since the best of many looks better than it is.
    """
    differences = best.by_fold - start.by_fold
    num = len(differences)
    variance = float(differences.var(ddof=1)) * (1 / num + 1 / (num_folds - 1))
    if variance == 0:
        return 1.0
    p = 2 * float(t.sf(abs(float(differences.mean())) / variance**0.5, num - 1))
    return min(1.0, p * max(1, num_others))
