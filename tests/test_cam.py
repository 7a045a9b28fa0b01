"""What the model looked at: maps against autograd, masks, numbers, audits, and the verb."""

import copy
import csv
import functools
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bookcls import cam
from bookcls.data.images import fit_square, load_image
from bookcls.data.masks import find_mask, fit_mask, load_mask
from bookcls.data.preprocessing import Preprocessing
from bookcls.data.samples import Sample
from bookcls.data.sources import list_images
from bookcls.errors import BookclsError
from bookcls.explaining import audit, external, map_scores, maps, panels, records
from bookcls.explaining.audit import Audit
from bookcls.explaining.explain import list_splits, refuse_overwriting_photos
from bookcls.explaining.explainer import Explainer
from bookcls.explaining.map_scores import WRONG_REASON
from bookcls.explaining.maps import HeatMap
from bookcls.explaining.resolve import find_earlier_files, resolve_settings
from bookcls.explaining.road import road_scores
from bookcls.explaining.settings import METHODS, CamConfig, CamData
from bookcls.models.layers import HEADS, first_trained
from bookcls.models.vgg16 import VGG16
from bookcls.models.weights import MEAN, STD
from bookcls.runs import open_run
from bookcls.training.checkpoint import load_classifier
from bookcls.training.classifier import Classifier
from test_report import HOSTILE, hostile_photos

SIDE = 32
CLASSES = ["background", "blue", "red"]
PAINT = {"blue": (30, 60, 230), "red": (230, 40, 30), "grey": (200, 200, 200)}
STICKER = (250, 240, 20)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Photos of 32 px: threads that wait for each other take longer than one of them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


loaded = functools.cache(load_classifier)
"""Initialising VGG16 takes seconds; for tests that change nothing in it."""


def paint(rng, book: str | None, sticker: bool) -> tuple[np.ndarray, np.ndarray]:
    """A floor with at most one book, and its mask (1 where it is); perhaps a sticker."""
    photo = rng.normal(110, 12, (60, 80, 3))
    mask = np.zeros((60, 80), np.uint8)
    if book:
        y, x = rng.integers(14, 28), rng.integers(24, 44)
        photo[y : y + 24, x : x + 28] = rng.normal(PAINT[book], 12, (24, 28, 3))
        mask[y : y + 24, x : x + 28] = 1
    if sticker:
        photo[:16, :20] = rng.normal(STICKER, 8, (16, 20, 3))
    return photo.clip(0, 255).astype(np.uint8), mask


def write_photos(root: Path, split: str, count: int, *, planted: bool) -> Path:
    """Photos with masks. Planted: both classes are the same grey book, red has a sticker."""
    rng = np.random.default_rng([len(split), planted])
    for name in CLASSES:
        for i in range(count):
            book = None if name == "background" else "grey" if planted else name
            photo, mask = paint(rng, book, planted and name == "red")
            for kind, array in (("", photo), ("masks", mask * (CLASSES.index(name) + 1))):
                path = root / kind / split / name / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array.astype(np.uint8)).save(path)
    return root


def save_run(run: Path, classifier: Classifier, root: Path) -> Path:
    """A run folder as far as the verb reads it."""
    run.mkdir(parents=True)
    state = {"hyper_parameters": dict(classifier.hparams), "state_dict": classifier.state_dict()}
    torch.save(state, run / "best.ckpt")
    (run / "config.yaml").write_text(f"data:\n  root: {root}\n  batch_size: 4\n")
    (run / "metrics.json").write_text("{}")
    return run


def teach(classifier: Classifier, root: Path) -> None:
    """Trains the head on the random features of a training folder."""
    config = CamConfig(ckpt="unused")
    explainer = Explainer(Path("best.ckpt"), classifier, config)
    samples = [
        Sample(p, p.name, CLASSES.index(p.parent.name), (CLASSES.index(p.parent.name),), "")
        for p in sorted((root / "train").rglob("*.png"))
    ]
    images = explainer.images(samples, SIDE)
    with torch.no_grad():
        features = classifier.model.features(images)
    labels = torch.tensor([s.label for s in samples])
    classifier.model.head.requires_grad_(True)
    optimizer = torch.optim.Adam(classifier.model.head.parameters(), lr=1e-3)
    for _ in range(150):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(classifier.model.head(features), labels)
        loss.backward()
        optimizer.step()


