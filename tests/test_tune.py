"""The verb, run as the command line would, on small photos; and its search without training."""

import builtins
import csv
import io
import os
import shlex
import shutil
from collections import Counter

import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import TrialState

from bookcls import tune
from bookcls.command.overrides import quote_overrides
from bookcls.config import to_dataclass
from bookcls.data.held_out import HELD_OUT, read_held_out
from bookcls.errors import BookclsError
from bookcls.settings import TrainConfig
from bookcls.training.divergence import DivergedError
from bookcls.tuning import search, trials
from bookcls.tuning.crossval import FoldResult
from bookcls.tuning.settings import TuneConfig
from bookcls.tuning.space import Dimension, read_dimension, to_experiment, with_values
from bookcls.tuning.study import Study, round_value
from test_config import composed

TINY = ("data.image_size=32", "data.cv=2", "data.views=1", "trainer=smoke")


pytestmark = pytest.mark.usefixtures("narrow")


def rows_of(run):
    with (run / "trials.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["seconds"]
    return rows


def command_of(out: str) -> TrainConfig:
    """The settings that the printed command for train would use."""
    (line,) = (line for line in out.splitlines() if line.startswith("train it"))
    _, words = line.split("-m bookcls.train ")
    return to_dataclass(composed(*quote_overrides(shlex.split(words), TrainConfig)), TrainConfig)


@pytest.fixture
def opened(monkeypatch):
    """Paths of all files and folders that are opened while the test runs."""
    paths = set()

    def recorded(function):
        def record(path=".", *args, **kwargs):
            paths.add(str(path))
            return function(path, *args, **kwargs)

        return record

    for module, name in ((builtins, "open"), (io, "open"), (os, "listdir"), (os, "scandir")):
        monkeypatch.setattr(module, name, recorded(getattr(module, name)))
    return paths


def test_a_changed_test_photo_changes_nothing(photos, run_verb, tmp_path, capsys, opened):
    arguments = (f"data.root={photos}", *TINY)
    first, second = tmp_path / "first", tmp_path / "second"
    assert run_verb(tune.main, *arguments, "trials=2", f"hydra.run.dir={first}") == 0
    out = capsys.readouterr().out
    below = {path for path in opened if path.startswith(str(photos))}
    assert str(photos / "train" / "red" / "red_0.png") in below
    assert not [path for path in below if not path.startswith(str(photos / "train"))]

    names = {p.name for p in first.iterdir()}
    assert names == {".hydra", "config.yaml", "environment.json", "study.db", "trials.csv",
                     "trials.png", "tuned.yaml", "held_out.csv"}  # fmt: skip
    rows = rows_of(first)
    assert rows[0]["state"] == "complete"
    assert (rows[0]["optim.lr"], rows[0]["aug.rotate"]) == ("0.0002", "40")
    done = [row for row in rows if row["state"] == "complete"]
    best = min(done, key=lambda row: float(row["nll"]))
    recipe = command_of(out)
    assert str(recipe.optim.lr or 2e-4) == best["optim.lr"]
    assert recipe.data.val_fraction == 0
    assert (recipe.data.image_size, recipe.trainer.max_epochs, recipe.optim.ema) == (32, 2, 0.99)

    (photos / "test_easy" / "red" / "0.png").write_bytes(b"no photo")
    shutil.rmtree(photos / "test_difficult")
    (photos / "test_difficult").write_text("no folder")
    assert run_verb(tune.main, *arguments, "trials=1", f"hydra.run.dir={second}") == 0
    assert rows_of(second) == rows[:1]


class PowerCutError(Exception):
    """Nothing catches it."""


class FakeFolds:
    """Stands in for training: an NLL that is lowest at lr 4e-4, and what was asked for."""

    def __init__(self, cut_at: int = 0, diverge_at: int = 0, fill_at: int = 0) -> None:
        self.calls, self.cut_at, self.diverge_at, self.fill_at = 0, cut_at, diverge_at, fill_at

    def __call__(self, config, start, folder, images, fold, *, views):
        self.calls += 1
        if self.calls == self.cut_at:
            raise PowerCutError
        if self.calls == self.diverge_at:
            raise DivergedError("no number")
        if self.calls == self.fill_at:
            raise torch.OutOfMemoryError("CUDA out of memory")
        distance = abs(config.optim.lr / 4e-4 - 1)
        nll = [0.3 + distance + 0.01 * (i % 3) for i in fold.held_out]
        probs = np.full((1 + views, len(fold.held_out), len(folder.class_names)), 1 / 3)
        return FoldResult(nll, [True for _ in fold.held_out], probs)


@pytest.fixture
def fake(monkeypatch):
    def install(**options) -> FakeFolds:
        folds = FakeFolds(**options)
        monkeypatch.setattr(search, "evaluate_fold", folds)
        return folds

    return install


def settings(photos, run, *more):
    return (f"data.root={photos}", "data.image_size=32", "data.cv=3", f"hydra.run.dir={run}", *more)


def best_is_an_experiment(run, out: str) -> None:
    """Asserts that tuned.yaml gives train the settings of the printed command."""
    group = run.parent / "searched" / "experiment"
    group.mkdir(parents=True, exist_ok=True)
    shutil.copy(run / "tuned.yaml", group)
    words = (f"hydra.searchpath=[file://{group.parent}]", "experiment=tuned", "data=folder",
             "data.root=x")  # fmt: skip
    assert to_experiment(to_dataclass(composed(*words), TrainConfig)) == to_experiment(
        command_of(out)
    )


def test_a_search_finds_better_and_goes_on_after_a_stop(
    shared_photos, run_verb, fake, tmp_path, capsys
):
    calls = fake()
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run_verb(tune.main, *settings(shared_photos, whole, "trials=9")) == 0
    out = capsys.readouterr().out
    rows = rows_of(whole)
    assert len(rows) == 9
    assert {"complete", "stopped"} <= {row["state"] for row in rows}
    stopped = [row for row in rows if row["state"] == "stopped"]
    assert all(
        float(row["nll"]) > float(rows[0]["nll"]) or int(row["folds"]) < 3 for row in stopped
    )
    assert calls.calls == sum(int(row["folds"]) for row in rows) < 27
    best = min((r for r in rows if r["state"] == "complete"), key=lambda row: float(row["nll"]))
    assert float(best["nll"]) < float(rows[0]["nll"])
    assert "note: better than the start (NLL 0.8" in out
    assert str(command_of(out).optim.lr) == best["optim.lr"]
    best_is_an_experiment(whole, out)
    answers = read_held_out(whole)
    assert str(answers.trial) == best["trial"] != "0"
    assert answers.probs.shape == (4 * 18, 3)
    assert Counter(answers.views) == {view: 18 for view in range(4)}

    # Cut off within the start, then within a later trial.
    for cut_at in (2, 9):
        fake(cut_at=cut_at)
        again = (f"resume={cut}",) if cut.exists() else settings(shared_photos, cut, "trials=5")
        with pytest.raises(PowerCutError):
            run_verb(tune.main, *again)
    fake()
    assert run_verb(tune.main, f"resume={cut}", "trials=9") == 0
    assert rows_of(cut) == rows
    assert (cut / HELD_OUT).read_text() == (whole / HELD_OUT).read_text()
    assert run_verb(tune.main, f"resume={cut}", "seed=1") == 1
    assert "leave out seed=1" in capsys.readouterr().err


def test_a_search_that_finds_nothing_says_so(shared_photos, run_verb, fake, tmp_path, capsys):
    fake(diverge_at=4)
    arguments = settings(shared_photos, tmp_path / "run", "trials=3", "optim.lr=4e-4", "seed=2")
    assert run_verb(tune.main, *arguments) == 0
    out = capsys.readouterr().out
    assert "trial 1  given up: its loss became infinite or NaN" in out
    assert "note: no other trial is better than the start." in out
    recipe = command_of(out)
    assert (recipe.optim.lr, recipe.seed, recipe.aug.rotate) == (4e-4, 2, 40)
    best_is_an_experiment(tmp_path / "run", out)
    assert [row["state"] for row in rows_of(tmp_path / "run")][:2] == ["complete", "diverged"]


def test_one_trial_is_a_plain_cross_validation(shared_photos, run_verb, fake, tmp_path, capsys):
    calls = fake()
    more = ("trials=1", "data.repeats=2", "minutes=0.00001")
    assert run_verb(tune.main, *settings(shared_photos, tmp_path / "run", *more)) == 0
    out = capsys.readouterr().out
    assert calls.calls == 6
    assert "scored   2 times in 3 folds: each photo unaugmented and in 3 fixed views" in out
    assert "best     trial 0: NLL 0.81" in out
    assert "accuracy 1.00 (0.81 - 1.00) of 18 photos" in out
    assert "note: nothing else was tried" in out


def test_no_trial_begins_that_would_not_end_in_time(
    shared_photos, run_verb, fake, tmp_path, capsys
):
    calls = fake()
    more = ("trials=50", "minutes=1e-9")
    assert run_verb(tune.main, *settings(shared_photos, tmp_path / "run", *more)) == 0
    out = capsys.readouterr().out
    assert calls.calls == 3
    assert "resume   " in out
    assert "resume=" in out


def test_a_start_that_diverges_is_an_error(shared_photos, run_verb, fake, tmp_path, capsys):
    fake(diverge_at=1)
    assert run_verb(tune.main, *settings(shared_photos, tmp_path / "run")) == 1
    assert "the start of the search diverges" in capsys.readouterr().err


def test_memory_that_runs_out_costs_one_trial(shared_photos, run_verb, fake, tmp_path, capsys):
    fake(fill_at=4)
    assert run_verb(tune.main, *settings(shared_photos, tmp_path / "run", "trials=3")) == 0
    assert "trial 1  given up: the device ran out of memory" in capsys.readouterr().out
    rows = rows_of(tmp_path / "run")
    assert [(row["state"], row["folds"]) for row in rows[:2]] == [
        ("complete", "3"),
        ("out of memory", "0"),
    ]
    assert len(rows) == 3
    fake(fill_at=1)
    assert run_verb(tune.main, *settings(shared_photos, tmp_path / "start")) == 1
    assert "ran out of memory: lower data.batch_size=8" in capsys.readouterr().err


def test_a_study_that_is_gone_or_damaged_is_refused(
    shared_photos, run_verb, fake, tmp_path, capsys
):
    fake()
    run = tmp_path / "run"
    assert run_verb(tune.main, *settings(shared_photos, run, "trials=1")) == 0
    (run / "study.db").write_bytes(b"no database" * 1000)
    assert run_verb(tune.main, f"resume={run}", "trials=2") == 1
    assert f"{run / 'study.db'} is damaged (" in capsys.readouterr().err
    (run / "study.db").unlink()
    assert run_verb(tune.main, f"resume={run}", "trials=2") == 1
    assert f"{run / 'study.db'} is missing" in capsys.readouterr().err
    assert not (run / "study.db").exists()


def test_no_stop_loses_the_start_or_changes_what_is_tried(tmp_path):
    dimension = Dimension("optim.lr", 1e-4, 1e-2, log=True)

    def opened() -> Study:
        return Study(tmp_path, [dimension], {"optim.lr": 2e-4}, [[0], [1]], 2, seed=0)

    study = opened()
    study.study.tell(study.study.ask(), state=TrialState.FAIL)  # cut off before it had values
    opened().study.ask()  # cut off likewise
    study = opened()
    asked, values = study.ask()
    assert values == {"optim.lr": 2e-4}
    study.tell(asked, "complete", [[1.0], [1.0]], [[True], [True]], 1.0)
    _, proposed = study.ask()
    _, again = opened().ask()
    assert again == proposed != values


def test_three_digits_stay_within_the_range():
    ema = FloatDistribution(0.99, 0.9999)
    assert round_value(0.99612, ema) == 0.996
    assert round_value(0.99962, ema) == 0.99962
    assert round_value(0.123451, FloatDistribution(0.12345, 1)) == 0.123451
    assert round_value(90, IntDistribution(0, 180)) == 90


def test_few_signs_at_a_time_give_the_same_p(monkeypatch):
    differences = np.random.default_rng(3).normal(0.2, 1, 45)
    whole = trials.sign_flip(differences)
    monkeypatch.setattr(trials, "MAX_SIGNS", 1000)
    assert trials.sign_flip(differences) == whole


def test_bad_input_is_refused_in_words(shared_photos, run_verb, capsys, monkeypatch):
    def too_late(*args, **kwargs):
        raise AssertionError("the search was reached")

    monkeypatch.setattr(search, "search", too_late)
    for argument, message in [
        ("data.cv=6", "data.cv=6 folds need 6 different photos of each class, and there are fewer "
                      "of blue (5), red (5): set data.cv=5 or less"),
        ("data.cv=1", "data.cv=1: must be between 2"),
        ("trials=0", "trials=0: must be above 0"),
        ("minutes=0", "minutes=0.0: must be above 0"),
        ("trainer.devices=2", "the folds train one after another on one device"),
        ("+space.data.batch_size.choices=[8]", "space.data: only settings of model,"),
        ("+space.aug.tint.choices=[8]", "the settings of aug that can be searched are hflip,"),
        ("+space.model.weights.choices=[rendered]", "that can be searched are freeze_to,"),
        ("space.optim.lr.low=1", "space.optim.lr="),
        ("space.optim.lr.low=0", "give low and high"),
        ("space.aug.rotate.high=400", "aug.rotate=400.0: must be between 0 and 180"),
        ("+space.aug.vflip.choices=[much]", "aug.vflip: Value 'much' of type 'str'"),
        ("+space.optim.patience={low: 1, high: 5}", "cannot be in a range; use choices: [null"),
        ("resume=nowhere", "is not a run folder"),
    ]:  # fmt: skip
        assert run_verb(tune.main, f"data.root={shared_photos}", argument) == 1, argument
        err = capsys.readouterr().err
        assert message in err, argument
        assert err.startswith("bookcls: error: ")
    monkeypatch.setattr(tune, "find_spec", lambda name: None)
    assert run_verb(tune.main, f"data.root={shared_photos}") == 1
    assert "pip install 'bookcls[tune]'" in capsys.readouterr().err


def test_the_space_holds_the_start_and_follows_the_weights():
    config = to_dataclass(composed(verb="tune"), TuneConfig)
    names = [d.name for d in tune.read_checked_space(config)]
    assert names[:2] == ["optim.lr", "optim.label_smoothing"]
    assert not {"model.freeze_to", "optim.layer_decay"} & set(names)
    config = to_dataclass(
        composed("model.pretrained=true", "space.aug.erase=null", verb="tune"), TuneConfig
    )
    names = [d.name for d in tune.read_checked_space(config)]
    assert {"model.freeze_to", "optim.layer_decay"} <= set(names)
    assert "aug.erase" not in names
    assert with_values(config.start, {"optim.lr": 0.5, "model.freeze_to": None}).optim.lr == 0.5

    whole = Dimension("aug.rotate", 0, 90)
    assert whole.widened_for(120.0) == Dimension("aug.rotate", 0, 120)
    assert whole.widened_for(120.0).is_integer
    assert whole.widened_for(12.5).is_integer is False
    assert Dimension("a.b", choices=(1, 2)).widened_for(None).choices == (1, 2, None)
    assert Dimension("a.b", choices=(1, 2)).widened_for(2).choices == (1, 2)
    for leaf in (3, {"low": 1}, {"choices": []}, {"low": 0, "high": "a"}, {"choices": "abc"}):
        with pytest.raises(BookclsError, match=r"space\.optim\.ema=.*give low and high"):
            read_dimension("optim.ema", leaf)
    GlobalHydra.instance().clear()
