"""Exported files: their answers, what they carry, and what is refused."""

import functools
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torchvision
from PIL import Image

from bookcls import export
from bookcls.config import CHECKOUT
from bookcls.data.images import PAD_RGB
from bookcls.data.preprocessing import Preprocessing
from bookcls.data.samples import Sample
from bookcls.errors import BookclsError
from bookcls.exporting import network, resolve
from bookcls.exporting.check import Row, change_warnings, refuse_different
from bookcls.exporting.photos import Photos, photos_to_check, prepare
from bookcls.models.layers import HEADS
from bookcls.training.checkpoint import load_classifier
from bookcls.training.classifier import Classifier
from conftest import NARROW, make_photos
from test_cam import save_run

CLASSES = ["background", "blue", "red"]
EXAMPLE = CHECKOUT / "examples" / "onnx_predict.py"
loaded = functools.cache(load_classifier)
WHOLE = torchvision.models.vgg.cfgs["D"]
BARE = """
import runpy, sys
for name in ("torch", "torchvision", "bookcls", "cv2", "albumentations"):
    sys.modules[name] = None  # an import of it fails
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module", autouse=True)
def small_and_once(tmp_path_factory):
    """A narrow network; each checkpoint loaded once, each network written once: that is slow."""
    folder, written = tmp_path_factory.mktemp("written"), {}

    def write_onnx(model, path, image_size, dtype=torch.float32):
        key = (model, image_size, dtype)
        if key not in written:
            written[key] = folder / f"{len(written)}.onnx"
            original_write(model, written[key], image_size, dtype)
        shutil.copy(written[key], path)

    original_write = network.write_onnx
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(torchvision.models.vgg.cfgs, "D", NARROW)
        patch.setattr("bookcls.exporting.export.load_classifier", loaded)
        patch.setattr(network, "write_onnx", write_onnx)
        yield
    loaded.cache_clear()


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run with a random network whose answers differ from photo to photo."""
    base = tmp_path_factory.mktemp("export")
    torch.manual_seed(0)
    classifier = Classifier(CLASSES, image_size=32, weights="drawn")
    return save_run(base / "run", classifier, make_photos(base / "photos"))


@pytest.fixture
def call(run_verb):
    return lambda *words: run_verb(export.main, *words)


@pytest.fixture(scope="module")
def exported(run) -> Path:
    """The run's network as ONNX in float32, by the function under the verb."""
    path = run.parent / "model.onnx"
    export.export(export.ExportConfig(ckpt=str(run), output=str(path)), run)
    return path


def original(run: Path) -> tuple[Photos, np.ndarray]:
    """The test photos and the checkpoint's probabilities."""
    classifier = loaded(run / "best.ckpt")
    photos = photos_to_check(run.parent / "photos", classifier)
    with torch.no_grad():
        return photos, classifier(torch.from_numpy(photos.images)).softmax(dim=1).numpy()