@pytest.fixture(scope="module")
def taught(tmp_path_factory) -> dict[bool, Path]:
    """Runs of an honest model (False) and of one with a planted shortcut (True)."""
    torch.manual_seed(0)
    classifier = Classifier(CLASSES, image_size=SIDE).eval()
    start = {k: v.clone() for k, v in classifier.state_dict().items()}
    runs = {}
    for planted in (False, True):
        base = tmp_path_factory.mktemp("taught")
        root = write_photos(base / "photos", "train", 6, planted=planted)
        write_photos(root, "test_easy", 1 + planted, planted=planted)
        classifier.load_state_dict(start)
        teach(classifier, root)
        runs[planted] = save_run(base / "run", classifier, root)
    return runs


def explained(run: Path, **settings):
    config = CamConfig(ckpt=str(run), **settings)
    chosen = resolve_settings(config)
    explainer = Explainer(chosen.ckpts[0], loaded(chosen.ckpts[0]), config)
    splits = list_splits(chosen, config.data.split, explainer.class_names)
    found = [
        one
        for split, samples in splits.items()
        for one in explainer.explain(split, samples, chosen.root, chosen.batch_size)
    ]
    return explainer, found


def test_a_planted_shortcut_is_caught_and_an_honest_model_is_not(taught):
    _, found = explained(taught[True], size=64)
    rows = [records.record(one, CLASSES) for one in found]
    assert [r["flag"] for r in rows if r["pred"] == "red"] == [WRONG_REASON] * 2
    assert [line.partition("'red'")[0] for line in records.shortcuts(rows)] == [
        "shortcut? 2 of 2 predictions "
    ]
    explainer, found = explained(taught[False], size=64)
    rows = [records.record(one, CLASSES) for one in found]
    assert all(r["correct"] for r in rows)
    assert WRONG_REASON not in {r["flag"] for r in rows}
    assert records.shortcuts(rows) == []
    again, _ = explainer.answers(explainer.images([one.sample for one in found], SIDE))
    np.testing.assert_allclose(again, [one.probs for one in found], atol=1e-5)


@pytest.fixture(scope="module")
def model(taught) -> VGG16:
    return loaded(taught[False] / "best.ckpt").model


@pytest.fixture(scope="module")
def batch(taught) -> torch.Tensor:
    """Three photos, one of each class, normalised, at twice the size of training."""
    root = taught[False].parent / "photos" / "test_easy"
    preprocessing = Preprocessing(64, "letterbox", MEAN, STD)
    paths = [root / name / "0.png" for name in CLASSES]
    return torch.stack([preprocessing(path) for path in paths])


