"""How a model learns: weights, stages, rates, averages, losses that are no number, processes."""

import csv
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torchvision.models import vgg16

from bookcls import train
from bookcls.models.vgg16 import count_parameters
from bookcls.training import recipe
from bookcls.training.checkpoint import load_classifier
from bookcls.training.classifier import Classifier
from bookcls.training.loss import training_loss
from conftest import TINY


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "ran out of memory: lower data.batch_size"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "lower data.batch_size"),
        (RuntimeError("std::bad_alloc"), "lower data.batch_size"),
        (ImportError("x.so: failed to map segment from shared object"), "lower data.batch_size"),
    ],
)
def test_out_of_memory_says_what_to_lower(
    shared_photos, run_verb, tmp_path, monkeypatch, capsys, error, said
):
    def fail(self):
        raise error

    monkeypatch.setattr(Classifier, "on_train_epoch_start", fail)
    words = (f"data.root={shared_photos}", *TINY, f"hydra.run.dir={tmp_path / 'run'}")
    assert run_verb(train.main, *words) == 1
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("narrow")
def test_a_photo_that_vanishes_is_one_sentence(photos, run_verb, tmp_path, monkeypatch, capsys):
    def vanish(_):
        for path in (photos / "train" / "red").iterdir():
            path.unlink()

    monkeypatch.setattr(Classifier, "on_train_epoch_start", vanish)
    words = (f"data.root={photos}", *TINY, f"hydra.run.dir={tmp_path / 'run'}")
    assert run_verb(train.main, *words, "data.cache_mb=0", "data.num_workers=2") == 1
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert said.startswith(f"bookcls: error: {photos}/train/red/red_")
    assert said.endswith(".png: no such file, although it could be read before")


def test_the_probe_leaves_the_features_alone(shared_photos, run_verb, tmp_path, monkeypatch):
    seen = {}
    check = Classifier.on_train_epoch_end

    def remember(self):
        check(self)
        seen[self.current_epoch + 1] = {k: v.clone() for k, v in self.state_dict().items()}

    monkeypatch.setattr(Classifier, "on_train_epoch_end", remember)
    torch.manual_seed(3)
    state = vgg16(weights=None).state_dict()
    torch.save(state, tmp_path / "w.pth")
    arguments = (
        f"data.root={shared_photos}", "model.pretrained=true", f"model.weights={tmp_path}/w.pth",
        "model.freeze_to=input", "optim.probe_epochs=2",
        f"hydra.run.dir={tmp_path}/run", *TINY,
    )  # fmt: skip
    assert run_verb(train.main, *arguments) == 0
    for epoch, frozen in ((1, True), (2, True), (3, False)):
        for name, value in state.items():
            if name.startswith("features."):
                assert torch.equal(seen[epoch][f"model.{name}"], value) == frozen, (epoch, name)


@pytest.mark.usefixtures("narrow")
def test_a_loss_that_is_no_number_stops_and_keeps_the_best(photos, run_verb, capsys, tmp_path):
    run = tmp_path / "run"
    original = Classifier.forward

    def explode(self, images):
        logits = original(self, images)
        return logits * torch.nan if self.training and self.current_epoch == 1 else logits

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Classifier, "forward", explode)
        arguments = (f"data.root={photos}", *TINY, f"hydra.run.dir={run}")
        assert run_verb(train.main, *arguments) == 1
    err = capsys.readouterr().err
    assert "the loss became nan in epoch 2" in err
    assert "lower optim.lr" in err
    assert "Traceback" not in err
    assert all(
        torch.isfinite(v).all() for v in load_classifier(run / "best.ckpt").state_dict().values()
    )
    assert not (run / "metrics.json").exists()


def test_on_a_gpu_an_epoch_without_a_number_is_noticed_at_its_end(
    photos, run_verb, tmp_path, monkeypatch, capsys
):
    class Elsewhere(Classifier):
        """Takes the branch of a device whose single losses are not looked at."""

        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            if self.current_epoch == 1 and batch_idx == 1:
                self.train_loss.update(loss.detach() * torch.nan)
            return loss

    monkeypatch.setattr(recipe, "Classifier", Elsewhere)
    run = tmp_path / "run"
    arguments = (f"data.root={photos}", *TINY, "data.val_fraction=0", f"hydra.run.dir={run}")
    assert run_verb(train.main, *arguments) == 1
    assert "the loss became nan in epoch 2" in capsys.readouterr().err
    assert not (run / "best.ckpt").exists()
    assert not (run / "metrics.json").exists()