def answers(path: Path, images: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(path).run(["probs"], {"images": images})[0]


def test_onnx_answers_as_the_checkpoint_for_any_batch(run, exported):
    photos, probs = original(run)
    assert np.ptp(probs, axis=0).max() > 0.01  # a hundred times what may differ
    assert answers(exported, photos.images).dtype == np.float32
    np.testing.assert_allclose(answers(exported, photos.images), probs, atol=1e-5)
    np.testing.assert_allclose(answers(exported, photos.images[:1]), probs[:1], atol=1e-5)


def test_metadata_say_how_to_use_it_and_name_no_folder(run, exported):
    (prop,) = onnx.load(exported).metadata_props
    values = json.loads(prop.value)
    assert prop.key == "bookcls"
    assert values["class_names"] == CLASSES
    assert (values["image_size"], values["fit"]) == (32, "letterbox")
    assert values["pad_rgb"] == list(PAD_RGB)
    assert values["mean"] == [0.485, 0.456, 0.406]
    assert values["weights"] == "drawn"
    assert len(values["ckpt_sha256"]) == 64
    content = exported.read_bytes()
    assert not any(str(folder).encode() in content for folder in (CHECKOUT, run, sys.prefix))


@pytest.mark.parametrize(
    ("precision", "limit", "share"), [("fp16", 5e-3, 0.55), ("int8", 0.2, 0.4)]
)
def test_small_precisions_are_measured_beside_fp32(
    call, run, exported, capsys, precision, limit, share
):
    path = run / f"best.{precision}.onnx"
    assert call(f"ckpt={run}", f"precision={precision}") == 0
    said = capsys.readouterr().out
    photos, probs = original(run)
    differences = np.abs(answers(path, photos.images) - probs).max()
    assert 1e-6 < differences < limit
    assert f"{differences:.1e}" in said
    assert path.stat().st_size < share * exported.stat().st_size
    assert json.loads(onnx.load(path).metadata_props[0].value)["precision"] == precision
    lines = [line for line in said.splitlines() if "│" in line]
    assert [line.split("│")[1].strip() for line in lines] == [
        "PyTorch",
        "ONNX fp32",
        f"ONNX {precision}",
    ]
    preds = answers(path, photos.images).argmax(axis=1)
    easy = sum(p in s.accepted for p, s in zip(preds[20:], photos.splits["easy"], strict=True))
    assert f"{easy}/6" in lines[-1]
    changed = int((preds != probs.argmax(axis=1)).sum())
    assert f"{changed}/26" in lines[-1]
    assert ("warning" in said) == bool(changed)


def test_torch_export_of_the_latest_run_replaces_a_file(call, run, tmp_path, capsys):
    ckpt = Path("runs") / "day" / "time" / "best.ckpt"
    shutil.copytree(run, tmp_path / ckpt.parent)
    older = shutil.copytree(run, tmp_path / "runs" / "day" / "zulu")
    os.utime(older / "metrics.json", (1, 1))
    there = tmp_path / "model.pt2"
    there.write_bytes(b"old")
    assert call("format=torch", "output=model.pt2", "overwrite=true") == 0
    said = capsys.readouterr().out
    assert f"model    {ckpt}: 3 classes, 32 px" in said
    assert "torch.export" in said
    photos, probs = original(run)
    extra = {"bookcls": ""}
    module = torch.export.load(there, extra_files=extra).module()
    with torch.no_grad():
        np.testing.assert_allclose(module(torch.from_numpy(photos.images)), probs, atol=1e-5)
    assert json.loads(extra["bookcls"])["class_names"] == CLASSES
    with zipfile.ZipFile(there) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    assert not any(str(folder).encode() in content for folder in (CHECKOUT, run, sys.prefix))


def hard_photos(folder: Path) -> list[Path]:
    """A turned JPEG larger than the draft, a wide one, and those with other modes."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    pixels = rng.integers(0, 256, (300, 520, 3), np.uint8)
    pixels[:150, :200] = (220, 40, 30)
    photo = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(folder / "turned.jpg", exif=exif, quality=90)
    photo.crop((0, 0, 400, 31)).save(folder / "wide.jpg")
    photo.convert("L").save(folder / "grey.png")
    photo.quantize(16).save(folder / "palette.png")
    photo.convert("CMYK").save(folder / "print.jpg")
    clear = photo.copy()
    clear.putalpha(Image.linear_gradient("L").resize(photo.size))
    clear.save(folder / "clear.png")
    return sorted(folder.iterdir())


def by_example(model: Path, paths: list[Path], *, rc: int = 0) -> np.ndarray | str:
    """What the example prints, with bookcls and torch out of its reach, by class."""
    command = [sys.executable, "-c", BARE, str(EXAMPLE), str(model), *map(str, paths)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == rc, done.stderr
    if rc:
        return done.stderr
    rows = []
    for line, path in zip(done.stdout.splitlines(), paths, strict=True):
        name, *ranked = line.split("  ")
        assert name == str(path)
        values = {k: float(p) for k, _, p in (word.rpartition(" ") for word in ranked)}
        assert list(values.values()) == sorted(values.values(), reverse=True)
        rows.append([values[k] for k in CLASSES])
    return np.array(rows)


@pytest.mark.parametrize("fit", ["letterbox", "squash"])
def test_example_answers_as_the_package_without_it(fit, run, exported, tmp_path):
    classifier = loaded(run / "best.ckpt")
    model = tmp_path / "model.onnx"
    values = json.loads(onnx.load(exported).metadata_props[0].value)
    network.describe_onnx(exported, model, {**values, "fit": fit})
    sample = sorted((CHECKOUT / "dataset" / "sample").glob("test_*/*.jpg"))
    paths = [*hard_photos(tmp_path / "hard"), *sample]
    fitted = Preprocessing.from_hparams({**classifier.hparams, "fit": fit})
    images = prepare([Sample(path, path.name, -1, (), "") for path in paths], fitted)
    probs = network.run_original(classifier, images)
    found = by_example(model, paths)
    assert len(found) == 6 + 26
    assert np.abs(found - probs).max() < 1e-5 + 5e-6  # five digits are printed


def test_example_refuses_what_it_would_read_otherwise(exported, tmp_path):
    deep = tmp_path / "deep.png"
    Image.fromarray(np.full((40, 40), 40000, np.uint16)).save(deep)
    assert "more than 8 bits" in by_example(exported, [deep], rc=1)


def test_photos_that_are_gone_are_replaced_by_the_sample(call, run, tmp_path, capsys):
    alone = tmp_path / "alone.ckpt"
    shutil.copy(run / "best.ckpt", alone)
    found = resolve.resolve_settings(export.ExportConfig(ckpt=str(alone)))
    assert (found.root, found.output) == (None, tmp_path / "alone.onnx")
    photos = photos_to_check(found.root, loaded(run / "best.ckpt"))
    assert photos.images.shape == (26, 3, 32, 32)
    assert not photos.labelled
    assert (
        "the run's photos no longer exist; the 26 test photos of the sample" in photos.description
    )
    assert call(f"ckpt={alone}", "precision=int8") == 1
    assert "data.root=DIR" in capsys.readouterr().err


def test_without_test_photos_the_training_photos_check(run, tmp_path):
    shutil.copytree(run.parent / "photos" / "train", tmp_path / "train")
    photos = photos_to_check(tmp_path, loaded(run / "best.ckpt"))
    assert (len(photos.images), photos.labelled) == (18, False)
    assert "no test photos; 18 training photos" in photos.description


def test_training_photos_that_were_skipped_are_skipped_again(run, tmp_path):
    shutil.copytree(run.parent / "photos" / "train", tmp_path / "train")
    (tmp_path / "train/red/red_0.png").write_bytes(b"")
    assert len(photos_to_check(tmp_path, loaded(run / "best.ckpt")).images) == 17


def test_other_answers_are_refused_and_leave_no_file(call, run, monkeypatch, tmp_path, capsys):
    _, probs = original(run)
    monkeypatch.setattr(network, "write_torch", lambda model, path, *rest: path.touch())
    monkeypatch.setattr(network, "run_torch", lambda *rest: probs + np.float32(2e-4))
    folder = tmp_path / "new"
    assert call(f"ckpt={run}", "format=torch", f"output={folder / 'm.pt2'}") == 1
    assert "differs from PyTorch by 2.0e-04" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_numbers_that_are_none_are_refused():
    good = Row("PyTorch", 1, np.full((2, 3), 1 / 3, np.float32))
    with pytest.raises(BookclsError, match="not finite"):
        refuse_different(Row("ONNX fp16", 1, good.probs * np.float32(np.nan)), good)


def test_changed_answers_are_named():
    samples = [Sample(Path(f"{i}.jpg"), f"{i}.jpg", 0, (0,), "") for i in range(8)]
    photos = Photos({"easy": samples}, np.zeros((8, 3, 1, 1), np.float32), True, "")
    before = Row("PyTorch", 1, np.tile(np.float32([[0.8, 0.2]]), (8, 1)))
    after = Row("ONNX int8", 1, np.tile(np.float32([[0.4, 0.6]]), (8, 1)))
    lines = change_warnings(after, before, photos, ["a", "b"])
    assert lines[0] == "warning: ONNX int8 changes the predictions of 8 of 8 photos:"
    assert lines[1] == "  0.jpg: b 0.60 instead of a 0.80"
    assert lines[-2:] == ["  and 3 more", "warning: easy: 0 correct predictions instead of 8"]
    assert change_warnings(before, before, photos, ["a", "b"]) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["format=tflite"], "format=tflite: choose one of onnx, torch"),
        (["precision=int4"], "precision=int4: choose one of fp32, fp16, int8"),
        (["format=torch", "precision=int8"], "is for format=onnx"),
        (["ckpt=nowhere"], "there is no such run folder or file"),
        (["output=model.pt"], "ends in .onnx"),
        (["data.root=nowhere"], "data.root=nowhere does not exist"),
        (["output=there.onnx"], "overwrite=true replaces it"),
        (["output=there.onnx/model.onnx"], "is a file, not a folder"),
        (["output=folder.onnx"], "is a folder: give a file"),
    ],
)
def test_bad_input_is_refused_in_words(call, run, tmp_path, words, said, capsys):
    (tmp_path / "there.onnx").write_bytes(b"mine")
    (tmp_path / "folder.onnx").mkdir()
    assert call(f"ckpt={run}", *words) == 1
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert (tmp_path / "there.onnx").read_bytes() == b"mine"


def test_without_permission_nothing_begins(run, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(BookclsError, match=r"no permission to write to .*output=FILE"):
        resolve.resolve_settings(export.ExportConfig(ckpt=str(run), format="torch", output="a.pt2"))


def test_missing_packages_are_named_with_the_command(call, run, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(resolve, "PACKAGES", ("onnx", "no_such_package"))
    assert call(f"ckpt={run}", f"output={tmp_path / 'm.onnx'}") == 1
    error = capsys.readouterr().err
    assert "format=onnx needs no_such_package" in error
    assert "pip install 'bookcls[export]'" in error


def test_no_run_at_all(call, capsys):
    assert call() == 1
    assert "ckpt=RUN" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
def test_the_whole_vgg16_at_another_size(call, tmp_path, monkeypatch, head):
    monkeypatch.setitem(torchvision.models.vgg.cfgs, "D", WHOLE)
    torch.manual_seed(0)
    classifier = Classifier(CLASSES, image_size=96, head=head, fit="squash")
    run = save_run(tmp_path / "run", classifier, make_photos(tmp_path / "photos"))
    assert call(f"ckpt={run}", "precision=int8") == 0
    assert call(f"ckpt={run}") == 0
    found = by_example(run / "best.onnx", sorted((tmp_path / "photos").glob("test_easy/*/*.png")))
    images = photos_to_check(tmp_path / "photos", classifier.eval()).images[20:]
    assert np.abs(found - network.run_original(classifier, images)).max() < 2e-5
