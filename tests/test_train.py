"""The verbs, run as the command line would, on small photos."""

import csv
import json
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bookcls import evaluate, train
from bookcls.command.compose import compose
from bookcls.command.fallback import apply_fallback
from bookcls.config import read_config, to_dataclass
from bookcls.data.dataset import read_folder
from bookcls.errors import BookclsError
from bookcls.models import download, weights
from bookcls.reporting.files import read_curve
from bookcls.settings import ModelConfig, TrainConfig
from bookcls.training import callbacks, fitting
from bookcls.training.checkpoint import load_classifier
from bookcls.training.classifier import Classifier
from bookcls.training.inputs import check_weights, read_inputs
from conftest import TINY, draw


def metrics_of(run: Path) -> dict:
    metrics = json.loads((run / "metrics.json").read_text())
    metrics.pop("seconds")
    return metrics


@pytest.fixture(scope="module")
def trained(shared_photos, tmp_path_factory):
    """One finished run that several tests look at."""
    run = tmp_path_factory.mktemp("run") / "r"
    with pytest.MonkeyPatch.context() as patch:
        from hydra.core.global_hydra import GlobalHydra

        GlobalHydra.instance().clear()
        arguments = [f"data.root={shared_photos}", "aug=all", f"hydra.run.dir={run}", *TINY]
        patch.setattr(sys, "argv", ["bookcls", *arguments])
        train.main()
    return run


def test_a_run_folder_holds_what_it_promises(trained):
    names = {p.name for p in trained.iterdir()}
    assert names >= {"best.ckpt", "config.yaml", "environment.json", "metrics.json",
                     "predictions.csv", "logs"}  # fmt: skip
    assert "last.ckpt" not in names
    assert not [n for n in names if n.startswith(".")]
    metrics = metrics_of(trained)
    for split, n in (("easy", 6), ("difficult", 20)):
        assert metrics[f"test/{split}_n"] == n
        assert metrics[f"test/{split}_acc"] == metrics[f"test/{split}_correct"] / n
        low, high = metrics[f"test/{split}_ci_low"], metrics[f"test/{split}_ci_high"]
        assert 0 <= low <= metrics[f"test/{split}_acc"] <= high <= 1
    assert metrics["test/difficult_strict_n"] == 15
    assert metrics["test/difficult_floor"] == 0.5
    environment = json.loads((trained / "environment.json").read_text())
    assert environment["weights"]["source"] == "scratch"
    assert environment["dataset"]["num_train"] == 14
    assert len(environment["dataset"]["fingerprint"]) == 64
    assert environment["versions"]["torch"] == torch.__version__.split("+")[0]


