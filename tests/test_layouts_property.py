"""Drawn layouts are recognised as what they were made from, or refused: never misread."""

import json
import shutil
import string
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bookcls.errors import BookclsError
from layout_making import planned, put

TRAINS = ["train", "training", "Train", "TRAIN", "train_images", "training_set", "seg_train",
          "TrainImages", "my-train", "train2017", "data train", "trainset"]  # fmt: skip
TESTS = ["test", "val", "valid", "validation", "dev", "eval", "testing", "holdout", "Test",
         "VALID", "test_images", "test_set", "seg_test", "TestImages", "my-val", "val2017",
         "data test", "hold_out", "valset"]  # fmt: skip
CLASSES = ["car", "bus", "café", "golden retriever", "0", "1", "n02085620-Chihuahua", "Äpfel",
           "trainspotting", "class_a", "contest", "latest", "2", "stop sign"]  # fmt: skip
UNCLEAR = ["train", "Tests", "images", "2024", "pred"]
BATCHES = ["batch1", "batch_2", "2024-05-01", "IMG", "100APPLE", "ann", "bob"]
FILES = ["file", "path", "filename", "file_name", "Image", "image_id", "img", "id", "name",
         "photo", "picture", "what"]  # fmt: skip
LABELS = ["label", "Labels", "class", "class_name", "category", "target", "species", "breed", "y",
          "tag", "kind", "make"]  # fmt: skip
SPLITS = {
    "split": ("train", "test"),
    "set": ("Training", "Validation"),
    "is_valid": ("False", "True"),
    "is_test": ("0", "1"),
    "partition": ("0", "1"),
    "is_train": ("1", "0"),
}
stems = st.text(string.ascii_letters + string.digits + "é -_", min_size=1, max_size=8).filter(
    lambda text: text == text.strip() and text[0] not in "-."
)


plain_names = st.lists(st.sampled_from(CLASSES), min_size=2, max_size=3, unique=True)
names_of_classes = st.one_of(
    plain_names,
    plain_names,
    plain_names,
    st.tuples(plain_names, st.sampled_from(UNCLEAR)).map(lambda pair: [*pair[0], pair[1]]),
)


@st.composite
def trees(draw):
    """Photos in folders of classes and splits: path -> split and class."""
    classes = draw(names_of_classes)
    train, test = draw(st.sampled_from(TRAINS)), draw(st.none() | st.sampled_from(TESTS))
    order = draw(st.sampled_from(["split first", "class first", "classes alone"]))
    outside = draw(
        st.lists(st.sampled_from(["data", "dataset", "images", "my photos"]), max_size=2)
    )
    inside = draw(st.sampled_from([[], [], [], ["images"], ["again"], ["deeper", "still"]]))
    truth = {}
    for name in classes:
        for role, split in [("train", train)] + ([("test", test)] if test else []):
            parts = {
                "split first": [split, *([split] if inside == ["again"] else []), name],
                "class first": [name, split],
                "classes alone": [name],
            }[order]
            deep = inside if inside != ["again"] else []
            for stem in draw(st.lists(stems, min_size=1, max_size=2, unique_by=str.lower)):
                path = "/".join([*outside, *parts, *deep, f"{stem}.png"])
                truth[path] = ("train" if order == "classes alone" else role, name)
    if draw(st.integers(0, 3)) == 0:
        others = ["runs", "@eaDir", ".thumbnails", *(["extra"] if order == "split first" else [])]
        for name in draw(st.lists(st.sampled_from(others), unique=True)):
            truth["/".join([*outside, name, "x.png"])] = None
    return truth, None