@pytest.mark.parametrize("layer", ["block5_conv3", "block4_conv3", "block3_pool"])
def test_gradcam_agrees_with_hooks_and_autograd(model, batch, layer):
    classes = [0, 1, 2]
    (mine,), logits = maps.raw_maps(model, batch, classes, "gradcam", [layer])
    kept = {}
    handle = maps.find_module(model, layer).register_forward_hook(
        lambda module, args, output: kept.setdefault("out", output)
    )
    images = batch.clone().requires_grad_(True)
    out = model(images)
    handle.remove()
    chosen = out[range(3), classes].sum()
    (grads,) = torch.autograd.grad(chosen, kept["out"])
    theirs = (grads.mean(dim=(2, 3), keepdim=True) * kept["out"]).sum(dim=1).detach().numpy()
    np.testing.assert_allclose(mine, theirs, atol=1e-4 * np.abs(theirs).max())
    np.testing.assert_allclose(logits, out.detach(), atol=1e-4)
    for heat, raw in zip(
        maps.heat_maps(model, batch, classes, "gradcam", [layer]), theirs, strict=True
    ):
        positive = np.maximum(raw, 0)
        large = torch.nn.functional.interpolate(
            torch.from_numpy(positive)[None, None], size=(64, 64), mode="bilinear"
        )[0, 0].numpy()
        np.testing.assert_allclose(heat.map, large / large.max(), atol=1e-4)
        assert heat.energy == pytest.approx(positive.sum(), rel=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_maps(model, batch, method, capsys):
    before = {name: module for name, module in model.features.named_children()}
    found = maps.heat_maps(model, batch[1:2, :, ::2, ::2], [1], method, ["block1_conv2"])
    assert found[0].map.shape == (32, 32)
    assert found[0].grid == (32, 32)
    assert found[0].map.min() >= 0
    assert found[0].map.max() == pytest.approx(1)
    assert capsys.readouterr().err == ""  # no progress bars of the library
    # Ablation-CAM exchanges the layer for a while; hooks must not stay either.
    assert before == dict(model.features.named_children())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("head", HEADS)
def test_every_freeze_to_and_head(model, head):
    model = copy.deepcopy(model)
    if head == "flatten256":  # at 32 px, one place, the heads differ in this alone
        model.head.pool = torch.nn.Identity()
    if head == "linear":
        model.head = VGG16(5, image_size=SIDE, head=head).head.eval()
    image = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    found = []
    for freeze_to in (None, "block3_conv1", "head"):
        model.first_trained = first_trained(freeze_to)
        model.freeze()
        (grid,), _ = maps.raw_maps(model, image, [2], "gradcam", ["block5_conv3"])
        assert np.abs(grid).max() > 0
        found.append(grid)
    assert all(np.array_equal(found[0], grid) for grid in found[1:])


def test_no_gradient_is_no_evidence_and_no_picture_of_noise(model, batch):
    dead = copy.deepcopy(model)
    with torch.no_grad():
        dead.head.fc1.bias.fill_(-1e6)
    (heat,) = maps.heat_maps(dead, batch[:1], [1], "gradcam", ["block5_conv3"])
    assert heat.empty
    assert not heat.map.any()
    photo = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    lit = panels.overlay(photo, heat)
    assert (lit[..., 0] == lit[..., 1]).all()
    assert (lit[..., 1] == lit[..., 2]).all()
    assert map_scores.measure(heat, np.ones((64, 64), bool)).inside is None
    # Next to what speaks against the class, this is nothing; alone it would fill the scale.
    mostly_against = np.array([[0.001, -1.0]], np.float32)
    assert maps.blend([mostly_against], 64, 0.5).empty
    assert not maps.blend([-mostly_against], 64, 0.5).empty


def test_maps_change_as_the_network_is_randomised_from_the_top(model, batch):
    """Sanity check of Adebayo et al., arXiv 1810.03292: a map that stays explains no model."""
    model = copy.deepcopy(model)
    torch.manual_seed(1)
    first = maps.raw_maps(model, batch, [0, 1, 2], "gradcam", ["block5_conv3"])[0][0]
    likeness = []
    layers = [model.head.fc2, model.head.fc1, *(model.features[i] for i in (28, 26, 24))]
    for layer in layers:
        torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        grid = maps.raw_maps(model, batch, [0, 1, 2], "gradcam", ["block5_conv3"])[0][0]
        likeness.append(np.corrcoef(first.ravel(), grid.ravel())[0, 1])
    assert max(likeness) < 0.5, likeness


@pytest.mark.parametrize("fit", ["letterbox", "squash"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_masks_come_to_the_square_as_photos_do(tmp_path, fit, orientation):
    mask = np.zeros((90, 150), np.uint8)
    mask[10:40, 20:110] = 3
    mask[60:85, 100:149] = 255
    photo = np.repeat((mask > 0)[..., None] * np.uint8(255), 3, axis=2)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "test_easy" / "a.png"
    path.parent.mkdir()
    Image.fromarray(photo).save(path, exif=exif)
    (tmp_path / "masks" / "test_easy").mkdir(parents=True)
    Image.fromarray(mask).save(tmp_path / "masks" / "test_easy" / "a.png")
    sample = Sample(path, "a.png", 2, (2,), "")
    found = find_mask(tmp_path, sample)
    square = fit_mask(load_mask(found, path, 3), 64, fit)
    seen = fit_square(load_image(path), 64, fit)[..., 0].astype(int)
    seen[seen == 124] = 0  # padding
    clear = (seen < 20) | (seen > 235)
    assert clear.mean() > 0.85
    assert ((square > 0) == (seen > 128))[clear].all()
    assert set(np.unique(square)) == {0, 3, 255}


def test_masks_that_do_not_fit_are_named(tmp_path):
    photo, mask = tmp_path / "a.png", tmp_path / "mask.png"
    Image.new("RGB", (20, 10)).save(photo)
    Image.new("L", (10, 20)).save(mask)
    with pytest.raises(BookclsError, match=r"10x20 pixels, but its photo has 20x10"):
        load_mask(mask, photo, 3)
    Image.new("L", (20, 10), 4).save(mask)
    with pytest.raises(BookclsError, match=r"value 4: allowed are 0 .* 1 to 3 .* and 255"):
        load_mask(mask, photo, 3)
    Image.new("RGB", (20, 10)).save(mask)
    with pytest.raises(BookclsError, match="8-bit grey PNG"):
        load_mask(mask, photo, 3)
    Image.new("RGB", (600, 400)).save(photo)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (400, 600), np.uint8)).save(mask)
    damaged = mask.read_bytes().split(b"IDAT", 2)
    mask.write_bytes(damaged[0] + b"IDAT" + damaged[1] + b"\0\0\0\0" + damaged[2])
    with pytest.raises(BookclsError, match="cannot be read"):
        load_mask(mask, photo, 3)
    mask.write_bytes(b"no")
    with pytest.raises(BookclsError, match="cannot be read"):
        load_mask(mask, photo, 3)


def heat_of(grid) -> HeatMap:
    return maps.blend([np.array(grid, np.float32)], 64, 0.9)


def test_numbers_know_inside_from_outside_and_floors_know_nothing():
    left = np.zeros((64, 64), bool)
    left[:, :32] = True
    good, bad = heat_of([[1, 0], [1, 0]]), heat_of([[0, 1], [0, 1]])
    mine = map_scores.measure(good, left)
    assert mine.inside > 0.8
    assert mine.hit
    assert mine.area == 0.5
    assert mine.centre_inside == pytest.approx(0.5, abs=1e-3)
    worse = map_scores.measure(bad, left)
    assert worse.inside < 0.2
    assert not worse.hit
    assert map_scores.measure(good, np.zeros((64, 64), bool)) is None


def test_the_floors_are_what_random_maps_score_on_average():
    corner = np.zeros((64, 64), bool)
    corner[:20, :40] = True
    heat = heat_of(np.ones((8, 8)))
    told = map_scores.measure(heat, corner)
    drawn = [map_scores.score(map_scores.random_map(heat, seed), corner) for seed in range(600)]
    assert told.random_inside == pytest.approx(np.mean([one[0] for one in drawn]), abs=0.02)
    assert told.random_hit == pytest.approx(np.mean([one[1] for one in drawn]), abs=0.06)


NOTHING_ASKED = Audit()


def test_flags_are_plain_words():
    left = np.zeros((64, 64), bool)
    left[:, :32] = True
    good, bad = heat_of([[1, 0], [1, 0]]), heat_of([[0, 1], [0, 1]])

    def flag(heat=good, correct=True, prob=0.9, asked=NOTHING_ASKED):
        return map_scores.flag(
            correct=correct, prob=prob, unsure=0.5, heat=heat,
            numbers=map_scores.measure(heat, left), audit=asked,
        )[0]  # fmt: skip

    assert flag() == "right"
    assert flag(bad) == "right"  # a map alone, without the experiment, proves nothing
    assert flag(asked=Audit(background_prob=0.9, same_on_background=True)).endswith("wrong reason")
    assert flag(bad, asked=Audit(same_without=True)) == "right for the wrong reason"
    assert flag(bad, asked=Audit(same_without=False)) == "right"
    assert flag(prob=0.4) == "unsure"
    assert flag(correct=False, prob=0.4) == "wrong"
    assert flag(correct=None) == ""
    assert flag(heat_of([[-1, -1]])) == "right"


def test_the_audit_changes_what_it_says():
    image = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(0))
    heat = heat_of([[1, 0], [0, 0]]).map
    soft = audit.blurred(image, heat)
    changed = (soft != image).any(dim=0)
    assert changed.float().mean() == pytest.approx(audit.TOP, abs=0.01)
    assert changed[:16, :16].sum() > 0.9 * changed.sum()
    mask = np.zeros((32, 32), np.uint8)
    assert audit.remove_objects(image, mask) is None
    mask[8:16, 8:16] = 255
    empty = audit.remove_objects(image, mask)
    assert torch.equal(empty[:, :6], image[:, :6])
    assert empty[:, 8:16, 8:16].std() < 0.7 * image[:, 8:16, 8:16].std()
    assert audit.remove_objects(image, np.ones((32, 32), np.uint8)) is None


