"""Intervals and tests against scipy, statsmodels and examples from the literature."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from bookcls.data.answers import Answer
from bookcls.reporting.cells import Cell
from bookcls.reporting.collect import Run
from bookcls.reporting.summary import Row, compare
from bookcls.scoring import statistics
from bookcls.scoring.statistics import Interval

NOWHERE = Interval(0, 1, "exact")


@pytest.mark.parametrize(("right", "total"), [(0, 6), (6, 6), (13, 20), (19, 20), (20, 20), (1, 2)])
def test_exact_interval(right, total):
    ours = statistics.exact_interval(right / total, total)[:2]
    scipy = stats.binomtest(right, total).proportion_ci(0.95, method="exact")
    assert ours == pytest.approx((scipy.low, scipy.high), abs=1e-9)
    assert ours == pytest.approx(proportion_confint(right, total, method="beta"), abs=1e-9)


def test_exact_interval_between_whole_counts():
    bounds = [statistics.exact_interval(mean, 20)[:2] for mean in (0.95, 0.96, 1.0)]
    assert bounds == sorted(bounds)


def test_crossed_interval_of_one_seed_is_students_over_photos():
    values = np.random.default_rng(0).random((1, 30))
    scipy = stats.ttest_1samp(values[0], 0).confidence_interval()
    ours = statistics.crossed_interval(values)
    assert ours[:2] == pytest.approx((scipy.low, scipy.high))


def test_crossed_interval_where_photos_or_seeds_agree_is_students():
    means = np.array([0.5, 0.6, 0.7])
    scipy = stats.ttest_1samp(means, 0).confidence_interval()
    values = means[:, None] * np.ones(20)
    for matrix in (values, values.T):
        bounds = statistics.crossed_interval(matrix)[:2]
        assert bounds == pytest.approx((scipy.low, scipy.high))


def test_crossed_interval_stays_in_bounds():
    values = np.array([[0.0] * 20, [1.0] * 20])
    assert statistics.crossed_interval(values) == (0, 1, "t")


@pytest.mark.parametrize(
    ("correct", "method"),
    [
        (np.ones((5, 20)), "exact"),
        (np.zeros((5, 20)), "exact"),
        (np.arange(20)[None] % 2, "exact"),
        (np.repeat(np.arange(20)[None] % 2, 3, axis=0), "t"),
        (np.repeat(np.arange(6)[None] % 2, 3, axis=0), "exact"),
    ],
)
def test_accuracy_interval_is_exact_where_spread_would_flatter(correct, method):
    interval = statistics.accuracy_interval(correct.astype(float))
    assert interval.method == method
    assert interval.low < correct.mean() < interval.high or interval.high - interval.low > 0.15


@pytest.mark.parametrize("seed_sd", [0, 0.5, 1])
@pytest.mark.parametrize("num_seeds", [3, 5])
@pytest.mark.parametrize("num_photos", [20, 60])
def test_accuracy_interval_covers_the_truth(seed_sd, num_seeds, num_photos):
    """Seeds move a cell by as much as 0.15: a percentile bootstrap covers 0.87 there."""
    rng = np.random.default_rng(num_seeds)
    values = simulated(rng, [0] * 600, seed_sd, num_seeds, num_photos, same_photos=False)
    truth = simulated(rng, [0] * 300_000, seed_sd, 1, 1, same_photos=False).mean()
    bounds = np.array([statistics.accuracy_interval(cell)[:2] for cell in values.astype(float)])
    covered = ((bounds[:, 0] <= truth) & (truth <= bounds[:, 1])).mean()
    assert covered >= 0.91


def test_sign_flip_on_darwins_maize():
    """Fisher, The Design of Experiments (1935), section 21: 1,726 of 32,768 patterns."""
    inches = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    assert statistics.sign_flip_p(np.array(inches)) == pytest.approx(1726 / 32768)


def test_sign_flip_against_scipy():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 2, (3, 11)), rng.integers(0, 2, (2, 11))
    ours = statistics.sign_flip_p(statistics.paired_differences(first, second))
    differences = first.mean(axis=0) - second.mean(axis=0)
    scipy = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert ours == pytest.approx(scipy.pvalue)


@pytest.mark.parametrize(("better", "worse"), [(6, 0), (5, 0), (2, 0), (9, 3), (4, 4), (0, 0)])
def test_sign_flip_of_single_seeds_is_mcnemar(better, worse):
    first = np.zeros((1, 20))
    second = np.zeros((1, 20))
    first[0, :better] = 1
    second[0, better : better + worse] = 1
    ours = statistics.sign_flip_p(statistics.paired_differences(first, second))
    table = [[0, better], [worse, 20 - better - worse]]
    assert ours == pytest.approx(mcnemar(table, exact=True).pvalue)


def test_sign_flip_of_many_photos():
    rng = np.random.default_rng(0)
    first, second = rng.random((5, 3000)) < 0.61, rng.random((3, 3000)) < 0.6
    ours = statistics.sign_flip_p(statistics.paired_differences(first, second))
    normal = stats.ttest_1samp(first.mean(axis=0) - second.mean(axis=0), 0).pvalue
    assert ours == pytest.approx(normal, abs=0.01)


def test_crossed_p_is_the_paired_t_test_where_seeds_agree():
    differences = np.random.default_rng(0).normal(0.1, 0.3, 20)
    ours = statistics.crossed_p(differences, 0.0, 4)
    assert ours == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)


def test_crossed_p_is_students_test_where_photos_agree():
    first, second = [0.5, 0.6, 0.7], [0.4, 0.45, 0.5]
    pooled, freedom = statistics.pooled_variance([first, second])
    difference = np.full(20, np.mean(first) - np.mean(second))
    ours = statistics.crossed_p(difference, pooled * 2 / 3, freedom)
    assert ours == pytest.approx(stats.ttest_ind(first, second).pvalue)


@pytest.mark.parametrize(("differences", "p"), [([0.0, 0.0], 1.0), ([0.5, 0.5], 0.0), ([0.5], 1.0)])
def test_crossed_p_without_any_spread(differences, p):
    assert statistics.crossed_p(np.array(differences), 0.0, 1) == p


def test_holm_against_statsmodels():
    p = np.random.default_rng(0).random(12) ** 3
    assert statistics.holm_correction(list(p)) == pytest.approx(multipletests(p, method="holm")[1])
    assert statistics.holm_correction([]) == []


def row_of(correct) -> Row:
    """A row for a matrix (seeds, photos) of right and wrong answers."""
    runs = []
    for seed, line in enumerate(correct):
        answers = [
            Answer("difficult", f"{i:03d}", "a", ("a",), "a" if right else "b", {"a": 1.0})
            for i, right in enumerate(line)
        ]
        args = ({}, seed, "", "", "", "", {}, {}, [], answers, 0.0)
        runs.append(Run(None, "", *args))
    means = [float(np.mean(line)) for line in correct]
    cell = Cell({}, runs)
    return Row(
        cell, "difficult", correct.shape[1], means, NOWHERE, None, 0, 0, 0, NOWHERE, 0, 0, ""
    )


def verdicts(cells) -> list[str]:
    rows = [row_of(np.asarray(correct)) for correct in cells]
    rows.sort(key=lambda row: -row.mean)
    compare(rows)
    return [row.verdict for row in rows]


def test_the_studys_best_pair_is_a_tie():
    """0.95 against 0.85 of 20 photos, single runs: p is 0.5."""
    best, second = np.arange(20)[None] < 19, np.arange(20)[None] < 17
    assert verdicts([best, second]) == ["best", "tie"]
    assert verdicts([best, np.arange(20)[None] < 2]) == ["best", "worse"]


def simulated(rng, shifts, seed_sd, num_seeds=3, num_photos=20, *, same_photos=True):
    """Right answers of cells whose photos, and seeds, differ in how hard, and good, they are."""
    photos = rng.normal(0.3, 1.5, (1 if same_photos else len(shifts), 1, num_photos))
    seeds = rng.normal(0, seed_sd, (len(shifts), num_seeds, 1))
    noise = rng.logistic(0, 1, (len(shifts), num_seeds, num_photos))
    return photos + np.asarray(shifts)[:, None, None] + seeds + noise > 0


def test_useless_differences_are_ties_even_where_seeds_vary():
    rng = np.random.default_rng(0)
    sweeps = [verdicts(simulated(rng, [0] * 8, 0.5)) for _ in range(60)]
    assert sum("worse" in sweep for sweep in sweeps) <= 4


def test_real_differences_are_found():
    rng = np.random.default_rng(0)
    sweeps = [verdicts(simulated(rng, [4, 0, 0, 0], 0.3)) for _ in range(40)]
    assert sum(sweep[1:].count("worse") for sweep in sweeps) >= 0.9 * 3 * 40
