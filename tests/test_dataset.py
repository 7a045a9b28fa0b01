import csv
import math
import os
import shutil
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bookcls import runs
from bookcls.data import images
from bookcls.data.dataset import read_folder
from bookcls.data.photos import decode_folder
from bookcls.data.samples import PhotoFolder, Sample, floor_correct, split_train_val
from bookcls.errors import BookclsError
from bookcls.storage.files import read_csv, read_json, write_csv, write_json
from conftest import CLASSES, draw, write_labels


def write_groups(root, rows, header=("file", "group")):
    with (root / "groups.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def refusal(root, on_bad="error"):
    with pytest.raises(BookclsError) as caught:
        decode_folder(read_folder(root, on_bad=on_bad), 32, "letterbox", on_bad)
    return str(caught.value)


def test_reads_classes_and_both_kinds_of_test_folder(photos):
    (photos / "train" / "red" / ".DS_Store").touch()
    (photos / "train" / "red" / "Thumbs.db").touch()
    (photos / "train" / ".hidden").mkdir()
    draw(photos / "test" / "red" / "a.png", (200, 40, 30), 77)
    folder = read_folder(photos)
    assert folder.class_names == list(CLASSES)
    assert Counter(s.label for s in folder.train) == {0: 8, 1: 5, 2: 5}
    assert {name: len(samples) for name, samples in folder.tests.items()} == {
        "difficult": 20,
        "easy": 6,
        "test": 1,
    }
    first, second = folder.tests["difficult"][:2]
    assert (first.label, first.accepted) == (-1, (1, 2))
    assert (second.label, second.accepted) == (1, (1,))
    assert floor_correct(folder.tests["difficult"]) == 5 + 5  # always blue, or always red


def test_a_dataset_without_test_photos_is_read(photos):
    shutil.rmtree(photos / "test_easy")
    shutil.rmtree(photos / "test_difficult")
    assert read_folder(photos).tests == {}


def test_labels_from_a_spreadsheet_are_read(photos):
    text = (photos / "test_difficult" / "labels.csv").read_text()
    content = "\ufeff" + text.replace("\r\n", "\n").replace("\n", "\r\n")
    (photos / "test_difficult" / "labels.csv").write_bytes(content.encode())
    assert len(read_folder(photos).tests["difficult"]) == 20


def test_missing_folder_and_missing_classes(tmp_path):
    assert "does not exist" in refusal(tmp_path / "nowhere")
    assert "no class folders" in refusal(tmp_path)
    draw(tmp_path / "train" / "only" / "a.png", (1, 2, 3), 0)
    assert "one class, only" in refusal(tmp_path)


def test_every_offender_among_the_training_photos_is_named(photos, monkeypatch):
    red = photos / "train" / "red"
    whole = draw(red / "x.jpg", (200, 30, 30), 5, (200, 200)).read_bytes()
    (red / "half.jpg").write_bytes(whole[:900])
    (red / "empty.png").touch()
    (photos / "train" / "nothing").mkdir()
    (red / "notes.txt").write_text("hello")
    (red / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    monkeypatch.setattr(images, "register_heic", lambda: False)
    message = refusal(photos)
    assert "train/nothing: an empty class" in message
    assert "train/red/notes.txt: not an image" in message
    assert "train/red/IMG_1.HEIC: HEIC" in message
    assert "train/red/half.jpg: truncated" in message
    assert "train/red/empty.png: empty file" in message
    assert "on_bad=skip" in message


def test_skip_leaves_out_and_records_bad_training_photos_only(photos):
    (photos / "train" / "red" / "empty.png").touch()
    (photos / "train" / "red" / "notes.txt").touch()
    folder, decoded = decode_folder(read_folder(photos, on_bad="skip"), 32, "squash", "skip")
    assert len(folder.train) == 18
    assert {path.name for path, _ in folder.skipped} == {"empty.png", "notes.txt"}
    assert len(decoded) == 18 + 26
    (photos / "test_easy" / "red" / "0.png").write_bytes(b"broken")
    assert "test_easy/red/0.png: not an image" in refusal(photos, "skip")


def test_skip_does_not_lose_a_class_silently(photos):
    for path in (photos / "train" / "red").iterdir():
        path.write_bytes(b"")
    assert "train/red: no readable photo left" in refusal(photos, "skip")


def test_a_test_label_that_training_does_not_know(photos):
    draw(photos / "test_easy" / "green" / "a.png", (0, 200, 0), 3)
    assert "test_easy/green: there is no training class green" in refusal(photos)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("00.png", "red", "red"), ("00.png", "red", "red")], "00.png is in 2 rows"),
        ([("00.png", "green", "green")], "there is no training class green"),
        ([("00.png", "red", "blue")], "dominant class red is not among"),
        ([("00.png", "red", "")], "no accepted class for 00.png"),
        ([("99.png", "red", "red")], "there is no file test_difficult/99.png"),
        ([("00.png", "red")], "line 2: no accepted class"),
        ([("00.png", "red", "red", "red")], "line 2: needs three columns"),
        ([("00.png", "red", "red")], "01.png: has no row in"),
    ],
)
def test_labels_csv_with_wrong_rows(photos, rows, message):
    write_labels(photos / "test_difficult", rows)
    assert message in refusal(photos)