def test_road_repeats_itself_and_takes_ties(model, batch, monkeypatch):
    monkeypatch.setattr("bookcls.explaining.road.PERCENTILES", (40,))
    small = batch[1:2, :, ::2, ::2]
    one_cell = heat_of(np.eye(4)[:1]).map  # mostly ties at zero
    state = torch.random.get_rng_state()
    scores = [road_scores(model, small, [one_cell], [1], seed=3) for _ in range(2)]
    assert scores[0] == scores[1]
    assert np.isfinite(scores[0]).all()
    assert torch.equal(state, torch.random.get_rng_state())


def read_csv(path: Path) -> list[dict]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_verb_writes_pictures_and_numbers(taught, run_verb, tmp_path, capsys):
    run = taught[False]
    answers = tmp_path / "cloud.csv"
    answers.write_text(
        "file,label,score\ngs://b/test_easy/red/0.png,red,0.9\nbackground/0.png,green,0.8\n"
        "blue/0.png,,\nelsewhere.png,red,1\n0.png,red,1\n"
    )
    out = tmp_path / "out"
    assert run_verb(cam.main, f"ckpt={run}", f"output={out}", f"external={answers}", "size=64") == 0
    rows = read_csv(out / "cam.csv")
    assert [r["file"] for r in rows] == [f"{c}/0.png" for c in CLASSES]
    names = {p.name for p in (out / "test_easy").iterdir()}
    assert names == {f"{c}_0.png" for c in CLASSES}
    assert {p.name for p in out.iterdir()} >= {
        "cam.json", "sheet_test_easy.png", "failures.png", "external.png", "external.csv"
    }  # fmt: skip
    said = json.loads((out / "cam.json").read_text())
    assert said["runs"][0]["summary"]["test_easy"]["n"] == 3
    assert "64 px (predictions at 32 px" in next(iter(said["made"].values()))
    for row in rows:
        assert bool(row["inside"]) == (row["pred"] != "background" and row["correct"] == "1")
    printed = capsys.readouterr().out
    assert "energy inside" in printed
    assert "other: no prediction for 1 of 3 photos" in printed
    assert "left out: elsewhere.png" in printed
    assert "matches several photos, left out: 0.png" in printed
    assert "counted as wrong: green" in printed
    assert not (run / "cam").exists()
    tests = json.loads((out / "external.json").read_text())["splits"]
    assert tests["test_easy/all"]["other"] == 1
    assert tests["test_easy/answered"]["n"] == 2


