"""The probe: features computed once, logistic regression on them, its row in every table."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from bookcls import evaluate, train
from bookcls.data.dataset import read_folder
from bookcls.data.photos import decode
from bookcls.data.samples import Sample
from bookcls.errors import BookclsError
from bookcls.features import extract
from bookcls.features.extract import pooled_features
from bookcls.features.probe import CS, fit_probe, power_normalised
from bookcls.models.start import resolve
from bookcls.models.vgg16 import VGG16
from bookcls.training.baseline import load_probe
from bookcls.training.checkpoint import load_classifier
from bookcls.training.classifier import Classifier
from conftest import TINY

RENDERED = ("model.pretrained=true", "model.weights=rendered")


def make_samples(labels) -> list[Sample]:
    return [
        Sample(Path(f"{i}.jpg"), f"{i}.jpg", int(label), (int(label),), f"hash {i}")
        for i, label in enumerate(labels)
    ]


def make_features(labels, seed: int = 0, noise: float = 1.0):
    """Features at least 0, with one that rises with each class."""
    rng = np.random.default_rng(seed)
    features = rng.gamma(1.0, noise, (len(labels), 20))
    features[np.arange(len(labels)), labels] += 3
    return features.astype(np.float32)


@pytest.mark.parametrize("num_classes", [2, 4])
def test_it_is_scikit_learns_with_the_chosen_regularisation(num_classes):
    labels = np.arange(40) % num_classes
    features = make_features(labels)
    probe = fit_probe(features, make_samples(labels), num_classes, seed=0)
    assert probe.c in CS
    model = LogisticRegression(C=probe.c, class_weight="balanced", max_iter=1000)
    model.fit(power_normalised(features), labels)
    wanted = model.predict_proba(power_normalised(features))
    assert probe.probs(features) == pytest.approx(wanted, abs=1e-9)
    again = make_features(labels, seed=1)
    assert (probe.probs(again).argmax(axis=1) == labels).mean() > 0.8


def test_noise_wants_more_regularisation_than_signal():
    labels = np.arange(60) % 3
    clear = fit_probe(make_features(labels, noise=0.1), make_samples(labels), 3, seed=0)
    noise = np.random.default_rng(0).gamma(1.0, 1.0, (60, 20))
    blind = fit_probe(noise, make_samples(labels), 3, seed=0)
    assert clear.c == max(CS)
    assert blind.c == min(CS)
    assert clear.nll < 0.1 < np.log(3) * 0.95 < blind.nll


def test_copies_do_not_judge_themselves():
    # Noise, but each photo twice: who parts the copies finds it easy.
    labels = np.repeat(np.arange(30) % 3, 2)
    features = np.repeat(np.random.default_rng(0).gamma(1.0, 1.0, (30, 50)), 2, axis=0)
    pairs = [replace(s, sha256=f"hash {i // 2}") for i, s in enumerate(make_samples(labels))]
    assert fit_probe(features, pairs, 3, seed=0).nll > 1.0
    assert fit_probe(features, make_samples(labels), 3, seed=0).nll < 0.7


def test_a_class_with_one_photo_takes_a_regularisation_unseen():
    labels = np.array([0] * 8 + [1])
    probe = fit_probe(make_features(labels), make_samples(labels), 2, seed=0)
    assert np.isnan(probe.nll)
    assert probe.probs(make_features(labels)).shape == (9, 2)


def test_features_are_those_of_the_network_and_computed_once(shared_photos, monkeypatch, tmp_path):
    monkeypatch.setenv("BOOKCLS_CACHE", str(tmp_path / "cache"))
    samples = read_folder(shared_photos).train[:5]
    images, _ = decode(samples, 32, "letterbox")
    start = resolve("rendered")
    features = pooled_features(samples, images, start)
    network = VGG16(2, image_size=32)
    network.features.load_state_dict(start.load())
    preprocess = Classifier(["a", "b"], image_size=32).preprocessing
    batch = torch.stack([preprocess(images[s.path]) for s in samples])
    with torch.inference_mode():
        wanted = network.features(batch).mean(dim=(2, 3)).numpy()
    scale = wanted.max()
    assert np.abs(features - wanted).max() < 0.03 * scale  # bfloat16, where that is native

    def refuse(*_, **__):
        raise AssertionError("cached")

    monkeypatch.setattr(extract, "VGG16", refuse)
    assert (pooled_features(samples, images, start) == features).all()
    damaged = next((tmp_path / "cache").rglob("*.npy"))
    damaged.write_bytes(b"half")
    with pytest.raises(AssertionError, match="cached"):
        pooled_features(samples, images, start)


def test_the_linear_head_answers_as_the_probe(shared_photos, run_verb, tmp_path, capsys):
    run = tmp_path / "run"
    words = (f"data.root={shared_photos}", "experiment=probe", *RENDERED, "data.image_size=32",
             "trainer=cpu", "trainer.precision=32-true", f"hydra.run.dir={run}")  # fmt: skip
    assert run_verb(train.main, *words) == 0
    out = capsys.readouterr().out
    assert out.count("  probe ") == 2
    assert "model    VGG16, frozen, and a linear classifier" in out
    assert "epoch" not in out
    metrics = json.loads((run / "metrics.json").read_text())
    for split in ("easy", "difficult"):
        for score in ("acc", "nll", "floor"):
            ours, probes = metrics[f"test/{split}_{score}"], metrics[f"probe/{split}_{score}"]
            assert ours == pytest.approx(probes, abs=0.02), (split, score)
    classifier, probe = load_classifier(run / "best.ckpt"), load_probe(run)
    assert classifier.model.head.fc2.weight.numpy(force=True) == pytest.approx(probe.weight, 1e-5)


def test_fine_tuning_is_compared_with_it_also_on_other_photos(
    shared_photos, run_verb, tmp_path, capsys
):
    run = tmp_path / "run"
    words = (f"data.root={shared_photos}", *RENDERED, *TINY, "optim.epochs=1",
             "optim.probe_epochs=0", f"hydra.run.dir={run}")  # fmt: skip
    assert run_verb(train.main, *words) == 0
    out = capsys.readouterr().out
    assert "the fine-tuned model gets" in out
    metrics = json.loads((run / "metrics.json").read_text())
    assert run_verb(evaluate.main, f"ckpt={run}", "hydra.run.dir=again") == 0
    again = json.loads(Path("again/metrics.json").read_text())
    scores = {key: value for key, value in metrics.items() if key.startswith("probe/")}
    assert {key: again[key] for key in scores} == scores
    assert scores["probe/easy_n"] == 6
    (run / "probe.safetensors").write_bytes(b"half")
    assert run_verb(evaluate.main, f"ckpt={run}", "hydra.run.dir=third") == 1
    assert "probe.safetensors is damaged" in capsys.readouterr().err


def test_there_is_none_from_scratch(shared_photos, run_verb, narrow, tmp_path, capsys):
    run = tmp_path / "run"
    assert run_verb(train.main, f"data.root={shared_photos}", *TINY, f"hydra.run.dir={run}") == 0
    assert "probe" not in capsys.readouterr().out
    assert not (run / "probe.safetensors").exists()
    assert load_probe(run) is None
    (run / "probe.safetensors").write_bytes(b"")
    with pytest.raises(BookclsError, match="damaged"):
        load_probe(run)
