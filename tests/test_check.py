"""Each planted fault is found by its name, and nothing else is."""

import hashlib
import json
import os
import re
import shutil
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from bookcls import check
from bookcls.checking import inspection
from bookcls.checking.duplicates import find_similar
from bookcls.config import CHECKOUT, read_config
from bookcls.data import images
from bookcls.data.dataset import read_folder
from bookcls.data.samples import Sample, split_train_val
from signs import make_signs


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    return make_signs(
        tmp_path_factory.mktemp("rendered") / "signs", background=True, num_train=9, num_test=2
    )


@pytest.fixture
def signs(rendered, tmp_path) -> Path:
    return shutil.copytree(rendered, tmp_path / "signs")


@pytest.fixture
def found(run_verb, tmp_path):
    """Checks a folder: the exit code, and the findings by name."""

    def run(root, *words):
        # The signs are small photos.
        size = () if any("image_size" in word for word in words) else ("data.image_size=64",)
        code = run_verb(check.main, f"data.root={root}", *size, *words)
        result = json.loads((tmp_path / "checks" / root.name / "check.json").read_text())
        return code, {f["name"]: f for f in result["findings"]}

    return run


def seen(name, second=None, *, label=0, split="train", group="", like=None):
    """A photo as a check sees it; its hash is that of ``like``, else like no other."""
    seed = int(hashlib.sha256((like or name).encode()).hexdigest()[:8], 16)
    hashes = np.random.default_rng(seed).integers(0, 2, (8, 256)).astype(bool)
    taken = None if second is None else datetime(2026, 5, 1) + timedelta(seconds=second)
    sample = Sample(Path(name), name, label, (label,), name, group)
    return inspection.PhotoInfo(sample, split, 99, 99, "JPEG", taken, "Camera", 1.0, 1.0, hashes)


def files(finding):
    return [group["files"] for group in finding["photos"]]


def stop(root, number, split="train") -> Path:
    return root / split / "stop" / f"stop_{split}_{number:02d}.jpg"


def test_the_sample_yields_no_finding(run_verb, tmp_path, capsys):
    assert run_verb(check.main) == 0
    out = capsys.readouterr().out
    assert "No problems found" in out
    assert json.loads((tmp_path / "checks/sample/check.json").read_text())["findings"] == []
    assert not (tmp_path / "checks/sample/groups.csv").exists()
    assert "-m bookcls.train experiment=laptop" in out


def test_signs_yield_no_finding(rendered, found):
    assert found(rendered) == (0, {})