def test_predictions_agree_with_the_metrics(trained):
    with (trained / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 26
    metrics = metrics_of(trained)
    for split in ("easy", "difficult"):
        correct = sum(int(r["correct"]) for r in rows if r["split"] == f"test_{split}")
        assert correct == metrics[f"test/{split}_correct"]
    for row in rows:
        probs = {key.removeprefix("prob_"): float(row[key]) for key in row if key[:5] == "prob_"}
        assert sum(probs.values()) == pytest.approx(1, abs=1e-4)
        assert probs[row["pred"]] == max(probs.values())
        assert int(row["correct"]) == (row["pred"] in row["accepted"].split(";"))


def test_a_checkpoint_rebuilds_the_model_by_itself(trained):
    raw = torch.load(trained / "best.ckpt", weights_only=True)
    assert set(raw) == {"hyper_parameters", "state_dict"}
    classifier = load_classifier(trained / "best.ckpt")
    assert classifier.class_names == ["background", "blue", "red"]
    assert classifier.hparams["image_size"] == 32
    assert all(torch.equal(raw["state_dict"][k], v) for k, v in classifier.state_dict().items())
    assert not classifier.training


def test_evaluate_gives_the_same_numbers(trained, run_verb, tmp_path, capsys):
    assert run_verb(evaluate.main, f"ckpt={trained}", f"hydra.run.dir={tmp_path / 'again'}") == 0
    first, again = metrics_of(trained), json.loads((tmp_path / "again/metrics.json").read_text())
    assert {k: again[k] for k in first if k.startswith("test/")} == {
        k: v for k, v in first.items() if k.startswith("test/")
    }
    assert "difficult" in capsys.readouterr().out


def test_evaluate_on_another_folder_and_a_lone_checkpoint(trained, run_verb, tmp_path, capsys):
    lone = shutil.copy(trained / "best.ckpt", tmp_path / "model.ckpt")
    assert run_verb(evaluate.main, f"ckpt={lone}") == 1
    assert "data.root=DIR" in capsys.readouterr().err
    draw(tmp_path / "other" / "test" / "red" / "1.png", (210, 50, 40), 5)
    output = tmp_path / "out"
    arguments = (f"ckpt={lone}", f"data.root={tmp_path / 'other'}", f"hydra.run.dir={output}")
    assert run_verb(evaluate.main, *arguments) == 0
    assert json.loads((output / "metrics.json").read_text())["test/test_n"] == 1
    (tmp_path / "other" / "test" / "red").rename(tmp_path / "other" / "test" / "green")
    assert run_verb(evaluate.main, *arguments) == 1
    assert "there is no training class green" in capsys.readouterr().err


def test_same_seed_same_result_from_another_directory(trained, shared_photos, run_verb, tmp_path):
    run = tmp_path / "same"
    arguments = (f"data.root={shared_photos}", "aug=all", f"hydra.run.dir={run}", *TINY)
    assert run_verb(train.main, *arguments) == 0
    assert metrics_of(run) == metrics_of(trained)
    other = tmp_path / "other"
    assert run_verb(train.main, *arguments, "seed=1", f"hydra.run.dir={other}") == 0
    assert metrics_of(other)["val/loss"] != metrics_of(trained)["val/loss"]


class PowerCutError(Exception):
    """Nothing catches it."""


@contextmanager
def power_cut(number):
    """Ends training when the epoch of this number, from 0, begins."""
    start = Classifier.on_train_epoch_start

    def on_train_epoch_start(self):
        if self.current_epoch == number:
            raise PowerCutError
        start(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Classifier, "on_train_epoch_start", on_train_epoch_start)
        yield


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(
    "extra",
    [
        (),
        ("optim.ema=0.9", "model.dropout=0.5", "data.val_fraction=0"),
        ("data.cached_views=1", "model.freeze_to=block4_conv1"),
    ],
)
def test_resumed_equals_uninterrupted(shared_photos, run_verb, tmp_path, monkeypatch, extra):
    settings = (f"data.root={shared_photos}", "aug=all", *TINY, "optim.epochs=3", *extra)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run_verb(train.main, *settings, f"hydra.run.dir={whole}") == 0

    monkeypatch.setattr("bookcls.training.callbacks.SAVE_EVERY_SECONDS", 0)
    with power_cut(2), pytest.raises(PowerCutError):
        run_verb(train.main, *settings, f"hydra.run.dir={cut}")
    assert (cut / "last.ckpt").is_file()
    assert not (cut / "metrics.json").exists()
    assert run_verb(train.main, f"resume={cut}") == 0
    assert metrics_of(cut) == metrics_of(whole)
    assert (cut / "predictions.csv").read_text() == (whole / "predictions.csv").read_text()
    last = load_classifier(cut / "best.ckpt").state_dict()
    for name, value in load_classifier(whole / "best.ckpt").state_dict().items():
        assert torch.equal(last[name], value), name


@pytest.mark.usefixtures("narrow")
def test_resume_wants_the_photos_of_the_run_wherever_they_are(photos, run_verb, tmp_path, capsys):
    run = tmp_path / "run"
    with power_cut(1), pytest.raises(PowerCutError):
        run_verb(train.main, f"data.root={photos}", *TINY, f"hydra.run.dir={run}")
    extra = draw(photos / "train" / "red" / "more.png", (200, 40, 40), 500)
    assert run_verb(train.main, f"resume={run}") == 1
    assert "have changed since this run started" in capsys.readouterr().err
    extra.unlink()
    photos.rename(tmp_path / "moved")
    assert run_verb(train.main, f"resume={run}") == 1
    assert "does not exist" in capsys.readouterr().err
    assert run_verb(train.main, f"resume={run}", f"data.root={tmp_path / 'moved'}") == 0
    assert (run / "metrics.json").is_file()


@pytest.mark.usefixtures("narrow")
def test_a_run_that_another_process_has_ended_is_not_trained_again(
    shared_photos, run_verb, tmp_path, monkeypatch, capsys
):
    run = tmp_path / "run"
    with power_cut(0), pytest.raises(PowerCutError):
        run_verb(train.main, f"data.root={shared_photos}", *TINY, f"hydra.run.dir={run}")
    read = train.read_inputs

    def meanwhile(*args, **kwargs):
        (run / "metrics.json").write_text("{}")
        return read(*args, **kwargs)

    monkeypatch.setattr(train, "read_inputs", meanwhile)
    assert run_verb(train.main, f"resume={run}") == 1
    assert "this run is finished" in capsys.readouterr().err


@pytest.mark.parametrize(("takes", "saved"), [(0.1, [20, 50, 80, 100]), (0.5, [20, 80, 100])])
def test_slow_disks_get_fewer_checkpoints(tmp_path, monkeypatch, takes, saved):
    now, at = [0.0], []
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def save_checkpoint(path):
        at.append(round(now[0]))
        now[0] += takes
        path.touch()

    trainer = SimpleNamespace(
        max_epochs=10,
        is_global_zero=True,
        save_checkpoint=save_checkpoint,
        strategy=SimpleNamespace(broadcast=lambda due: due),
    )
    checkpoints = callbacks.KeepCheckpoints(tmp_path, has_val=True)
    for trainer.current_epoch in range(10):
        now[0] = 10.0 * (trainer.current_epoch + 1)
        checkpoints.on_train_epoch_end(trainer, None)
    assert at == saved, "every 20 s, or a hundred times what one takes; and the last"


@pytest.mark.usefixtures("narrow")
def test_a_damaged_last_checkpoint_is_named(photos, run_verb, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("bookcls.training.callbacks.SAVE_EVERY_SECONDS", 0)
    run = tmp_path / "run"
    with power_cut(1), pytest.raises(PowerCutError):
        run_verb(train.main, f"data.root={photos}", *TINY, f"hydra.run.dir={run}")
    with (run / "last.ckpt").open("r+b") as file:
        file.truncate(1_000_000)
    assert run_verb(train.main, f"resume={run}") == 1
    err = capsys.readouterr().err
    assert "last.ckpt is damaged (" in err
    assert "; delete it and start the run again" in err
    (run / "last.ckpt").unlink()
    assert run_verb(train.main, f"resume={run}") == 0


def test_resume_refuses_what_it_cannot_do(trained, run_verb, tmp_path, capsys):
    for arguments, message in [
        ((f"resume={trained}",), "this run is finished"),
        ((f"resume={tmp_path / 'nowhere'}",), "is not a run folder"),
        ((f"resume={trained}", "seed=1"), "leave out seed=1"),
        ((f"hydra.run.dir={trained}", "data.image_size=32"), "belongs to another run"),
    ]:
        assert run_verb(train.main, *arguments) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


def test_auto_without_network_trains_from_the_weights_that_ship_and_says_so(
    shared_photos, run_verb, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(download, "check_url", lambda url: "no route to host")
    run = tmp_path / "run"
    monkeypatch.setattr("bookcls.training.callbacks.SAVE_EVERY_SECONDS", 0)
    tiny = (*TINY, "optim.epochs=1", "optim.probe_epochs=1", f"hydra.run.dir={run}")
    with power_cut(1), pytest.raises(PowerCutError):
        run_verb(train.main, f"data.root={shared_photos}", "model.pretrained=true", *tiny)
    capsys.readouterr()

    # It goes on with the weights it began with, whatever is there by now.
    def no_deciding(*_):
        raise AssertionError("the run folder says what it began with")

    monkeypatch.setattr("bookcls.models.start.resolve", no_deciding)
    assert run_verb(train.main, f"resume={run}") == 0
    top, _, table = capsys.readouterr().out.partition("epoch 2")
    for part in (top, table):
        assert (
            part.count("warning: ImageNet weights are not cached and could not be downloaded") == 1
        )
    metrics = json.loads((run / "metrics.json").read_text())
    environment = json.loads((run / "environment.json").read_text())
    assert metrics["weights_source"] == environment["weights"]["source"] == "rendered"
    card = json.loads(weights.CARD.read_text(encoding="utf-8"))
    assert environment["weights"]["sha256"] == card["sha256"]
    assert (environment["freeze_to"], environment["lr"]) == (None, 1e-4)


def test_an_experiment_falls_back_to_settings_for_the_weights_that_ship(
    shared_photos, run_verb, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(download, "check_url", lambda url: "no route to host")
    run = tmp_path / "run"
    words = ["experiment=laptop", f"data.root={shared_photos}", "data.image_size=32"]
    words += ["data.cached_views=4"]  # for frozen layers, of which the other recipe has none
    words += ["optim.epochs=1", "optim.probe_epochs=0"]
    assert run_verb(train.main, *words, f"hydra.run.dir={run}") == 0
    out = capsys.readouterr().out
    assert out.count("this run uses the settings of experiment=sample") == 1
    assert out.count("warning: ImageNet weights are not cached") == 2, "at the top and at the end"
    config = to_dataclass(read_config(run / "config.yaml"), TrainConfig)
    assert (config.model.head, config.aug.vflip) == ("gap256", 0.5), "those of sample"
    assert config.model.weights == "rendered", "whatever a resume finds"
    assert (config.optim.epochs, config.data.root) == (1, str(shared_photos)), "the user's"
    # Whoever names the weights, or wants no other settings, gets what they asked for.
    for word in ("model.weights=rendered", "model.fallback=null"):
        given, _ = compose("train", TrainConfig, [*words, word])
        folder = read_folder(shared_photos)
        assert apply_fallback(given, [*words, word], folder) == (given, None)


def test_weights_that_are_not_used_or_not_there(shared_photos, run_verb, tmp_path, capsys):
    root = f"data.root={shared_photos}"
    assert run_verb(train.main, root, "model.weights=rendered") == 1
    assert "add model.pretrained=true" in capsys.readouterr().err
    assert run_verb(train.main, root, "model.pretrained=true", "model.weights=nowhere.pth") == 1
    assert "model.weights=nowhere.pth: there is no such file" in capsys.readouterr().err
    assert not list((tmp_path / "runs").iterdir())
    gone = ModelConfig(
        pretrained=True, weights="nowhere.pth", freeze_to="auto", head="gap256", dropout=0.0,
        activation="softmax", init_seed=None,
    )  # fmt: skip
    assert check_weights(gone, [], has_checkpoint=True, in_sweep=False) == gone
    # The experiment brings weights; from scratch they are left aside.
    words = ("experiment=laptop", "model.pretrained=false", root, "trainer=smoke")
    assert run_verb(train.main, *words, "data.image_size=32") == 0
    assert "from scratch" in capsys.readouterr().out


def test_bad_input_is_refused_before_the_heavy_imports(photos, run_verb, capsys, monkeypatch):
    def too_late(*args, **kwargs):
        raise AssertionError("the fit was reached")

    monkeypatch.setattr(fitting, "fit_and_test", too_late)
    (photos / "train" / "red" / "bad.png").touch()
    root = f"data.root={photos}"
    for arguments, message in [
        ((root,), "train/red/bad.png: empty file"),
        (("data.root=/no/such folder",), "/no/such folder does not exist"),
        (("data=folder",), "data.root=DIR"),
        ((root, "aug=strong"), "aug=strong: choose one of all, gentle, mixup, none, scenes, turn,"),
        (
            (root, "experiment=labtop"),
            "experiment=labtop: choose one of article, best, laptop, probe, sample, scenes, small.",
        ),
        ((root, "sweep=ablatoin"), "sweep=ablatoin: choose one of ablation, freeze."),
        ((root, "experiment=null"), "experiment=null: name one of"),
        ((root, "model.freeze_to=block6"), "choose one of input, block1_conv1"),
        (
            (root, "optim.learning_rate=1"),
            "optim.learning_rate is not a setting; choose one of optim.clip_norm,",
        ),
        ((root, "optim.Lr=1"), "Did you mean optim.lr"),
        ((root, "data.val_fraction=much"), "data.val_fraction: Value 'much' of type 'str'"),
        (("data.root=/no/such,folder",), "/no/such,folder does not exist"),
        (("data.root=~nobody_here/x",), "data.root=~nobody_here/x"),
        ((root, "hydra.run.dir=/dev/null/x"), "/dev/null"),
        ((root, "model.weights=file.pth"), "add model.pretrained=true"),
    ]:
        assert run_verb(train.main, *arguments) == 1, arguments
        err = capsys.readouterr().err
        assert message in err, arguments
        assert "Traceback" not in err
        assert err.startswith("bookcls: error: ")


@pytest.mark.usefixtures("narrow")
def test_a_batch_larger_than_the_data_works_and_says_so(photos, run_verb, capsys):
    arguments = (f"data.root={photos}", *TINY, "data.batch_size=500", "optim.epochs=1")
    assert run_verb(train.main, *arguments) == 0
    assert "data.batch_size=500 is larger than an epoch's 18 images" in capsys.readouterr().out


@pytest.mark.usefixtures("narrow")
def test_no_test_photos_says_what_that_means(photos, run_verb, capsys, tmp_path):
    for name in ("test_easy", "test_difficult"):
        shutil.rmtree(photos / name)
    arguments = (f"data.root={photos}", *TINY, "optim.epochs=1", f"hydra.run.dir={tmp_path}/run")
    assert run_verb(train.main, *arguments) == 0
    assert "nothing is known about" in " ".join(capsys.readouterr().out.split())
    assert (tmp_path / "run" / "metrics.json").is_file()


@pytest.mark.usefixtures("narrow")
def test_freezing_random_layers_warns(photos, run_verb, capsys):
    arguments = (f"data.root={photos}", *TINY, "trainer=smoke", "model.freeze_to=block4_conv1")
    assert run_verb(train.main, *arguments) == 0
    assert "freezes randomly initialised layers" in capsys.readouterr().out


def test_damaged_and_foreign_checkpoints_are_refused(trained, tmp_path):
    path = tmp_path / "x.ckpt"
    raw = torch.load(trained / "best.ckpt", weights_only=True)
    for content in (
        {"state_dict": {}},
        raw | {"hyper_parameters": raw["hyper_parameters"] | {"_instantiator": "os.system"}},
        raw | {"hyper_parameters": raw["hyper_parameters"] | {"class_names": ["a"]}},
        [1],
    ):
        torch.save(content, path)
        with pytest.raises(BookclsError, match="is not a bookcls checkpoint"):
            load_classifier(path)
    path.write_bytes((trained / "best.ckpt").read_bytes()[:10_000])
    with pytest.raises(BookclsError, match="is not a bookcls checkpoint"):
        load_classifier(path)


@pytest.mark.usefixtures("narrow")
def test_patience_begins_after_the_probe(shared_photos, run_verb, tmp_path):
    still = ("optim.probe_lr=1e-30", "optim.lr=1e-30", "optim.weight_decay=0")
    stages = ("optim.probe_epochs=4", "optim.epochs=5", "optim.patience=1")
    words = (f"data.root={shared_photos}", *TINY, *still, *stages, "hydra.run.dir=run")
    assert run_verb(train.main, *words) == 0
    # The loss never falls: the first epoch of fine-tuning is the best, the second ends it.
    assert [epoch for epoch, _, _ in read_curve(tmp_path / "run")] == list(range(6))


@pytest.mark.usefixtures("narrow")
def test_validation_losses_that_are_all_no_numbers_mean_divergence(
    shared_photos, run_verb, tmp_path, capsys
):
    # A single step: its loss is finite, and what it makes of the weights is not.
    step = ("data.batch_size=500", "optim.probe_epochs=0", "optim.epochs=1", "optim.lr=1e38")
    words = (f"data.root={shared_photos}", *TINY, *step, "hydra.run.dir=run")
    assert run_verb(train.main, *words) == 1
    err = capsys.readouterr().err
    assert err.startswith("bookcls: error: training diverged: the validation loss")
    assert "Try a lower optim.lr (it was 1e+38)" in err
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_epochs_replace_the_images_of_the_experiment(shared_photos):
    words = ["experiment=small", f"data.root={shared_photos}", "optim.epochs=3"]
    for extra, images in (([], None), (["optim.images_seen=80"], 80)):
        config, _ = compose("train", TrainConfig, [*words, *extra])
        assert read_inputs(config, [*words, *extra])[0].optim.images_seen == images
    config, _ = compose("train", TrainConfig, words[:2])
    assert read_inputs(config, words[:2])[0].optim.images_seen == 6400