def test_learning_rates_of_the_stages(monkeypatch):
    trainer = SimpleNamespace(
        max_epochs=4, estimated_stepping_batches=40, world_size=1, precision="32-true"
    )
    monkeypatch.setattr(Classifier, "trainer", trainer)
    settings = {"lr": 1e-4, "probe_lr": 1e-3, "probe_epochs": 1, "layer_decay": 0.5}
    classifier = Classifier(["a", "b"], freeze_to="block4_conv1", warmup_steps=5, **settings)
    made = classifier.configure_optimizers()
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(40):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    block4, block5, head = np.array(rates).T
    assert (block4[:10] == 0).all(), "the probe moves the head alone"
    assert (block5[:10] == 0).all()
    assert head[0] == pytest.approx(1e-3)
    assert np.argmax(block5) == 15, "ten steps of probe, five of warm-up"
    assert [r.max() for r in (block4[10:], block5[10:], head[10:])] == pytest.approx(
        [0.25e-4, 0.5e-4, 1e-4]
    )
    trained = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    assert trained == count_parameters(classifier.model, trainable_only=True)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_fused_optimizer_is_clipped(monkeypatch, precision):
    trainer = SimpleNamespace(
        max_epochs=1, estimated_stepping_batches=1, world_size=1, precision=precision
    )
    monkeypatch.setattr(Classifier, "trainer", trainer)
    classifier = Classifier(["a", "b"], image_size=32, freeze_to="block4_conv1")
    optimizer = classifier.configure_optimizers()["optimizer"]
    assert optimizer.defaults["fused"]
    classifier(torch.randn(2, 3, 32, 32)).sum().backward()
    grads = [p.grad for p in classifier.parameters() if p.grad is not None]
    expected = [0.5 * g / torch.stack([h.norm() for h in grads]).norm() for g in grads]
    classifier.configure_gradient_clipping(optimizer, None)
    assert torch.stack([g.norm() for g in grads]).norm() > 0.5
    classifier.configure_gradient_clipping(optimizer, 0.5)
    for grad, wanted in zip(grads, expected, strict=True):
        torch.testing.assert_close(grad, wanted, rtol=1e-4, atol=1e-7)


@pytest.mark.usefixtures("narrow")
def test_a_scaled_loss_has_an_optimizer_that_lets_lightning_clip(monkeypatch):
    """Lightning scales back before it clips, unless the optimizer says that it does that itself."""
    trainer = SimpleNamespace(
        max_epochs=1, estimated_stepping_batches=1, world_size=1, precision="16-mixed"
    )
    monkeypatch.setattr(Classifier, "trainer", trainer)
    classifier = Classifier(["a", "b"], image_size=32)
    optimizer = classifier.configure_optimizers()["optimizer"]
    assert not getattr(optimizer, "_step_supports_amp_scaling", False)
    assert optimizer.defaults["foreach"] is optimizer.defaults["fused"] is None
    asked = []
    monkeypatch.setattr(classifier, "clip_gradients", lambda *given: asked.append(given))
    classifier.configure_gradient_clipping(optimizer, 1.0, "norm")
    assert asked == [(optimizer, 1.0, "norm")]


@pytest.mark.usefixtures("narrow")
def test_the_best_of_a_moving_average_is_the_average(
    shared_photos, run_verb, tmp_path, monkeypatch
):
    seen = []
    step_end = Classifier.on_train_batch_start

    def remember(self, batch, batch_idx):
        step_end(self, batch, batch_idx)
        seen.append({k: v.clone() for k, v in self.state_dict().items()})

    monkeypatch.setattr(Classifier, "on_train_batch_start", remember)
    arguments = (f"data.root={shared_photos}", *TINY, "optim.ema=0.5", "data.val_fraction=0")
    for epochs, name in ((1, "one"), (2, "two")):
        seen.clear()
        run = f"hydra.run.dir={tmp_path / name}"
        assert run_verb(train.main, *arguments, f"optim.epochs={epochs}", run) == 0
    key = "model.head.fc2.weight"
    average = seen[1][key]  # torch copies the weights after the first step, then averages
    for state in seen[2:]:
        average = 0.5 * average + 0.5 * state[key]
    best = load_classifier(tmp_path / "two" / "best.ckpt").state_dict()[key]
    # The last step's weights were never seen; the average lies half way to them.
    last = 2 * best - average
    assert not torch.equal(best, last)
    assert (last - seen[-1][key]).abs().max() < 1e-3


def test_one_batch_can_be_overfitted():
    torch.manual_seed(0)
    classifier = Classifier(["a", "b", "c"], image_size=32)
    images, target = torch.randn(6, 3, 32, 32), torch.tensor([0, 1, 2, 0, 1, 2])
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=3e-4)
    losses = []
    # Processors round differently, and the loss of a network without BatchNorm is a bumpy path.
    while len(losses) < 200 and min(losses, default=1) >= 0.05:
        loss = torch.nn.functional.cross_entropy(classifier(images), target)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(classifier.parameters(), 1)
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.05