def test_what_training_refuses_ends_with_code_1(signs, found, capsys, monkeypatch):
    whole = stop(signs, 0).read_bytes()
    stop(signs, 0).write_bytes(whole[: len(whole) // 2])
    stop(signs, 1).write_bytes(b"")
    (signs / "train/stop/notes.txt").write_text("hello")
    (signs / "train/stop/phone.jpg").write_bytes(b"\0\0\0\x18ftypheic")
    monkeypatch.setattr(images, "register_heic", lambda: False)
    shutil.copy(stop(signs, 2), signs / "test/stop/again.jpg")
    shutil.copy(stop(signs, 3), signs / "train/yield/again.jpg")
    code, named = found(signs)
    assert code == 1
    assert all(f["stops"] for f in named.values())
    assert named["structure"]["lines"] == [
        "train/stop/notes.txt: not an image (supported: " + " ".join(images.SUFFIXES) + ")"
    ]
    unreadable = "\n".join(named["unreadable"]["lines"])
    assert "train/stop/stop_train_00.jpg: truncated" in unreadable
    assert "train/stop/stop_train_01.jpg: empty file" in unreadable
    assert "train/stop/phone.jpg: HEIC, which needs pillow-heif" in unreadable
    assert files(named["copy in train and test"]) == [
        ["test/stop/again.jpg", "train/stop/stop_train_02.jpg"]
    ]
    assert files(named["copy in two classes"]) == [
        ["train/yield/again.jpg", "train/stop/stop_train_03.jpg"]
    ]
    assert "fix first: structure, unreadable, copy in train" in capsys.readouterr().err


def test_on_bad_skip_leaves_unreadable_training_photos_out(signs, found):
    stop(signs, 1).write_bytes(b"")
    code, named = found(signs, "data.on_bad=skip")
    assert (code, list(named)) == (0, ["left out"])
    stop(signs, 1, "test").write_bytes(b"")
    assert found(signs, "data.on_bad=skip")[0] == 1


def test_the_command_at_the_end_has_what_was_checked(signs, found, capsys):
    stop(signs, 1).write_bytes(b"")
    found(signs, "data.on_bad=skip", "data.image_size=96")
    out = capsys.readouterr().out
    assert out.splitlines()[-1].endswith(
        f" data=folder data.root={signs} data.on_bad=skip data.image_size=96"
    )
    laptop = read_config(CHECKOUT / "conf/experiment/laptop.yaml").data
    data = read_config(CHECKOUT / "conf/check.yaml").data
    assert data == {name: laptop[name] for name in data}


def test_a_copy_that_was_turned_or_saved_again_is_a_leak(signs, found):
    for i, how in enumerate((None, *Image.Transpose)):
        with Image.open(stop(signs, i)) as image:
            turned = image.copy() if how is None else image.transpose(how)
        turned.resize((130, 130)).save(signs / f"test/stop/turned_{i}.jpg", quality=60)
    code, named = found(signs)
    assert code == 0, "it may look so only"
    assert {name: files(f) for name, f in named.items()} == {
        "near-duplicate in train and test": [
            [f"train/stop/stop_train_{i:02d}.jpg", f"test/stop/turned_{i}.jpg"] for i in range(8)
        ]
    }


def test_near_duplicates_in_one_and_in_two_classes(signs, found):
    with Image.open(stop(signs, 4)) as image:
        ImageEnhance.Brightness(image).enhance(1.2).save(signs / "train/stop/bright.jpg")
    with Image.open(stop(signs, 5)) as image:
        image.crop((1, 1, 159, 159)).save(signs / "train/yield/cropped.png")
    shutil.copy(stop(signs, 6), signs / "train/stop/same.jpg")
    code, named = found(signs)
    assert code == 0
    assert {name: files(f) for name, f in named.items()} == {
        "near-duplicate": [["train/stop/bright.jpg", "train/stop/stop_train_04.jpg"]],
        "near-duplicate in two classes": [
            ["train/stop/stop_train_05.jpg", "train/yield/cropped.png"]
        ],
        "copy": [["train/stop/same.jpg", "train/stop/stop_train_06.jpg"]],
    }


def test_photos_of_little_use(signs, found):
    with Image.open(stop(signs, 0)) as image:
        image.filter(ImageFilter.GaussianBlur(6)).save(stop(signs, 0))
    with Image.open(stop(signs, 1)) as image:
        ImageEnhance.Brightness(image).enhance(0.2).save(stop(signs, 1))
    with Image.open(stop(signs, 2)) as image:
        image.resize((50, 40)).save(stop(signs, 2))
    with Image.open(stop(signs, 3)) as image:
        image.save(stop(signs, 3), "PNG")
    Image.new("L", (8000, 6300), 128).save(stop(signs, 4))
    code, named = found(signs)
    assert code == 0
    flat = ["train/stop/stop_train_04.jpg"]
    assert files(named.pop("huge")) == [flat]
    assert {name: files(f) for name, f in named.items() if name != "blurred or plain"} == {
        "dark": [["train/stop/stop_train_01.jpg"]],
        "tiny": [["train/stop/stop_train_02.jpg"]],
        "wrong suffix": [["train/stop/stop_train_03.jpg"]],
    }
    assert ["train/stop/stop_train_00.jpg"] in files(named["blurred or plain"])
    assert named["wrong suffix"]["photos"][0]["text"] == "contains PNG"


def stamp(path: Path, taken: datetime, camera="Camera") -> None:
    """Gives a photo the EXIF data of a camera."""
    with Image.open(path) as image:
        image.load()
    exif = Image.Exif()
    exif[inspection.MODEL] = camera
    detail = exif.get_ifd(inspection.EXIF_IFD)
    detail[inspection.TAKEN] = f"{taken:%Y:%m:%d %H:%M:%S}"
    detail[inspection.SUBSECONDS] = f"{taken.microsecond // 1000:03d}"
    image.save(path, exif=exif, quality=90)


def test_bursts_are_found_and_kept_together_by_groups_csv(signs, found, tmp_path):
    start = datetime(2026, 5, 1, 12)
    for i in range(4):  # one burst, though its first and last photo lie 6 seconds apart
        stamp(stop(signs, i), start + timedelta(seconds=2.0 * i))
    stamp(stop(signs, 4), start + timedelta(seconds=9.5))
    stamp(stop(signs, 5), start + timedelta(seconds=1), camera="Another")
    stamp(stop(signs, 6), start + timedelta(hours=1))
    stamp(stop(signs, 0, "test"), start + timedelta(hours=1, milliseconds=2900))
    code, named = found(signs)
    assert code == 0
    assert {name: files(f) for name, f in named.items()} == {
        "burst": [[f"train/stop/stop_train_{i:02d}.jpg" for i in range(4)]],
        "burst in train and test": [["train/stop/stop_train_06.jpg", "test/stop/stop_test_00.jpg"]],
    }
    assert set(found(signs, "burst_seconds=2.5")[1]) == {"burst"}
    shutil.copy(tmp_path / "checks/signs/groups.csv", signs)
    folder = read_folder(signs)
    assert not folder.problems
    burst = {s.path for s in folder.train if s.group}
    assert burst == {stop(signs, i) for i in range(4)}
    sides = set()
    for seed in range(8):
        _, val = split_train_val(folder.train, folder.class_names, 0.4, seed)
        sides.add(len(burst & {s.path for s in val}))
    assert sides == {0, 4}


def test_a_photo_of_another_class_takes_no_burst_apart():
    _, groups = find_similar([seen("cat", 0), seen("dog", 1, label=1), seen("cat2", 2)], 3.0)
    assert groups == {"train/cat": "g1", "train/cat2": "g1"}
    leaks, _ = find_similar(
        [seen("cat", 0), seen("dog", 4, label=1), seen("x", 5, split="test")], 3.0
    )
    assert {f.name for f in leaks if f.num_cases} == {"burst in train and test"}


def test_groups_that_there_are_count_and_grow():
    mine = [seen("a", group="g1"), seen("b", group="g1", like="a"), seen("c", group="bed")]
    findings, groups = find_similar(mine, 3.0)
    assert (sum(f.num_cases for f in findings), groups) == (0, {})
    more = [*mine, seen("d", like="c"), seen("e"), seen("f", like="e")]
    findings, groups = find_similar(more, 3.0)
    assert {f.name: f.num_cases for f in findings if f.num_cases} == {"near-duplicate": 2}
    names = {"a": "g1", "b": "g1", "c": "bed", "d": "bed", "e": "g2", "f": "g2"}
    assert groups == {f"train/{photo}": name for photo, name in names.items()}
    tests = [seen("a", split="test"), seen("b", split="test", like="a")]
    findings, groups = find_similar(tests, 3.0)
    (advice,) = [f.advice for f in findings if f.num_cases]
    assert "groups.csv" not in advice
    assert groups == {}


def test_what_is_written_stays_apart_from_the_photos(signs, run_verb, capsys):
    mine = "file,group\ntrain/stop/stop_train_00.jpg,a\n"
    (signs / "groups.csv").write_text(mine)
    for output in ("signs", "signs/train"):
        assert run_verb(check.main, f"data.root={signs}", f"output={output}") == 1
        assert "is inside data.root" in capsys.readouterr().err
    assert (signs / "groups.csv").read_text() == mine


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes")
def test_a_name_that_is_not_utf_8(signs, found, tmp_path):
    name = os.fsdecode(b"stra\xdfe.jpg")
    with Image.open(stop(signs, 4)) as image:
        image.save(signs / "train/stop/copy.jpg", "JPEG", quality=60)
    (signs / "train/stop/copy.jpg").rename(signs / "train/stop" / name)
    code, named = found(signs)
    assert code == 0
    assert len(named["near-duplicate"]["photos"]) == 1
    assert r"stra\udcdfe.jpg" in (tmp_path / "checks/signs/groups.csv").read_text()
    assert r"stra\udcdfe.jpg" in (tmp_path / "checks/signs/check.html").read_text()


def test_damaged_exif_is_no_burst(signs, found):
    for i, text in enumerate(["0000:00:00 00:00:00", "yesterday", "2026:05:01"]):
        with Image.open(stop(signs, i)) as image:
            image.load()
        exif = Image.Exif()
        exif.get_ifd(inspection.EXIF_IFD)[inspection.TAKEN] = text
        image.save(stop(signs, i), exif=exif)
    assert found(signs) == (0, {})


def test_heic_is_read_where_pillow_heif_is(signs, found):
    pillow_heif = pytest.importorskip("pillow_heif")
    with Image.open(stop(signs, 0)) as image:
        pillow_heif.from_pillow(image).save(signs / "train/stop/phone.HEIC")
        pillow_heif.from_pillow(image.rotate(90)).save(signs / "test/stop/phone.jpg")
    code, named = found(signs)
    assert code == 0
    assert files(named["HEIC"]) == [["train/stop/phone.HEIC"], ["test/stop/phone.jpg"]]
    assert files(named["wrong suffix"]) == [["test/stop/phone.jpg"]]
    assert set(named) == {
        "HEIC", "wrong suffix", "near-duplicate", "near-duplicate in train and test"
    }  # fmt: skip


def test_numbers_of_photos(signs, found, capsys):
    for i in range(2, 9):
        stop(signs, i).unlink()
    shutil.rmtree(signs / "test")
    shutil.rmtree(signs / "train/background")
    rng = np.random.default_rng(0)
    for i in range(12):
        noise = rng.integers(0, 256, (160, 160, 3), np.uint8)
        Image.fromarray(noise).save(signs / f"train/yield/{i}.png")
    code, named = found(signs, "data.val_fraction=0.2")
    assert code == 0
    assert set(named) == {"few to validate", "uneven classes", "no test photos", "no background"}
    assert named["few to validate"]["lines"] == ["stop: 1 of 2 held out"]
    assert (
        "stop: 1 photos, the largest class has 17, each drawn 17.0 times"
        in named["uneven classes"]["lines"][0]
    )
    assert "bookcls.init" in named["no test photos"]["advice"]
    assert "bookcls.tune" in named["no test photos"]["advice"]
    assert "test_fraction=0.2" in capsys.readouterr().out
    stop(signs, 1).unlink()
    code, named = found(signs, "data.val_fraction=0.2")
    assert code == 1
    assert "stop has a single photo" in named["too few to validate"]["lines"][0]
    assert found(signs)[0] == 0, "as experiment=laptop trains"


def test_an_empty_class_and_a_wrong_labels_csv(signs, found):
    for path in (signs / "train/stop").iterdir():
        path.unlink()
    (signs / "test_hard").mkdir()
    (signs / "test_hard/labels.csv").write_text("file,label\na.jpg,stop\n")
    code, named = found(signs)
    assert code == 1
    said = "\n".join(named["structure"]["lines"])
    assert "train/stop: an empty class" in said
    assert "test_hard/labels.csv: its columns are file,label" in said


def test_a_class_without_test_photos_is_named(signs, found):
    shutil.rmtree(signs / "test/stop")
    assert found(signs)[1]["untested class"]["lines"] == ["no test photo shows stop"]


def test_the_page_is_self_contained_and_escapes_names(signs, found, tmp_path):
    evil = signs / "train" / "<b>x&y"
    (signs / "train/stop").rename(evil)
    (signs / "test/stop").rename(signs / "test" / "<b>x&y")
    shutil.copy(evil / "stop_train_00.jpg", evil / "<i>copy.jpg")
    code, named = found(signs)
    assert (code, list(named)) == (0, ["copy"])
    page = (tmp_path / "checks/signs/check.html").read_text(encoding="utf-8")
    assert "<b>" not in page
    assert "<i>" not in page
    assert "train/&lt;b&gt;x&amp;y/</span><br>&lt;i&gt;copy.jpg" in page
    assert page.count("data:image/jpeg;base64,") == 2
    assert not re.search(r"(src|href)=\"(?!data:|#)|url\(|@import|<script", page)


def test_bad_input_in_words(run_verb, tmp_path, rendered, capsys):
    make_signs(tmp_path / "flat", flat=True, num_train=1)
    for words, said in [
        (["data.root=nowhere"], "does not exist"),
        (["data.root=flat"], "bookcls.init data.root="),
        ([f"data.root={rendered}", "output=flat/stop/stop_x_00.jpg"], "is a file"),
        ([f"data.root={rendered}", "burst_seconds=-1"], "burst_seconds=-1"),
        ([f"data.root={rendered}", "output="], "output is empty"),
        (["experiment=laptop"], "experiment is not a setting; choose one of"),
    ]:
        assert run_verb(check.main, *words) == 1
        assert said in capsys.readouterr().err
