"""A layout is recognised as what it is, or refused in words that say what decides."""

import json
import unicodedata

import pytest

from bookcls.errors import BookclsError
from layout_making import planned, put

TREES = [
    ("train_images/{}", "test_images/{}"),
    ("training_set/{}", "test_set/{}"),
    ("training_set/training_set/{}", "test_set/test_set/{}"),
    ("seg_train/seg_train/{}", "seg_test/seg_test/{}"),
    ("{}/train", "{}/test"),
    ("{}/Train", "{}/Valid"),
    ("data/Train/{}", "data/Valid/{}"),
    ("dataset/train/{}", "dataset/val/{}"),
    ("data/data/train/{}", "data/data/test/{}"),
    ("images/train/{}", "images/validation/{}"),
    ("train/images/{}", "test/images/{}"),
    ("TRAIN/{}", "TEST/{}"),
    ("train/{}", "dev/{}"),
    ("train/{}", "eval/{}"),
    ("train/{}", "testing/{}"),
    ("train/{}", "holdout/{}"),
    ("train/{}", "hold-out/{}"),
    ("TrainImages/{}", "TestImages/{}"),
    ("my train/{}", "my test/{}"),
    ("flowers-training/{}", "flowers-validation/{}"),
    ("train2017/{}", "val2017/{}"),
    ("trainset/{}", "testset/{}"),
]


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree[0])
def test_folders_of_splits_are_no_classes(tmp_path, tree):
    expected = {}
    for split, folder in zip(("train", "test"), tree, strict=True):
        for name in ("car", "bus"):
            put(tmp_path, path := f"{folder.format(name)}/{name}_{split}.png")
            expected[path] = (split, name)
    assert planned(tmp_path) == expected


@pytest.mark.parametrize(
    "names",
    [
        ["car/1", "bus/2", "train/3"],
        ["car/1", "bus/2", "Test_Images/3"],
        ["car/1", "bus/2", "train/car/3", "train/bus/4"],
        ["train/car/1", "train/bus/2", "train/train/3", "test/car/4"],
        ["car/train/1", "car/test/2", "bus/3"],
        ["train_station/1", "test_tube/2"],
        ["2024-01/cat/1", "2024-01/dog/2", "2024-02/cat/3", "2024-02/dog/4"],
        ["batch1/1", "batch2/2"],
        ["ann/cat/1", "ann/dog/2", "bob/cat/3"],
        ["first/train/cat/1", "first/test/dog/2", "second/train/cat/3"],
        ["val/cat/1", "test/cat/2"],
        ["cat/1", "dog/2", "unlabeled/3"],
        ["cat/x/train/1", "cat/x/test/2", "dog/x/train/3"],
    ],
    ids="-".join,
)
def test_what_can_be_a_split_or_a_class_is_refused(tmp_path, names):
    put(tmp_path, *(f"{name}.png" for name in names))
    with pytest.raises(BookclsError, match=r"classes=\["):
        planned(tmp_path)


def test_classes_decides_between_splits_and_classes(tmp_path):
    put(tmp_path, "car/1.png", "bus/2.png", "train/3.png", "old/4.png")
    expected = {"car/1.png": ("train", "car"), "bus/2.png": ("train", "bus")}
    with pytest.raises(BookclsError, match=r"classes=\[bus,car,old,train\]"):
        planned(tmp_path)
    assert planned(tmp_path, classes=["car", "bus"]) == expected
    expected["train/3.png"] = ("train", "train")
    assert planned(tmp_path, classes=["car", "bus", "train"]) == expected
    put(tmp_path / "b", "train/car/1.png", "train/train/2.png", "test/train/3.png")
    assert planned(tmp_path / "b", classes=["car", "train"]) == {
        "train/car/1.png": ("train", "car"),
        "train/train/2.png": ("train", "train"),
        "test/train/3.png": ("test", "train"),
    }
    with pytest.raises(BookclsError, match="no training photos of bike"):
        planned(tmp_path, classes=["car", "bike"])


ROWS = [("a.png", "cat"), ("b.png", "dog"), ("c.png", "cat"), ("d.png", "dog")]
LABELS = {f"batch1/{name}": ("train", label) for name, label in ROWS[:2]} | {
    f"batch2/{name}": ("train", label) for name, label in ROWS[2:]
}


@pytest.fixture
def batches(tmp_path):
    """Photos in folders that are not their classes."""
    return put(tmp_path, *LABELS)


