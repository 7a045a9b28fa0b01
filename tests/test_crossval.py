"""Folds, what their models say, and when two recipes can be told apart."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from bookcls.config import to_dataclass
from bookcls.data.dataset import read_folder
from bookcls.data.photos import decode_folder
from bookcls.data.samples import Sample, check_enough_photos
from bookcls.errors import BookclsError
from bookcls.training.console import silence_lightning
from bookcls.training.recipe import build
from bookcls.training.run import choose_start
from bookcls.tuning.crossval import evaluate_fold, evaluate_views, make_folds
from bookcls.tuning.settings import TuneConfig
from bookcls.tuning.trials import Trial, average_by_photo, corrected_p_value, sign_flip
from test_config import composed


def samples(*counts: int) -> list[Sample]:
    return [
        Sample(Path(f"{label}_{i}"), f"{label}_{i}", label, (label,), f"{label}_{i}")
        for label, count in enumerate(counts)
        for i in range(count)
    ]


def test_each_photo_is_held_out_once_a_repeat_and_classes_are_shared_out():
    photos = samples(10, 7, 5)
    folds = make_folds(photos, 5, 3, seed=1)
    assert len(folds) == 15
    assert len({fold.seed for fold in folds}) == 15
    for fold in folds:
        assert sorted(fold.train + fold.held_out) == list(range(22))
        held = Counter(photos[i].label for i in fold.held_out)
        assert held[0] == 2
        assert held[1] in (1, 2)
        assert held[2] == 1
    repeats = [folds[i : i + 5] for i in (0, 5, 10)]
    assert all(
        sorted(i for f in repeat for i in f.held_out) == list(range(22)) for repeat in repeats
    )
    assert folds[:5] != folds[5:10]
    assert folds == make_folds(photos, 5, 3, seed=1) != make_folds(photos, 5, 3, seed=2)


def test_copies_of_a_photo_stay_together_and_count_once():
    photos = samples(4, 4)
    photos += photos[:2]
    for fold in make_folds(photos, 4, 1, seed=0):
        assert {0, 8} <= set(fold.held_out) or not {0, 8} & set(fold.held_out)
    check_enough_photos(photos, ["a", "b"], 4)
    with pytest.raises(
        BookclsError, match=r"data\.cv=5 folds need 5.*a \(4\), b \(4\).*data\.cv=4"
    ):
        check_enough_photos(photos, ["a", "b"], 5)
    with pytest.raises(BookclsError, match=r"fewer of b \(1\): add photos\."):
        check_enough_photos(samples(9, 1), ["a", "b"], 2)


def test_a_fold_is_judged_by_the_last_weights_and_leaves_nothing_behind(
    shared_photos, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    overrides = (f"data.root={shared_photos}", "data.image_size=32", "trainer=smoke")
    config = to_dataclass(composed(*overrides, verb="tune"), TuneConfig).start
    start = choose_start(config)
    folder = read_folder(shared_photos, with_tests=False)
    assert folder.tests == {}
    folder, images = decode_folder(folder, 32, "letterbox", "error")
    assert set(images) == {s.path for s in folder.train}
    fold = make_folds(folder.train, 2, 1, seed=0)[0]
    silence_lightning()
    judged = evaluate_fold(config, start, folder, images, fold, views=2)
    assert len(judged.nll) == len(judged.correct) == len(fold.held_out) == 9
    assert np.isfinite(judged.nll).all()
    assert not list(tmp_path.iterdir())

    classifier = build(config, folder.class_names, start=start, probe_epochs=0)
    held = [folder.train[i] for i in fold.held_out]
    plain, viewed, again = (
        evaluate_views(classifier.eval(), held, images, seeds, batch_size=size)
        for seeds, size in (([], 4), ([range(9)], 4), ([range(9)], 100))
    )
    assert plain.correct == viewed.correct
    assert plain.nll != viewed.nll
    assert viewed.nll == pytest.approx(again.nll, rel=1e-3)
    labels = [s.label for s in held]
    assert viewed.probs.shape == (2, 9, 3)
    assert (plain.probs[0].argmax(axis=1) == labels).tolist() == plain.correct
    nll = -np.log(viewed.probs[:, range(9), labels]).mean(axis=0)
    assert viewed.nll == pytest.approx(nll.tolist(), rel=1e-4)


def test_values_of_a_photo_are_averaged_over_the_repeats():
    held = [[0, 1], [2], [1, 2], [0]]
    nll = average_by_photo(held, [[1, 2], [3], [4, 5]], 3)
    assert nll.tolist() == [1, 3, 4]
    assert np.isnan(average_by_photo(held, [[1, 2]], 3)).tolist() == [False, False, True]


def test_sign_flip_agrees_with_scipy():
    rng = np.random.default_rng(3)
    for shift in (0, 0.4, 0.8):
        differences = rng.normal(shift, 1, 12)
        exact = scipy.stats.permutation_test(
            (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
        )
        assert sign_flip(differences) == pytest.approx(exact.pvalue, abs=0.015)
        with_gap = np.append(differences, np.nan)
        assert sign_flip(with_gap) == sign_flip(differences)


def test_the_best_of_many_needs_a_clearer_lead():
    def trial(*by_fold: float) -> Trial:
        return Trial(0, "complete", {}, np.ones(3), np.ones(3), np.array(by_fold), 1.0)

    start = trial(1, 1, 1, 1, 1)
    better = trial(0.80, 0.82, 0.78, 0.81, 0.79)
    p = corrected_p_value(better, start, 5, 1)
    # Nadeau & Bengio: the usual paired t, shrunk for folds that share photos.
    t = (-0.2 / np.std(better.by_fold, ddof=1)) / np.sqrt(1 / 5 + 1 / 4)
    assert p == pytest.approx(2 * scipy.stats.t.cdf(t, 4))
    assert corrected_p_value(better, start, 5, 10) == pytest.approx(10 * p)
    assert corrected_p_value(trial(0.5, 1.4, 0.6, 1.3, 0.7), start, 5, 1) > 0.3
    assert corrected_p_value(start, start, 5, 1) == 1