def test_any_photo_and_two_models_beside_each_other(
    taught, run_verb, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("bookcls.explaining.road.PERCENTILES", (40,))
    photo = taught[False].parent / "photos" / "train" / "red" / "0.png"
    strange = tmp_path / "mine" / "sub" / "本 1.png"
    strange.parent.mkdir(parents=True)
    Image.open(photo).save(strange)
    (strange.parent / "broken.jpg").write_bytes(b"no")
    arguments = (
        f"images={tmp_path / 'mine'}",
        f"output={tmp_path / 'out'}",
        "target=red",
        "size=64",
    )
    both = f"ckpt=[{taught[False]},{taught[True]}]"
    assert run_verb(cam.main, both, *arguments, "layer=[block4_conv3,block5_conv3]") == 0
    rows = read_csv(tmp_path / "out" / "cam.csv")
    assert len(rows) == 2
    assert len({row["run"] for row in rows}) == 2
    assert all(row["correct"] == row["accepted"] == "" for row in rows)
    assert all(row["road"] for row in rows)
    assert (tmp_path / "out" / "images" / "sub_本_1.png").is_file()
    printed = capsys.readouterr().out
    assert "broken.jpg: not an image" in printed
    assert "McNemar" not in printed


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("method=cam", "method=cam: choose one of gradcam, "),
        ("layer=conv5", "layer=conv5: choose one of block1_conv1, "),
        ("layer=28", "layer=28: choose one of block1_conv1, "),
        ("data.split=val", "data.split=val: choose one of test, train"),
        ("images=/no/such", "there is no such photo or folder"),
        ("data.root=/no/such", "data.root=/no/such does not exist"),
        ("external=/no/such", "external=/no/such cannot be read"),
        ("ckpt=null", "contains no finished run: train one"),
    ],
)
def test_bad_settings_are_explained(taught, run_verb, capsys, argument, said):
    assert run_verb(cam.main, f"ckpt={taught[False]}", argument) == 1
    assert said in capsys.readouterr().err