def table(rows, header=("file", "label"), separator=","):
    return "\n".join(separator.join(map(str, row)) for row in [header, *rows]) + "\n"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_separators_and_encodings(tmp_path, separator, encoding):
    rows = [("naïve/é.png", "café"), ("naïve/b.png", "thé"), ("naïve/c.png", "café")]
    put(tmp_path, *(name for name, _ in rows))
    text = table(rows, separator=separator)
    (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
    assert planned(tmp_path) == {name: ("train", label) for name, label in rows}


@pytest.mark.parametrize(
    "header",
    [
        ("path", "labels"), ("filepath", "class_name"), ("filename", "target"), ("id", "breed"),
        ("image", "species"), ("image_path", "category"), ("image_id", "y"), ("img", "tag"),
        ("name", "label"), ("photo", "Class"), ("File Name", "class id"), ("ImageId", "TARGET"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [True, False])
def test_usual_names_of_columns(batches, header, suffix):
    rows = [(name if suffix else name[:-4], label) for name, label in ROWS]
    (batches / "train.csv").write_text(table(rows, header))
    assert planned(batches) == LABELS


@pytest.mark.parametrize(
    "style",
    [
        "{}", "/home/ann/{}", r"C:\photos\{}", "./{}", "x/{}", "https://a.b/x%20y/{}?s=1",
        "/data/local-files/?d=x/{}",
    ],
)  # fmt: skip
def test_paths_of_other_places(batches, style):
    rows = [(style.format(path), label) for path, (_, label) in LABELS.items()]
    if "\\" in style:
        rows = [(path.replace("/", "\\"), label) for path, label in rows]
    (batches / "sub").mkdir()
    (batches / "sub/labels.tsv").write_text(table(rows, separator="\t"))
    assert planned(batches) == LABELS


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("table.csv", ",file,label\n0,a.png,cat\n1,b.png,dog\n2,c.png,cat\n3,d.png,dog\n"),
        ("table.csv", "Unnamed: 0,y,file\n0,cat,a.png\n1,dog,b.png\n2,cat,c.png\n3,dog,d.png\n"),
        ("table.txt", "a.png cat\nb.png dog\nc.png cat\nd.png dog\n"),
        ("table.csv", "a.png,cat\nb.png,dog\nc.png,cat\nd.png,dog\n"),
        ("table.csv", "sep=;\nfile;label\na.png;cat\nb.png;dog\nc.png;cat\nd.png;dog\n"),
        ("table.csv", 'file,label\n"a.png","cat"\nb.png,dog\nc.png,cat\nd.png,dog\n'),
        ("table.csv", "filename, cat, dog\na.png, 1, 0\nb.png, 0, 1\nc.png, 1, 0\nd.png, 0, 1\n"),
        ("table.json", json.dumps([{"image": n, "choice": c} for n, c in ROWS])),
        ("table.json", json.dumps(dict(ROWS))),
        ("table.jsonl", "\n".join(json.dumps({"file_name": n, "label": c}) for n, c in ROWS)),
        ("table.csv", table([(f"/data/upload/1/0a1b2c3{i}-{n}", i, c, 9)
                         for i, (n, c) in enumerate(ROWS)],
                        ("image", "id", "choice", "annotator"))),
        ("table.csv", table([(c == "cat", c, n) for n, c in ROWS], ("class_id", "label", "path"))),
    ],
)  # fmt: skip
def test_tables_of_other_programs(batches, name, text):
    (batches / name).write_text(text)
    assert planned(batches) == LABELS


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("labels.csv", b"file,label\na.png,cat\nb.png\n", "line 3 has another number of columns"),
        ("labels.csv", b"\xff\xfe\x00", "not text in UTF-8"),
        ("my.csv", b"file,kind\na.png,cat\nb.png,dog\nc.png,cat\n", "label_column=NAME"),
        ("my.csv", b"file,make\na.png,Audi\nb.png,BMW\nc.png,BMW\n", "label_column=NAME"),
        ("my.csv", b"file,label\na.png,cat\ngone.png,dog\nc.png,cat\n", "no file gone.png"),
        ("my.csv", b"file,label\na.png,\nb.png,dog\nc.png,dog\n", "line 2: no class for a.png"),
        ("my.csv", b"image,label\nx1,cat\nx2,dog\nx3,cat\n", "no photo here is named"),
        ("my.csv", b"what,label\nx1,cat\nx2,dog\nx3,cat\n", "no column for the file"),
        ("my.csv", b"file,label,tag\na.png,cat,x\nb.png,dog,x\nc.png,cat,y\n", "label_column="),
        ("my.csv", b"id,class\na,cat\nb,dog\n", "another label in each row"),
        ("labels.xlsx", b"PK", "save it as csv"),
        ("annotations.json", b'{"images": [{"file_name": "a.png"}], "x": {}}', "export it as csv"),
        ("annotations.xml", b"<annotations><image name='a.png'/></annotations>", "not read"),
        ("my.txt", b"a.png\tcat\nb.png\tdog\tbird\n", "another number of columns"),
        ("my.csv", b"file,label\na.png,cat\na.png,dog\nb.png,dog\n", "one class per photo"),
        ("my.csv", b"file,label\na.png,cat;dog\nb.png,dog\nc.png,cat\n", "several labels"),
        ("my.csv", b'file,label\na.png,"cat, dog"\nb.png,dog\nc.png,cat\n', "several labels"),
        ("my.csv", b"file,label\na.png,cat dog\nb.png,dog\nc.png,cat\n", "several labels"),
        ("my.csv", b"file,label\na.png,cat|dog\nb.png,dog\nc.png,cat\n", "several labels"),
        ("my.csv", b"file,cat,dog\na.png,1,1\nb.png,0,1\nc.png,1,0\n", "several classes"),
        ("my.csv", b"file,cat,dog\na.png,1,0\nb.png,0,0\nc.png,1,0\n", "no class"),
        ("my.jsonl", b'{"file": "a.png", "label": ["cat", "dog"]}\n', "several labels"),
        ("my.csv", b"file,label,split\na.png,cat,0\nb.png,dog,1\nc.png,dog,0\n", "train, valid"),
        ("my.csv", b"file,label,is_valid\na.png,cat,maybe\nb.png,dog,1\nc.png,dog,0\n", "'maybe'"),
        ("my.csv", b"file,label\na.png,Cat\nb.png,dog\nc.png,cat\n", r"classes=[Cat,dog]"),
        ("my.csv", b"file,label\na.png,cat\nb.png,dog\nc.png,cat \n", r"classes=[cat,dog]"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used_is_never_passed_over(batches, name, text, said):
    (batches / name).write_bytes(text)
    with pytest.raises(BookclsError) as error:
        planned(batches)
    assert said in str(error.value)
    if "classes=" not in said:
        assert name in str(error.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("meta.csv", "file,width,height\nfelix.png,8,8\nrex.png,8,8\n"),
        ("sample_submission.csv", "id,label\nfelix,cat\nrex,cat\n"),
        ("prices.csv", "thing,price\nx,8\ny,8\n"),
    ],
)
def test_a_table_without_labels_is_named_and_the_folders_are_used(adopt, tmp_path, name, text):
    put(tmp_path / "pets", "cat/felix.png", "dog/rex.png")
    (tmp_path / "pets" / name).write_text(text)
    code, said = adopt("data.root=pets")
    assert code == 0, said
    assert f"{name}: n" in said
    assert planned(tmp_path / "pets")["cat/felix.png"] == ("train", "cat")


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("is_valid", ("False", "False", "True", "True")),
        ("is_test", ("0", "0", "1", "1")),
        ("split", ("train", "train", "test", "test")),
        ("data set", ("train", "train", "valid", "valid")),
        ("subset", ("Training", "Training", "Validation", "Validation")),
        ("Partition", ("TRAIN", "TRAIN", "dev", "dev")),
        ("fold", ("train", "train", "holdout", "holdout")),
        ("is_train", ("yes", "yes", "no", "no")),
    ],
)
def test_a_column_of_splits(batches, column, values):
    rows = [(*row, value) for row, value in zip(ROWS, values, strict=True)]
    (batches / "labels.csv").write_text(table(rows, ("file", "label", column)))
    splits = ("train", "train", "test", "test")
    assert planned(batches) == {
        path: (split, label)
        for (path, (_, label)), split in zip(LABELS.items(), splits, strict=True)
    }