@pytest.mark.usefixtures("narrow")
def test_sigmoids_name_each_thing_that_is_there(shared_photos, run_verb, tmp_path, capsys):
    torch.manual_seed(0)
    classifier = Classifier(["a", "b", "c"], image_size=32, activation="sigmoid")
    logits, target = torch.tensor([[2.0, -1.0, 0.5]]), torch.tensor([[0.7, 0.25, 0.05]])
    expected = -torch.tensor([[2.0, -1.0, -0.5]]).sigmoid().log().mean()
    assert float(
        training_loss(logits, target, activation="sigmoid", label_smoothing=0)
    ) == pytest.approx(float(expected))
    images = torch.randn(4, 3, 32, 32)
    classifier.eval()
    with torch.no_grad():
        raw = classifier.model.head[:-1](classifier.model.features(images))
        apart = raw.sigmoid()
        assert torch.allclose(classifier(images).exp(), apart, atol=1e-6)
        shares = apart / apart.sum(dim=1, keepdim=True)
        assert torch.allclose(classifier.probs(images), shares, atol=1e-6)

    run = tmp_path / "run"
    words = (f"data.root={shared_photos}", *TINY, "aug=all", f"hydra.run.dir={run}")
    assert run_verb(train.main, *words, "model.activation=sigmoid", "trainer.precision=auto") == 0
    assert load_classifier(run / "best.ckpt").hparams["activation"] == "sigmoid"
    assert run_verb(train.main, *words, "model.activation=tanh") == 1
    assert "model.activation=tanh" in capsys.readouterr().err


def test_rotations_are_averaged():
    torch.manual_seed(0)
    classifier = Classifier(["a", "b"], image_size=32).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        turned = [classifier.probs(images.rot90(k, (2, 3))) for k in range(4)]
        assert torch.allclose(classifier.probs(images, 4), torch.stack(turned).mean(0), atol=1e-6)
        both = (turned[0] + turned[2]) / 2
        assert torch.allclose(classifier.probs(images, 2), both, atol=1e-6)


def test_schedule_rises_and_falls():
    from bookcls.training.schedule import warmup_cosine

    factors = [warmup_cosine(step, 100, 10) for step in range(100)]
    assert np.argmax(factors) == 10
    assert factors[10] == 1
    assert 0 < factors[-1] < 0.01
    assert factors == sorted(factors[:10]) + sorted(factors[10:], reverse=True)


def test_two_processes_count_each_test_photo_once(shared_photos, tmp_path):
    run = tmp_path / "run"
    torch.save(vgg16(weights=None).state_dict(), tmp_path / "w.pth")
    command = [sys.executable, "-m", "bookcls.train", f"data.root={shared_photos}", "trainer=ddp",
               "model.pretrained=true", f"model.weights={tmp_path}/w.pth", "optim.probe_epochs=1",
               "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true",
               "data.image_size=32", "data.batch_size=4", "optim.epochs=1",
               f"hydra.run.dir={run}"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((run / "metrics.json").read_text())
    assert (metrics["test/easy_n"], metrics["test/difficult_n"]) == (6, 20)
    assert json.loads((run / "environment.json").read_text())["num_processes"] == 2
    assert done.stdout.count("photos   ") == 1
    with (run / "predictions.csv").open(newline="") as file:
        names = [(r["split"], r["file"]) for r in csv.DictReader(file)]
    assert len(names) == len(set(names)) == 26


def test_training_with_given_weights_loads_every_tensor(
    shared_photos, run_verb, tmp_path, capsys, monkeypatch
):
    torch.manual_seed(3)
    state = vgg16(weights=None).state_dict()
    torch.save(state, tmp_path / "vgg16.pth")
    run = tmp_path / "run"
    arguments = (
        f"data.root={shared_photos}", "model.pretrained=true", "aug=all",
        f"model.weights={tmp_path / 'vgg16.pth'}", f"hydra.run.dir={run}", *TINY,
        "optim.probe_epochs=1",
    )  # fmt: skip
    assert run_verb(train.main, *arguments) == 0
    assert "weights  vgg16.pth" in capsys.readouterr().out
    environment = json.loads((run / "environment.json").read_text())
    assert environment["weights"]["name"] == "vgg16.pth"
    learned = load_classifier(run / "best.ckpt").state_dict()
    for name, value in state.items():
        if name.startswith("features.") and int(name.split(".")[1]) < 17:
            assert torch.equal(learned[f"model.{name}"], value), f"{name} is frozen by default"
