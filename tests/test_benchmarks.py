"""The machinery of benchmarks/; the figures themselves are taken by make bench."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import predict_memory, setting
from benchmarks.children import memory_mb, peak_mb
from benchmarks.gpu import read_parts
from benchmarks.job import stages
from benchmarks.measuring import Ratio, alternate, ratio
from benchmarks.memory import saved_mb
from benchmarks.step import BareStep, measure
from bookcls.data import images
from bookcls.data.dataset import read_folder
from bookcls.storage.files import write_json
from bookcls.training.recipe import build
from bookcls.training.run import choose_start


def test_sides_warm_up_and_take_turns():
    turns = []

    def side(name):
        return lambda: turns.append(name) or float(len(turns))

    taken = alternate({"a": side("a"), "b": side("b")}, 3)
    assert "".join(turns) == "ab" + "ab" + "ba" + "ab"
    assert taken == {"a": [3, 6, 7], "b": [4, 5, 8]}


def test_a_ratio_is_taken_turn_by_turn():
    # The machine is half as fast in the second turn: each side's median would say 1.5.
    assert ratio([1.0, 2.0, 1.0], [1.0, 2.0, 1.0]) == Ratio(1.0, 1.0, 1.0)
    assert ratio([1.0, 4.0, 2.0], [2.0, 2.0, 2.0]) == Ratio(1.0, 0.5, 2.0)


@pytest.mark.parametrize(
    ("values", "at_most", "verdict"),
    [
        ((0.97, 0.96, 0.99), False, "met"),
        ((0.97, 0.90, 0.99), False, "met, within noise"),
        ((0.93, 0.90, 0.99), False, "missed, within noise"),
        ((0.90, 0.85, 0.92), False, "missed"),
        ((0.90, 0.85, 0.92), True, "met"),
        ((1.20, 1.10, 1.30), True, "missed"),
    ],
)
def test_verdicts(values, at_most, verdict):
    assert Ratio(*values).verdict(0.95, at_most=at_most) == verdict


def test_a_jobs_stages_are_read_off_its_lines():
    lines = [(1.0, "loading torch"), (9.0, "budget   4 epochs"), (12.0, "epoch 1/4  train/loss 1"),
             (30.0, "epoch 4/4  train/loss 1"), (33.0, "run folder  x")]  # fmt: skip
    assert stages(lines, 34.0) == {"start": 9.0, "training": 21.0, "rest": 4.0}


def test_folders_are_balanced_and_phone_photos_are_large(tmp_path, monkeypatch, shared_photos):
    monkeypatch.setattr(setting, "photos", lambda: shared_photos)
    monkeypatch.setattr(setting, "DISTINCT", 3)
    setting.make_folder(tmp_path / "small", 40)
    train = read_folder(tmp_path / "small").train
    assert [sum(s.label == label for s in train) for label in range(3)] == [14, 14, 14]
    setting.make_folder(tmp_path / "phone", 6, phone=True)
    made = list((tmp_path / "phone").rglob("*.jpg"))
    assert len(made) == 6
    for path in made:
        with Image.open(path) as image:
            assert image.size == (4032, 3024)


def test_photos_to_predict_are_links_and_one_in_fifty_cannot_be_read(
    tmp_path, monkeypatch, shared_photos
):
    monkeypatch.setattr(setting, "photos", lambda: shared_photos)
    monkeypatch.setattr(setting, "DISTINCT", 3)
    number, bad = predict_memory.make_photos(tmp_path / "photos", 99)
    made = sorted((tmp_path / "photos").rglob("*.jpg"))
    assert (number, len(made), len(bad)) == (99, 99, 1)
    assert len({path.stat().st_ino for path in made}) == 3 + 1
    with pytest.raises(images.ImageError):
        images.load_image(tmp_path / "photos" / bad.pop(), size=32)


def test_memory_of_a_process_that_is_watched():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        now, peak = memory_mb(process.pid)
        assert 0 < now <= peak < peak_mb()
        process.communicate(b"\n")
    assert memory_mb(process.pid) is None


def config(photos: Path, freeze_to: str):
    toy = ("data.image_size=32", "data.batch_size=4", "trainer.limit_train_batches=2")
    cpu = ("trainer=cpu", "trainer.precision=32-true")
    root = f"data.root={photos}"
    return setting.settings(root, f"model.freeze_to={freeze_to}", "aug=all", *toy, *cpu)


# Nothing is held out, as data.val_fraction=0 asks for; console.silence_lightning.
@pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero")
def test_both_sides_of_a_step_take_their_turns(shared_photos, narrow):
    taken = measure(config(shared_photos, "block4_conv1"), repeats=2)
    assert {name: len(turns) for name, turns in taken.items()} == {"bare": 2, "ours": 2}
    assert min(min(turns) for turns in taken.values()) > 0


@pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero")
def test_a_turn_has_no_more_steps_than_an_epoch(shared_photos, narrow, monkeypatch):
    steps = []
    called = BareStep.__call__
    monkeypatch.setattr(BareStep, "__call__", lambda self: steps.append(1) or called(self))
    many = config(shared_photos, "block4_conv1")
    many.trainer.limit_train_batches = 100
    measure(many, repeats=1)
    assert len(steps) == 2 * (24 // 4), "8 photos of each class are drawn"


def test_parts_of_another_commit_are_done_again(tmp_path):
    origin = {"commit": "a", "toy": False}
    parts = tmp_path / "parts.json"
    write_json(parts, {"step": {"origin": origin, "rows": [{"px": 1}]}, "freeze": {"rows": []}})
    assert read_parts(parts, origin) == {"step": [{"px": 1}]}
    assert read_parts(parts, origin | {"commit": "b"}) == {}
    assert read_parts(tmp_path / "none.json", origin) == {}


def test_the_peak_can_begin_again():
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("Linux only")
    # In a process of its own: what others hold or give back would be measured too.
    code = (
        "from benchmarks.children import peak_mb, reset_peak\n"
        "held = bytearray(b'x') * 200_000_000\n"
        "before = peak_mb()\n"
        "del held\n"
        "reset_peak()\n"
        "print(before - peak_mb())\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(said.stdout) > 150


def test_frozen_layers_keep_nothing_for_backward(shared_photos, narrow):
    kept = []
    for freeze_to in ("null", "block3_conv1", "head"):
        settings = config(shared_photos, freeze_to)
        classifier = build(settings, ["a", "b"], start=choose_start(settings), probe_epochs=0)
        step = BareStep(classifier, settings, "32-true")
        assert saved_mb(step, frozen=True) == 0
        kept.append(saved_mb(step, frozen=False))
    assert kept[0] > kept[1] > kept[2] > 0