def test_labels_csv_with_wrong_columns_or_no_text(photos):
    write_labels(photos / "test_difficult", [("00.png", "red")], header=("file", "label"))
    assert "its columns are file,label; expected file,dominant,accepted" in refusal(photos)
    (photos / "test_difficult" / "labels.csv").write_bytes(b"\xff\xfe\x00bad")
    assert "not a UTF-8 csv" in refusal(photos)
    (photos / "test_difficult" / "labels.csv").unlink()
    assert "needs a labels.csv" in refusal(photos)


def test_the_same_photo_in_train_and_test_is_refused(photos):
    shutil.copy(photos / "train" / "red" / "red_0.png", photos / "test_easy" / "red" / "copy.png")
    assert "test_easy/red/copy.png: the same photo as train/red/red_0.png" in refusal(photos)


def test_the_same_photo_in_two_classes_is_refused(photos):
    shutil.copy(photos / "train" / "red" / "red_0.png", photos / "train" / "blue" / "copy.png")
    assert "train/red/red_0.png: the same photo as train/blue/copy.png" in refusal(photos)


def test_copies_of_a_photo_stay_on_one_side_of_the_split(photos):
    for path in sorted((photos / "train" / "red").iterdir()):
        shutil.copy(path, path.with_name(f"copy_{path.name}"))
    folder = read_folder(photos)
    for seed in range(5):
        train, val = split_train_val(folder.train, folder.class_names, 0.4, seed)
        assert not {s.sha256 for s in train} & {s.sha256 for s in val}
        assert Counter(s.label for s in val) == {0: 3, 1: 2, 2: 4}


def test_photos_of_a_group_stay_on_one_side_of_the_split(photos):
    rows = [(f"train/red/red_{i}.png", "walk") for i in range(3)]
    write_groups(photos, [*rows, ("train/blue/blue_0.png", "walk")])
    shutil.copy(photos / "train/red/red_0.png", photos / "train/red/copy.png")
    before = read_folder(photos).fingerprint()
    folder = read_folder(photos)
    assert not folder.problems
    walk = {s.name for s in folder.train if s.group == "walk"}
    assert walk == {f"red/{n}.png" for n in ("red_0", "red_1", "red_2", "copy")} | {
        "blue/blue_0.png"
    }
    sizes = set()
    for seed in range(10):
        train, val = split_train_val(folder.train, folder.class_names, 0.4, seed)
        sizes.add(len({s.name for s in val if s.label == 2} & walk))
        assert {s.label for s in train} == {s.label for s in val} == {0, 1, 2}
    assert sizes == {0, 4}
    write_groups(photos, rows)
    assert read_folder(photos).fingerprint() != before