def test_folds_that_are_numbers_are_said_not_to_be_used(adopt, batches):
    rows = [(*row, i % 2) for i, row in enumerate(ROWS)]
    (batches / "labels.csv").write_text(table(rows, ("file", "label", "fold")))
    code, said = adopt(f"data.root={batches}")
    assert code == 0
    assert "the column fold names no splits, so it is not used" in said


@pytest.mark.parametrize(
    ("file", "header"),
    [("metadata.csv", "file_name,label"), ("_classes.csv", "filename, cat, dog")],
)
def test_a_table_in_each_split(tmp_path, file, header):
    expected = {}
    for split in ("train", "valid"):
        put(tmp_path / split, "1.png", "2.png")
        one = header.startswith("file_name")
        rows = ["1.png,cat", "2.png,dog"] if one else ["1.png, 1, 0", "2.png, 0, 1"]
        (tmp_path / split / file).write_text("\n".join([header, *rows]))
        role = "train" if split == "train" else "test"
        expected |= {f"{split}/1.png": (role, "cat"), f"{split}/2.png": (role, "dog")}
    assert planned(tmp_path) == expected


def test_a_table_for_the_training_photos_alone_names_none_of_the_test_photos(tmp_path):
    put(tmp_path, "train/1.png", "train/2.png", "test/1.png", "test/3.png")
    (tmp_path / "train.csv").write_text("id,label\n1,cat\n2,dog\n")
    with pytest.raises(BookclsError, match="another label in each row"):
        planned(tmp_path)
    assert planned(tmp_path, tmp_path / "train.csv") == {
        "train/1.png": ("train", "cat"),
        "train/2.png": ("train", "dog"),
    }
    (tmp_path / "train.csv").write_text("id,label\n1,cat\n2,dog\n3,cat\n")
    with pytest.raises(BookclsError, match="line 4: there is no file 3"):
        planned(tmp_path)