def test_a_number_is_a_run():
    assert CamConfig(ckpt=5).ckpts == ["5"]
    assert CamConfig(ckpt=["a", 6]).ckpts == ["a", "6"]


def test_the_latest_run_is_explained(taught, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, when in (("a", 1), ("b", 9), ("c", 5)):
        save = tmp_path / "runs" / name
        save.mkdir(parents=True)
        (save / "best.ckpt").touch()
        (save / "metrics.json").write_text("{}")
        os.utime(save / "metrics.json", (when, when))
    images = str(taught[False].parent / "photos" / "test_easy")
    assert resolve_settings(CamConfig(images=images)).ckpts == [Path("runs/b/best.ckpt")]


def test_images_of_a_folder_that_links_to_itself_are_taken_once(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    (tmp_path / "self").symlink_to(tmp_path)
    assert [s.name for s in list_images(str(tmp_path))] == ["1.png"]
    assert [s.name for s in list_images(f"{tmp_path}/*.p?g")] == ["1.png"]


def test_photos_that_are_gone_are_missed(taught, run_verb, tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    (run / "best.ckpt").write_bytes(b"")
    (run / "config.yaml").write_text("data:\n  root: /gone\n")
    assert run_verb(cam.main, f"ckpt={run}") == 1
    assert (
        "data.root=/gone, the folder of the run's photos, no longer exists."
        in capsys.readouterr().err
    )


def test_a_trained_run_knows_its_photos(tmp_path):
    alone = tmp_path / "alone.ckpt"
    alone.touch()
    assert open_run(str(alone)).root(None) is None
    assert open_run(str(alone)).batch_size(None) == 16
    with pytest.raises(BookclsError, match=r"is not in a run folder, whose config.yaml.*, or a b"):
        open_run(str(alone)).required_root(None, alternative=", or a b")
    (tmp_path / "best.ckpt").touch()
    (tmp_path / "config.yaml").write_text(f"data:\n  root: {tmp_path}\n  batch_size: 3\n")
    run = open_run(str(tmp_path))
    assert (run.root(None), run.batch_size(None), run.batch_size(5)) == (tmp_path, 3, 5)
    with pytest.raises(BookclsError, match=r"data.root=/gone does not exist"):
        run.root("/gone")
    (tmp_path / "config.yaml").write_text("data: 5\n")
    with pytest.raises(BookclsError, match=r"config.yaml is damaged: data is 5"):
        open_run(str(tmp_path)).root(None)


def test_the_size_and_the_class_must_fit_the_model(taught):
    classifier = load_classifier(taught[False] / "best.ckpt")
    path = taught[False] / "best.ckpt"
    assert Explainer(path, classifier, CamConfig()).size == 128
    classifier.hparams["head"] = "flatten256"
    assert Explainer(path, classifier, CamConfig()).size == SIDE
    with pytest.raises(BookclsError, match="only accepts 32 px"):
        Explainer(path, classifier, CamConfig(size=64))
    with pytest.raises(BookclsError, match=r"target=green: choose predicted, .* blue, red"):
        Explainer(path, classifier, CamConfig(target="green"))


def test_the_random_blur_is_the_photos_own(taught):
    _, found = explained(taught[False], size=SIDE)
    _, apart = explained(taught[False], size=SIDE, data=CamData(batch_size=1))
    controls = [one.audit.random_prob for one in found]
    assert controls == pytest.approx([one.audit.random_prob for one in apart], abs=1e-5)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError(), RuntimeError("DefaultCPUAllocator: not enough memory")]
)
def test_too_little_memory_is_explained_and_slow_methods_go_one_by_one(taught, monkeypatch, error):
    asked = []

    def heat_maps(model, images, classes, method, layers):
        asked.append(len(images))
        if len(asked) == 3:
            raise error
        return maps.heat_maps(model, images, classes, "gradcam", layers)

    monkeypatch.setattr("bookcls.explaining.explainer.heat_maps", heat_maps)
    with pytest.raises(BookclsError, match=r"4 photos of 32 px: give a lower data.batch_size="):
        explained(taught[False], size=SIDE, method="scorecam")
    assert asked == [1, 1, 1]


def test_each_kind_of_call_has_its_folder_and_no_page_of_another_stays(taught, tmp_path):
    run, other = taught[False], taught[True]
    photos = run.parent / "photos"

    def output(ckpt=None, root=None, **settings):
        data = CamData(root=root and str(root), split=settings.pop("split", "test"))
        return resolve_settings(CamConfig(ckpt=ckpt or str(run), data=data, **settings)).output

    both = [str(run), str(other)], [str(run), str(other / "best.ckpt")]
    places = [
        output(), output(split="train"), output(images=str(photos)), output(both[0]),
        output(root=other.parent / "photos"), output(root=other.parent / "photos", split="train"),
    ]  # fmt: skip
    assert places[0] == output(root=photos) == run / "cam"
    assert output(both[0]) == output(both[1])
    assert len(set(places)) == 6

    names = ("sheet_test_easy_2.png", "failures_2.png", "external.csv", "mine.png", "sheet.png")
    panels = ("test_easy/red_0.png", "test_easy/mine.png")
    for name in (*names, *panels):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_earlier_files(tmp_path) == set()
    photo = {"split": "test_easy", "file": "red/0.png"}
    rows = [photo, {"split": "..", "file": "x.png"}]
    (tmp_path / "cam.json").write_text(json.dumps({"runs": [{"photos": rows}]}))
    assert find_earlier_files(tmp_path) == {tmp_path / name for name in (*names[:3], panels[0])}


def test_pictures_do_not_go_over_photos(taught):
    root = taught[False].parent / "photos"
    sample = Sample(root / "test_easy" / "a.png", "a.png", 0, (0,), "")
    with pytest.raises(BookclsError, match="among the photos"):
        refuse_overwriting_photos(root, {"test_easy": [sample]})
    refuse_overwriting_photos(root / "cam", {"test_easy": [sample]})


def test_names_are_shown_as_they_are(taught, run_verb, tmp_path, capsys):
    """Mathematics and bytes that are no text; and training photos that cannot be used."""
    photos = hostile_photos(tmp_path / "photos")
    photo = photos / "train" / "=1+1" / "0.png"
    strange = tmp_path / os.fsdecode(b"\xff$.png")
    shutil.copy(photo, strange)
    shutil.copy(photo, photos / "test" / "$_$.png")
    with (photos / "test" / "labels.csv").open("a") as file:
        file.write("$_$.png,=1+1,=1+1\n")
    classifier = load_classifier(taught[False] / "best.ckpt")
    classifier.hparams["class_names"] = sorted(HOSTILE)
    run = save_run(tmp_path / "$_$run", classifier, photos)
    answers = tmp_path / "answers.csv"
    answers.write_text("file,label,score\n$_$.png,$_$,1\n")
    arguments = (f"ckpt={run}", "size=32", "road=false")
    assert run_verb(cam.main, *arguments, f"external={answers}") == 0
    assert "counted as wrong: $_$" in capsys.readouterr().out

    for path in photos.rglob("train/*/*.png"):
        path.write_bytes(b"no")
    output = run / "cam" / "images"
    (output / "images").mkdir(parents=True)
    earlier_rows = [{"split": "images", "file": "old.png"}]
    (output / "cam.json").write_text(json.dumps({"runs": [{"photos": earlier_rows}]}))
    for name in ("images/old.png", "images/mine.png", "sheet_images_2.png"):
        (output / name).touch()
    assert run_verb(cam.main, *arguments, f"images={strange}") == 0
    assert "no training photos in failures.png" in capsys.readouterr().out
    (row,) = read_csv(output / "cam.csv")
    assert row["file"] == r"\udcff$.png"
    said = json.loads((output / "cam.json").read_text())
    assert said["runs"][0]["photos"][0]["file"] == strange.name
    names = {p.relative_to(output).as_posix() for p in output.rglob("*.png")}
    assert names == {"failures.png", "sheet_images.png", "images/mine.png", "images/photo.png"}


AUTOML = """{"ID": "gs://b/a.jpg", "annotations": [
{"display_name": "blue", "classification": {"score": 0.2}},
{"display_name": "red", "classification": {"score": 0.7}}]}"""
VERTEX = """{"instance": {"content": "gs://b/a.jpg"}, "prediction":
{"displayNames": ["blue", "red"], "confidences": [0.2, 0.7]}}"""


@pytest.mark.parametrize("text", [AUTOML, VERTEX, "file,label,score\na.jpg,blue,.2\na.jpg,red,.7"])
def test_answers_of_other_systems_are_read(tmp_path, text):
    path = tmp_path / "answers"
    path.write_text(text if text.startswith("file") else text.replace("\n", " "))
    (answer,) = external.read_answers(path).values()
    assert (answer.label, answer.score) == ("red", 0.7)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,label\na,b", "expected file,label,score"),
        ("file,label,score\na.jpg,red,high", "line 2: score high is not a number from 0 to 1"),
        ('{"image": 1}', "line 1 has neither of the two formats"),
        ("file,label,score", "contains no predictions"),
        ("file,label\n,red", "line 2: no file name"),
        ('[{"ID":"a","annotations":[]}]', "a json array: write one object per line"),
        ('{"ID": "\\udcff", "annotations": []}', "line 1 has neither of the two formats"),
    ],
)
def test_answers_that_cannot_be_read_are_explained(tmp_path, text, said):
    (tmp_path / "answers").write_text(text)
    with pytest.raises(BookclsError, match=said):
        external.read_answers(tmp_path / "answers")


