"""ensemble=N: members that differ, one file of their mean weights, and a stop in between."""

import csv
import json

import numpy as np
import pytest
import torch

from bookcls import evaluate, train
from bookcls.training import callbacks, fitting
from bookcls.training.callbacks import LineProgress
from bookcls.training.checkpoint import load_classifier
from bookcls.training.classifier import Classifier
from conftest import CLASSES, TINY

pytestmark = pytest.mark.usefixtures("narrow")


def probs_of(run):
    with (run / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    return np.array([[float(v) for k, v in r.items() if k.startswith("prob_")] for r in rows])


def test_weights_and_answers_are_averaged_also_after_a_stop(
    shared_photos, run_verb, tmp_path, monkeypatch, capsys
):
    run = tmp_path / "run"
    words = (f"data.root={shared_photos}", *TINY, "aug=all", "ensemble=2", "seed=3")
    start = Classifier.on_train_epoch_start

    def second_is_stopped(self):
        if self.hparams["seed"] == 4 and self.current_epoch == 1:
            raise KeyboardInterrupt
        start(self)

    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "on_train_epoch_start", second_is_stopped)
        assert run_verb(train.main, *words, f"hydra.run.dir={run}") != 0
    assert "resume with  " in (said := capsys.readouterr().out)
    assert said.rstrip().endswith(f"resume={run}")
    assert not (run / "metrics.json").exists()
    first = (run / "members/1/best.ckpt").stat().st_mtime_ns
    assert run_verb(train.main, f"resume={run}") == 0
    out = capsys.readouterr().out
    assert "member 2 of 2, seed 4" in out
    assert out.count("run folder ") == 1
    members = [run / "members" / str(k) for k in (1, 2)]
    assert members[0].joinpath("best.ckpt").stat().st_mtime_ns == first  # not trained again

    mean = load_classifier(run / "best.ckpt").state_dict()
    states = [load_classifier(m / "best.ckpt").state_dict() for m in members]
    for key, value in mean.items():
        assert torch.allclose(value, (states[0][key] + states[1][key]) / 2, atol=1e-7), key
    assert not torch.equal(states[0]["model.head.fc2.weight"], states[1]["model.head.fc2.weight"])

    metrics = json.loads((run / "metrics.json").read_text())
    both = np.mean([probs_of(m) for m in members], axis=0)
    with (run / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [k.removeprefix("prob_") for k in rows[0] if k.startswith("prob_")]
    correct = sum(
        names[p.argmax()] in row["accepted"].split(";")
        for p, row in zip(both, rows, strict=True)
        if row["split"] == "test_difficult"
    )
    assert metrics["mean_of_answers/difficult_correct"] == correct
    assert run_verb(evaluate.main, f"ckpt={run}") == 0
    assert f"{metrics['test/difficult_correct']}/20" in capsys.readouterr().out


def test_members_begin_with_the_same_weights(shared_photos, run_verb, tmp_path):
    run = tmp_path / "run"
    still = ("optim.lr=1e-12", "optim.weight_decay=0", "optim.probe_epochs=0", "optim.epochs=1")
    words = (f"data.root={shared_photos}", *TINY, *still, "ensemble=2", f"hydra.run.dir={run}")
    assert run_verb(train.main, *words) == 0
    one, other = (load_classifier(run / f"members/{k}/best.ckpt").state_dict() for k in (1, 2))
    for key, value in one.items():
        assert torch.allclose(value, other[key], atol=1e-7), key
    configs = [(run / f"members/{k}/config.yaml").read_text() for k in (1, 2)]
    assert "\nseed: 0\n" in configs[0]
    assert "\nseed: 1\n" in configs[1]


def test_a_stopped_ensemble_goes_on_without_the_file_of_its_first_weights(
    shared_photos, run_verb, tmp_path, monkeypatch, capsys
):
    weights, run = tmp_path / "weights.pth", tmp_path / "run"
    torch.save(Classifier(list(CLASSES), image_size=32).model.features.state_dict(), weights)
    given = ("model.pretrained=true", f"model.weights={weights}", "optim.probe_epochs=0")
    words = (f"data.root={shared_photos}", *TINY, *given, "ensemble=2", f"hydra.run.dir={run}")
    stopped_seed = 0

    class Stopped(LineProgress):
        """Stops a member after the first epoch."""

        def on_train_epoch_start(self, trainer, pl_module):
            if pl_module.hparams["seed"] == stopped_seed and trainer.current_epoch == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(callbacks, "SAVE_EVERY_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "LineProgress", Stopped)
        assert run_verb(train.main, *words) != 0
        weights.rename(tmp_path / "away.pth")
        # The second member has yet to begin, from those weights.
        assert run_verb(train.main, f"resume={run}") == 1
        assert "weights.pth: there is no such file" in capsys.readouterr().err
        (tmp_path / "away.pth").rename(weights)
        stopped_seed = 1
        assert run_verb(train.main, f"resume={run}") != 0
    weights.unlink()
    assert run_verb(train.main, f"resume={run}") == 0
    assert (run / "metrics.json").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ensemble=0",), "ensemble=0: must be between 1 and 100"),
        (("ensemble=2", "trainer.devices=2"), "set trainer.devices=1 and trainer.num_nodes=1"),
    ],
)
def test_what_cannot_be_is_refused(shared_photos, run_verb, capsys, words, message):
    assert run_verb(train.main, f"data.root={shared_photos}", *TINY, *words) == 1
    assert message in capsys.readouterr().err