def test_folders_that_contradict_the_table(tmp_path):
    put(tmp_path, "cat/1.png", "dog/2.png", "dog/3.png", "dog/4.png")
    (tmp_path / "labels.csv").write_text("file,label\n1.png,dog\n2.png,dog\n3.png,cat\n")
    with pytest.raises(BookclsError, match=r"1\.png is dog, but it is in the folder cat/"):
        planned(tmp_path)
    (tmp_path / "labels.csv").write_text("file,label\n1.png,cat\n2.png,dog\n3.png,dog\n")
    with pytest.raises(BookclsError, match="1 others are in folders named like its classes"):
        planned(tmp_path)
    assert planned(tmp_path, by_folders=True)["dog/4.png"] == ("train", "dog")


def test_ambiguous_and_wrong_tails(tmp_path):
    put(tmp_path, "old/cat/1.png", "new/cat/1.png", "old/dog/2.png")
    (tmp_path / "my.csv").write_text("file,y\n/x/cat/1.png,a\n/x/dog/2.png,b\n/x/dog/3.png,b\n")
    with pytest.raises(BookclsError, match="can be") as error:
        planned(tmp_path)
    assert "there is no file /x/dog/3.png" in str(error.value)
    put(tmp_path / "b", "dog/1.png", "cat/2.png")
    (tmp_path / "b/my.csv").write_text("file,y\n/x/cat/1.png,cat\n/x/cat/2.png,cat\n")
    with pytest.raises(BookclsError, match=r"there is no file /x/cat/1\.png"):
        planned(tmp_path / "b")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("images.txt", "1 001.Crow/a.png\n2 002.Owl/b.png\n"),
        ("images.txt", "".join(f"{i} x/{n}.png\n" for i, n in enumerate("abc"))),
        ("001.Crow/labels.csv", "file,label\na.png,x\nc.png,y\n"),
        ("captions.txt", "".join(f"{n}.png\ta bird {i}\n" for i, n in enumerate("abc"))),
        ("all.parquet", "PAR1"),
        ("my.csv", "path,lbl\nx/a.png,u\n"),
        ("my.txt", "a 1 1 1\nb 2 1 1\nc 1 1 1\n"),
        ("my.csv", "file,label\na.png,nan\nb.png,v\nc.png,u\n"),
        ("my.json", '[{"id": 1, "data": {"image": "/data/upload/1/0a1b2c3d-a.png"}}]'),
        ("train.json", '{"crow": ["a.png"], "owl": ["b.png"]}'),
    ],
)
def test_numbers_captions_and_partial_tables_are_refused(tmp_path, file, text):
    put(tmp_path, "001.Crow/a.png", "002.Owl/b.png", "001.Crow/c.png")
    (tmp_path / file).write_text(text)
    with pytest.raises(BookclsError, match="labels=folders"):
        planned(tmp_path)
    assert len(planned(tmp_path, by_folders=True)) == 3