def test_files_that_cannot_be_read_are_no_copies_of_each_other(photos):
    for name in ("a", "b", "c"):
        (photos / f"train/red/{name}.png").touch()
    write_groups(photos, [("train/red/a.png", "one"), ("train/red/b.png", "two")])
    folder = read_folder(photos)
    assert not folder.problems
    assert {s.name: s.group for s in folder.train if s.group} == {
        "red/a.png": "one",
        "red/b.png": "two",
    }


def test_a_name_that_is_no_utf8_has_a_fingerprint_and_a_row(photos, tmp_path):
    strange = photos / "train" / "red" / os.fsdecode(b"\xff.png")
    draw(strange, (220, 50, 40), 99)
    folder = read_folder(photos)
    assert len(folder.fingerprint()) == 64
    sample = next(s for s in folder.train if s.path == strange)
    table = tmp_path / "predictions.csv"
    runs.write_predictions(table, CLASSES, {"train": [sample]}, {"train": [[0.1, 0.1, 0.8]]})
    assert r"red/\udcff.png" in table.read_text(encoding="utf-8")
    write_json(tmp_path / "a.json", {"skipped": str(strange)})
    assert read_json(tmp_path / "a.json") == {"skipped": str(strange)}


def test_the_fingerprint_of_ordinary_names_stays():
    sample = Sample(Path("a"), "red/ß 本.png", 0, (0,), "00")
    found = PhotoFolder(Path(), ["red"], [sample], {}).fingerprint()
    assert found == "339520d70ce3532fcee7dc130cfa67bbe6c11405f8ae9ee437c7a3c8b60b438b"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("train/red/gone.png", "a")], "line 2: there is no training photo train/red/gone.png"),
        ([("train/red/red_0.png", "")], "line 2: needs two columns"),
        ([("train/red/red_0.png", "a", "b")], "line 2: needs two columns"),
        ([("train/red/red_0.png", "a"), ("train/red/red_0.png", "b")], "is in group b, but"),
    ],
)
def test_groups_csv_with_wrong_rows(photos, rows, message):
    write_groups(photos, rows)
    assert message in refusal(photos)


def test_groups_csv_with_wrong_columns_or_no_text(photos):
    write_groups(photos, [], header=("photo", "group"))
    assert "groups.csv: its columns are photo,group; expected file,group" in refusal(photos)
    (photos / "groups.csv").write_bytes(b"\xff\xfe\x00bad")
    assert "groups.csv: not a UTF-8 csv" in refusal(photos)


def test_a_class_of_one_group_cannot_be_split(photos):
    write_groups(photos, [(f"train/red/red_{i}.png", "walk") for i in range(5)])
    folder = read_folder(photos)
    with pytest.raises(BookclsError, match="red has a single photo or a single group"):
        split_train_val(folder.train, folder.class_names, 0.2, 0)


def test_split_names_do_not_collide(photos):
    draw(photos / "test" / "red" / "a.png", (200, 40, 30), 77)
    draw(photos / "test_test" / "red" / "b.png", (200, 40, 30), 78)
    draw(photos / "test_" / "red" / "c.png", (200, 40, 30), 79)
    message = refusal(photos)
    assert "test_test: give it a unique name" in message
    assert "test_: give it a unique name" in message


def test_splits_that_would_overwrite_each_others_scores_are_refused(photos):
    (photos / "test_difficult").rename(photos / "test_easy_strict")
    message = refusal(photos)
    assert "test_easy_strict: rename this folder: it and test_easy would both write" in message
    assert "test/easy_strict_acc" in message
    (photos / "test_easy").rename(photos / "test_plain")
    read_folder(photos)


def test_problems_of_all_kinds_are_named_at_once(photos):
    (photos / "train" / "red" / "empty.png").touch()
    (photos / "train" / "red" / "notes.txt").touch()
    (photos / "train" / "a;b").mkdir()
    message = refusal(photos)
    for part in ("empty.png: empty file", "notes.txt: not an image", "'a;b': a class name"):
        assert part in message