@st.composite
def tables(draw):
    """Photos in folders that say nothing or the split, and a table of their classes."""
    classes = draw(names_of_classes)
    folders = draw(
        st.lists(st.sampled_from([*BATCHES, *classes]), min_size=1, max_size=3)
        | st.tuples(st.sampled_from(TRAINS), st.sampled_from(TESTS))
    )
    places = st.tuples(st.sampled_from(folders), stems)
    photos = draw(st.lists(places, min_size=4, max_size=10, unique_by=lambda p: str(p[1]).lower()))
    column, values = draw(st.sampled_from([(None, None), *SPLITS.items()]))
    truth, rows = {}, []
    style = draw(st.sampled_from(["{p}", "{n}", "/home/ann/{p}", "C:\\x\\{b}", "{b}", "{s}",
                                  "./{p}", "x/{n}", "/data/upload/1/0123abcd-{n}"]))  # fmt: skip
    for i, (folder, stem) in enumerate(photos):
        label = classes[i % len(classes)]
        # Most draws have a training photo of each class; the others can only be refused.
        first = i < len(classes) and draw(st.integers(0, 9)) > 0
        if first and folder in TESTS:
            folder = folders[0]
        held = not first and draw(st.booleans()) if values else folder in TESTS
        path = f"{folder}/{stem}.png"
        truth[path] = ("test" if held else "train", label)
        cell = style.format(p=path, n=f"{stem}.png", s=stem, b=path.replace("/", "\\"))
        rows.append([cell, label, *([values[held]] if values else [])])
    change = draw(st.sampled_from(["none", "none", "none", "no row", "no photo", "moved"]))
    if change == "no row":
        rows.pop()
        truth[path] = None
    elif change == "no photo":
        del truth[path]
    elif change == "moved":
        del truth[path]
        # Found by its name alone or not, but never as another class.
        place = draw(st.sampled_from(["elsewhere/", "", *(f"{name}/" for name in folders)]))
        truth.setdefault(f"{place}{stem}.png", (None, label))
    header = [draw(st.sampled_from(FILES)), draw(st.sampled_from(LABELS))]
    header += [column] if column else []
    extra = draw(st.sampled_from(["", "", "index", "width", "one-hot", "last"]))
    if extra == "index":
        header, rows = ["", *header], [[str(i), *row] for i, row in enumerate(rows)]
    elif extra == "width":
        header, rows = [*header, "width"], [[*row, "8"] for row in rows]
    elif extra == "one-hot":
        header[1:2] = classes
        rows = [[f, *(str(int(c == k)) for c in classes), *rest] for f, k, *rest in rows]
    elif extra == "last":
        header, rows = header[::-1], [row[::-1] for row in rows]
    return truth, draw(encoded(header, rows))


@st.composite
def encoded(draw, header, rows):
    """A table as a file: its place and its bytes."""
    place = draw(
        st.sampled_from(["labels.csv", "labels.csv", "train.csv", "x.txt", "meta/data.tsv",
                         "a.csv", "metadata.jsonl", "all.json", "none.csv"])
    )  # fmt: skip
    if place.endswith("json"):
        return place, json.dumps([dict(zip(header, row, strict=True)) for row in rows]).encode()
    if place.endswith("jsonl"):
        lines = (json.dumps(dict(zip(header, row, strict=True))) for row in rows)
        return place, "\n".join(lines).encode()
    separator = draw(st.sampled_from([",", ";", "\t", ", "]))
    lines = rows if place == "none.csv" else [header, *rows]
    text = "\n".join(separator.join(row) for row in lines)
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252"]))
    if encoding != "cp1252" and draw(st.booleans()):
        text = unicodedata.normalize("NFD", text)
    return place, text.encode(encoding)


def check(layout, counts=None):
    """Fails if the layout is read as something else than what it was made from."""
    truth, table = layout
    root = Path(tempfile.mkdtemp())
    try:
        put(root, *truth)
        if table:
            (root / table[0]).parent.mkdir(exist_ok=True)
            (root / table[0]).write_bytes(table[1])
        found = planned(root)
    except BookclsError:
        found = None
    finally:
        shutil.rmtree(root)
    if counts is not None:
        counts["refused" if found is None else "read"] += 1
    if found is None:
        return
    for path in found.keys() | truth.keys():
        split, label = found.get(path, (None, None))
        role, name = truth.get(path) or (None, None)
        if role or label:
            assert label == (name and unicodedata.normalize("NFC", name)), path
        if role:
            assert split.partition("_")[0] == role, path


def attack(tries):
    return settings(
        max_examples=tries,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@attack(150)
@given(st.one_of(trees(), tables()))
def test_no_layout_is_misread(layout):
    check(layout)


@pytest.mark.slow
def test_no_layout_is_misread_in_many_tries():
    counts = dict.fromkeys(("read", "refused"), 0)

    @attack(2000)
    @given(st.one_of(trees(), tables()))
    def run(layout):
        check(layout, counts)

    run()
    print(counts)
    assert counts["read"] > 600, "most layouts are read, not refused"