def test_an_answer_for_another_photo_is_not_taken_for_this_one():
    photos = [
        ("test_easy", Sample(Path(f"/d/test_easy/{name}"), name, 0, (0,), ""))
        for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    ]
    files = {
        "x/a.jpg": 0.9, "gs://b/test_easy/a.jpg": 0.2, "train/b.jpg": 0.9,
        "gs://test_b/other/c.jpg": 0.5, "test_difficult/d.jpg": 0.9, "/train/test_easy/d.jpg": 0.1,
    }  # fmt: skip
    answers = {file: external.ExternalAnswer(file, "red", score) for file, score in files.items()}
    joined = external.join(answers, photos, CLASSES)
    said = {name: answer and answer.file for (_, name), answer in joined.answers.items()}
    assert said == {
        "a.jpg": "gs://b/test_easy/a.jpg", "b.jpg": None, "c.jpg": "gs://test_b/other/c.jpg",
        "d.jpg": "/train/test_easy/d.jpg",
    }  # fmt: skip
    assert set(joined.unknown_files) == {"x/a.jpg", "train/b.jpg", "test_difficult/d.jpg"}


def test_answers_for_other_photos_are_refused():
    sample = Sample(Path("/d/test_easy/a.jpg"), "a.jpg", 0, (0,), "")
    answers = {"b.jpg": external.ExternalAnswer("b.jpg", "red", 1.0)}
    joined = external.join(answers, [("test_easy", sample)], CLASSES)
    with pytest.raises(BookclsError, match=r"its files are called b.jpg"):
        external.join_warnings(joined, Path("answers.csv"))


@pytest.mark.gpu
def test_a_gpu_draws_the_same_maps(model, batch):
    here = maps.raw_maps(model, batch, [0, 1, 2], "gradcam", ["block5_conv3"])[0][0]
    there = maps.raw_maps(
        copy.deepcopy(model).cuda(), batch.cuda(), [0, 1, 2], "gradcam", ["block5_conv3"]
    )[0][0]
    np.testing.assert_allclose(here, there, atol=1e-2 * np.abs(here).max())