def test_decoding_leaves_the_filters_of_warnings_alone(shared_photos):
    before = list(warnings.filters)
    for _ in range(3):
        decode_folder(read_folder(shared_photos), 32, "letterbox", "error")
    assert warnings.filters == before


def test_split_is_stratified_and_disjoint_and_follows_the_seed(shared_photos):
    folder = read_folder(shared_photos)
    train, val = split_train_val(folder.train, folder.class_names, 0.2, 0)
    assert Counter(s.label for s in val) == {0: 2, 1: 1, 2: 1}
    assert {s.path for s in train} | {s.path for s in val} == {s.path for s in folder.train}
    assert not {s.path for s in train} & {s.path for s in val}
    assert split_train_val(folder.train, folder.class_names, 0.2, 0)[1] == val
    assert split_train_val(folder.train, folder.class_names, 0.2, 1)[1] != val
    assert split_train_val(folder.train, folder.class_names, 0.0, 1) == (folder.train, [])
    _, most = split_train_val(folder.train, folder.class_names, 0.99, 0)
    assert Counter(s.label for s in most) == {0: 7, 1: 4, 2: 4}, "one of each is left to train"


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5, 0.9])
def test_without_groups_a_split_is_that_of_earlier_versions(fraction):
    numbers = (2, 3, 5, 11)
    photos = [
        Sample(Path(f"{k}_{i}"), f"{k}_{i}", k, (k,), f"{k}_{i}")
        for k, n in enumerate(numbers)
        for i in range(n)
    ]
    rng = np.random.default_rng([7, 1])
    held = set()
    for k, n in enumerate(numbers):
        num_val = min(max(1, math.floor(n * fraction + 0.5)), n - 1)
        held |= {f"{k}_{i}" for i in rng.permutation(n)[:num_val]}
    _, val = split_train_val(photos, list("abcd"), fraction, 7)
    assert {s.name for s in val} == held


def test_a_share_is_counted_in_photos_where_there_are_groups():
    photos = [
        Sample(Path(f"{i}"), f"{i}", 0, (0,), f"{i}", group="walk" if i < 40 else "")
        for i in range(60)
    ]
    for seed in range(8):
        _, val = split_train_val(photos, ["a"], 0.2, seed)
        assert len(val) == 12


def test_a_class_of_one_photo_cannot_be_split(photos):
    for path in sorted((photos / "train" / "red").iterdir())[1:]:
        path.unlink()
    folder = read_folder(photos)
    with pytest.raises(BookclsError, match=r"class red has a single photo.*val_fraction=0"):
        split_train_val(folder.train, folder.class_names, 0.2, 0)


def test_fingerprint_follows_photos_and_labels_but_not_the_place(photos, tmp_path):
    before = read_folder(photos).fingerprint()
    assert read_folder(shutil.copytree(photos, tmp_path / "copy")).fingerprint() == before
    draw(photos / "train" / "red" / "red_0.png", (200, 0, 0), 99)
    assert read_folder(photos).fingerprint() != before


def test_csv_files_of_ours_are_whole_and_hold_no_formula(tmp_path):
    path = tmp_path / "a.csv"
    write_csv(path, ["file", "n"], [("=1+1", -0.5), ("a,b", 2)])
    assert path.read_bytes() == b'file,n\r\n\'=1+1,-0.5\r\n"a,b",2\r\n'
    assert [(line, row["n"]) for line, row in read_csv(path, ["n", "file"])] == [
        (2, "-0.5"),
        (3, "2"),
    ]

    def broken():
        yield ("b", 1)
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        write_csv(path, ["file", "n"], broken())
    assert path.read_bytes().startswith(b"file,n\r\n'=1+1")
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]
    with pytest.raises(BookclsError, match=r"its columns are file,n; expected file,label"):
        read_csv(path, ["file", "label"])