def test_files_that_only_mention_photos_are_no_labels(tmp_path):
    put(tmp_path, "cat/a.png", "dog/b.png", "dog/0.png")
    (tmp_path / "README.txt").write_text("See a.png, please.\nBob, 2024\nBye\n")
    (tmp_path / "classes.json").write_text('{"0": "cat", "1": "dog"}')
    (tmp_path / "notes.json").write_text('{"a": 1}')
    (tmp_path / "train.txt").write_text("cat/a\ndog/b\n")
    assert planned(tmp_path)["cat/a.png"] == ("train", "cat")


def test_leavings_are_named_once_and_are_no_classes(adopt, tmp_path):
    pets = put(tmp_path / "pets", "cat/1.png", "dog/2.png")
    for name in ("runs", "checks", "tuning", "evaluations", "predictions", "@eaDir", "__MACOSX"):
        put(pets, f"{name}/x.png", f"{name}/y/z.png")
    put(pets, ".thumbnails/1.png", "cat/@eaDir/1.png", "cat/.x.png")
    (pets / "cat/Thumbs.db").touch()
    assert len(planned(pets)) == 2
    code, said = adopt("data.root=pets")
    assert code == 0
    line = next(line for line in said.splitlines() if line.startswith("not used"))
    for name in (
        "runs/ (2 photos)",
        "@eaDir/ (3 photos)",
        "__MACOSX/",
        ".thumbnails/",
        "Thumbs.db",
    ):
        assert line.count(name) == 1
    assert said.count("@eaDir") == 1
    assert planned(pets, classes=["cat", "dog", "runs"])["runs/x.png"] == ("train", "runs")


def test_composed_and_decomposed_accents_are_one_name(tmp_path):
    other = unicodedata.normalize("NFD", "café")
    put(tmp_path, "train/café/1.png", "train/thé/2.png", f"test/{other}/3.png")
    assert planned(tmp_path)[f"test/{other}/3.png"] == ("test", "café")
    put(tmp_path / "b", f"x/{other}.png", "x/b.png", "x/c.png")
    (tmp_path / "b/my.csv").write_text(f"file,label\ncafé.png,thé\nb.png,café\nc.png,{other}\n")
    assert set(planned(tmp_path / "b").values()) == {("train", "thé"), ("train", "café")}


def test_names_that_differ_in_case_or_spaces_are_asked_about(tmp_path):
    put(tmp_path, "Cat/1.png", "cat/2.png", "dog/3.png", "dog /4.png")
    with pytest.raises(BookclsError) as error:
        planned(tmp_path)
    assert "Cat and cat" in str(error.value)
    assert "'dog' and 'dog '" in str(error.value)
    assert "classes=[Cat,dog]" in str(error.value)
    found = planned(tmp_path, classes=["cat", "dog"])
    assert found["Cat/1.png"] == ("train", "cat")
    assert found["dog /4.png"] == ("train", "dog")


def test_notes_beside_every_photo_may_be_labels(tmp_path):
    put(tmp_path, "ann/1.png", "bob/2.png")
    (tmp_path / "ann/1.txt").write_text("cat")
    assert len(planned(tmp_path)) == 2
    (tmp_path / "bob/2.txt").write_text("dog")
    with pytest.raises(BookclsError, match="labels=folders"):
        planned(tmp_path)


def test_the_settings_that_decide_at_the_command_line(adopt, tmp_path):
    put(tmp_path / "pets", "ann/1.png", "ann/2.png", "bob/3.png")
    text = "file,kind\nann/1.png,cat\nann/2.png,dog\nbob/3.png,cat\n"
    (tmp_path / "pets/my.csv").write_text(text)
    assert "label_column=NAME" in adopt("data.root=pets")[1]
    code, said = adopt("data.root=pets", "label_column=kind", "output=a")
    assert code == 0, said
    assert sorted(p.name for p in (tmp_path / "a/train").iterdir()) == ["cat", "dog"]
    code, said = adopt("data.root=pets", "labels=folders", "output=b")
    assert code == 0, said
    assert "my.csv: not used" in said
    assert sorted(p.name for p in (tmp_path / "b/train").iterdir()) == ["ann", "bob"]
    code, said = adopt("data.root=pets", "labels=folders", "classes=[ann,bob]")
    assert "classes=" in said.splitlines()[-2] + said.splitlines()[-1]
    assert adopt("data.root=pets", "labels=folders", "label_column=kind")[0] == 1
    assert adopt("data.root=pets", "label_column=what")[0] == 1
