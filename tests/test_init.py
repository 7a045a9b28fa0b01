"""Photos as people have them become the layout of train, and stay as they were."""

import csv
import hashlib
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from bookcls.config import project_path
from bookcls.data.dataset import read_folder
from bookcls.data.photos import decode_folder
from conftest import draw
from signs import SIGNS, make_signs
from test_check import stamp


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    return make_signs(tmp_path_factory.mktemp("rendered") / "flat", flat=True, num_train=5)


@pytest.fixture
def flat(rendered, tmp_path) -> Path:
    return shutil.copytree(rendered, tmp_path / "flat")


def contents(root: Path) -> dict[str, str]:
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(root.rglob("*"))
        if p.is_file()
    }


def counts(root: Path) -> dict[str, int]:
    """Photos by the folder that they lie in, as training reads them."""
    folder, _ = decode_folder(read_folder(root), 32, "squash", "error")
    paths = [s.path for s in folder.train] + [s.path for t in folder.tests.values() for s in t]
    names = [p.parent.relative_to(root).as_posix() for p in paths]
    return {name: names.count(name) for name in names}


def test_an_empty_layout(adopt, tmp_path):
    code, said = adopt("data.root=new", "classes=[cat,my dog]")
    assert code == 0
    folders = {p.relative_to(tmp_path / "new").as_posix() for p in (tmp_path / "new").rglob("*")}
    assert folders >= {"train/cat", "train/my dog", "test_easy/cat", "test_difficult/labels.csv"}
    assert said.index("bookcls.check data.root=") < said.index("bookcls.train experiment=laptop")
    for name in ("cat", "my dog"):
        draw(tmp_path / "new/train" / name / "a.png", (9, 99, 199), len(name))
        draw(tmp_path / "new/test_easy" / name / "b.png", (9, 99, 199), 50 + len(name))
    draw(tmp_path / "new/test_difficult/c.png", (1, 2, 3), 7)
    with (tmp_path / "new/test_difficult/labels.csv").open("a") as file:
        file.write("c.png,,cat;my dog\n")
    assert sum(counts(tmp_path / "new").values()) == 5


def test_without_names_of_classes_there_are_examples(adopt, tmp_path):
    (tmp_path / "empty").mkdir()
    code, said = adopt("data.root=empty")
    assert code == 0
    assert "rename them" in said
    assert (tmp_path / "empty/train/background").is_dir()


def test_class_folders_are_told_and_copied_only_when_asked(adopt, flat, tmp_path):
    (flat / "notes.txt").write_text("mine")
    (flat / "stop" / "deeper").mkdir()
    shutil.move(flat / "stop/stop_x_00.jpg", flat / "stop/deeper/STOP_x_01.jpg")
    draw(flat / "loose.png", (1, 2, 3), 0)
    before = contents(flat)
    code, said = adopt("data.root=flat")
    assert code == 0
    assert "a folder per class, no test photos" in said
    assert "notes.txt: not a photo" in said
    assert "loose.png: a photo without a class" in said
    assert "Nothing was written" in said
    assert {p.name for p in tmp_path.iterdir()} == {"flat"}
    code, said = adopt("data.root=flat", "output=new folder")
    assert code == 0
    assert contents(flat) == before
    new = tmp_path / "new folder"
    assert counts(new) == {f"train/{name}": 5 for name in SIGNS}
    assert set(contents(new).values()) == {
        digest for path, digest in before.items() if "/" in path
    }, "each photo is there, also the two whose names differ only by case"
    assert f"bookcls.check data.root='{new}'" in said
    assert {p.name for p in tmp_path.iterdir()} == {"flat", "new folder"}


@pytest.mark.parametrize("files", ["hardlink", "symlink"])
def test_links(adopt, flat, tmp_path, files):
    assert adopt("data.root=flat", "output=new", f"files={files}")[0] == 0
    old, new = flat / "stop/stop_x_00.jpg", tmp_path / "new/train/stop/stop_x_00.jpg"
    assert new.samefile(old)
    assert new.is_symlink() == (files == "symlink")
    assert counts(tmp_path / "new") == {f"train/{name}": 5 for name in SIGNS}


def test_held_out_photos_are_stratified_and_no_burst_or_copy_is_torn(adopt, flat, tmp_path):
    start = datetime(2026, 5, 1, 12)
    stop, give_way = flat / "stop", flat / "yield"
    for i in range(4):
        stamp(stop / f"stop_x_{i:02d}.jpg", start + timedelta(seconds=i))
    with Image.open(give_way / "yield_x_00.jpg") as image:
        for i in range(1, 4):
            image.rotate(90 * i).save(give_way / f"turned_{i}.png")
    shutil.copy(flat / "ahead/ahead_x_00.jpg", flat / "ahead/copy.jpg")
    for seed in range(3):
        new = tmp_path / f"new{seed}"
        words = ["data.root=flat", f"output={new}", "test_fraction=0.4", f"seed={seed}"]
        assert adopt(*words)[0] == 0
        held = {p.name for p in (new / "test").rglob("*.*")}
        assert {p.name for p in (new / "test").iterdir()} == set(SIGNS)
        assert len(held & {f"stop_x_{i:02d}.jpg" for i in range(4)}) in (0, 4)
        assert len(held & {"yield_x_00.jpg", "turned_1.png", "turned_2.png", "turned_3.png"}) in (
            0,
            4,
        )
        assert len(held & {"ahead_x_00.jpg", "copy.jpg"}) in (0, 2)
        assert counts(new)["test/crossing"] == 2
        groups = {s.group for s in read_folder(new).train if s.group}
        torn = [name for name in ("stop_x_00.jpg", "yield_x_00.jpg") if name not in held]
        assert len(groups) == len(torn), "what stays in train stays together there too"


def test_a_csv_file_of_labels(adopt, flat, tmp_path):
    rows = [(p.relative_to(flat).as_posix(), p.parent.name) for p in sorted(flat.rglob("*.jpg"))]
    images = tmp_path / "csv" / "images"
    for file, label in rows:
        (images / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(flat / file, images / file)
    for header in ("file,label", "filename,class"):
        lines = [header, *(f"images/{file},{label.upper()}" for file, label in rows)]
        (tmp_path / "csv/labels.csv").write_text("\n".join(lines), encoding="utf-8-sig")
        draw(images / "unknown.png", (1, 2, 3), 0)
        code, said = adopt("data.root=csv", f"output={header.partition(',')[0]}")
        assert code == 0
        assert "photos whose classes are in labels.csv" in said
        assert "images/unknown.png: no row in labels.csv" in said
        new = tmp_path / header.partition(",")[0]
        assert counts(new) == {f"train/{name.upper()}": 5 for name in SIGNS}


def test_a_csv_file_elsewhere(adopt, flat, tmp_path):
    (flat / "stop").rename(flat / "halt")
    with (tmp_path / "mine.csv").open("w", newline="") as file:
        paths = [*flat.glob("halt/*.jpg"), *flat.glob("yield/*.jpg")]
        table = [(path, path.parent.name) for path in paths]
        csv.writer(file).writerows([("path", "label"), *table])
    code, said = adopt("data.root=flat", "labels=mine.csv", "output=new")
    assert code == 0, said
    assert counts(tmp_path / "new") == {"train/halt": 5, "train/yield": 5}
    assert "left out: 15" in said


@pytest.mark.parametrize(
    ("val", "test"), [("val", "test"), ("valid", None), ("Validation", "Test")]
)
def test_trees_of_other_libraries(adopt, rendered, tmp_path, val, test):
    root = tmp_path / "tree"
    for i, split in enumerate(["train", val, *([test] if test else [])]):
        for name in SIGNS:
            (root / split / name).mkdir(parents=True)
            shutil.copy(rendered / name / f"{name}_x_{i:02d}.jpg", root / split / name / "1.jpg")
    (root / "models").mkdir()
    (root / "train" / "train.cache").write_text("x")
    before = contents(root)
    code, said = adopt("data.root=tree", "output=new")
    assert code == 0, said
    assert f"train/, {val}/" in said
    assert "models: neither train, validation nor test" in said
    assert "train/train.cache: not a photo" in said
    num_train = 2 if test else 1
    expected = {f"train/{name}": num_train for name in SIGNS}
    assert counts(tmp_path / "new") == expected | {f"test/{name}": 1 for name in SIGNS}
    assert ("will train too" if test else "will be test photos") in said
    assert contents(root) == before


def test_our_own_layout_needs_nothing_and_can_be_taken_over(adopt, tmp_path):
    sample = project_path("dataset/sample")
    code, said = adopt(f"data.root={sample}")
    assert code == 0
    assert "nothing to do" in said
    assert "test_difficult/ with its labels.csv is used as it is" in said
    assert adopt(f"data.root={sample}", "output=new", "files=symlink")[0] == 0
    old, new = read_folder(Path(sample)), read_folder(tmp_path / "new")
    assert new.fingerprint() == old.fingerprint()


def test_groups_that_the_user_gave_are_kept(adopt, flat, tmp_path):
    (tmp_path / "mine").mkdir()
    flat.rename(tmp_path / "mine/train")
    rows = "".join(f"train/stop/stop_x_{i:02d}.jpg,walk\n" for i in range(4))
    (tmp_path / "mine/groups.csv").write_text("file,group\n" + rows)
    assert adopt("data.root=mine", "output=new", "test_fraction=0.4")[0] == 0
    torn = len(list((tmp_path / "new/test/stop").iterdir()))
    assert torn in (1, 4)
    assert len([s for s in read_folder(tmp_path / "new").train if s.group]) == (4, 0)[torn == 4]
    (tmp_path / "mine/groups.csv").write_text("file,group\ntrain/stop/gone.jpg,walk\n")
    code, said = adopt("data.root=mine", "output=new2", "test_fraction=0.4")
    assert code == 1
    assert "there is no training photo train/stop/gone.jpg" in said


def test_likeness_joins_the_groups_that_the_user_gave(adopt, flat, tmp_path):
    (tmp_path / "mine").mkdir()
    flat.rename(tmp_path / "mine/train")
    stop, ahead = tmp_path / "mine/train/stop", tmp_path / "mine/train/ahead"
    rows = "".join(f"train/stop/stop_x_{i:02d}.jpg,walk\n" for i in range(2))
    (tmp_path / "mine/groups.csv").write_text("file,group\n" + rows)
    for folder in (stop, ahead):
        with Image.open(folder / f"{folder.name}_x_00.jpg") as image:
            image.rotate(90).save(folder / "turned.png")
    assert adopt("data.root=mine", "output=new", "test_fraction=0.2")[0] == 0
    held = {p.name for p in (tmp_path / "new/test").rglob("*.*")}
    for together in (
        {"stop_x_00.jpg", "stop_x_01.jpg", "turned.png"},
        {"ahead_x_00.jpg", "turned.png"},
    ):
        assert len(held & together) in (0, len(together))


def test_groups_of_a_tree_with_val_are_kept_and_of_other_layouts_named(adopt, flat, tmp_path):
    rows = "file,group\ntrain/stop/stop_x_00.jpg,a\ntrain/stop/stop_x_01.jpg,a\n"
    (flat / "groups.csv").write_text(rows)
    assert "groups.csv: only read next to a folder train/" in adopt("data.root=flat")[1]
    (tmp_path / "tree").mkdir()
    (flat / "groups.csv").rename(tmp_path / "tree/groups.csv")
    flat.rename(tmp_path / "tree/train")
    for name in ("stop", "yield"):
        draw(tmp_path / f"tree/val/{name}/v.png", (1, 2, 3), len(name))
    assert adopt("data.root=tree", "output=new")[0] == 0
    assert (tmp_path / "new/groups.csv").read_text() == rows


def test_links_among_the_photos(adopt, flat, tmp_path):
    (flat / "stop/again").symlink_to(flat)
    real = (flat / "yield/yield_x_00.jpg").rename(tmp_path / "elsewhere.jpg")
    (flat / "yield/yield_x_00.jpg").symlink_to(real)
    assert adopt("data.root=flat/stop/..", "output=new", "files=hardlink")[0] == 0
    linked = tmp_path / "new/train/yield/yield_x_00.jpg"
    assert linked.samefile(real)
    assert not linked.is_symlink()
    assert counts(tmp_path / "new")["train/yield"] == 5


def test_the_command_that_is_printed_names_a_place_beside_the_photos(adopt, flat, monkeypatch):
    monkeypatch.chdir(flat)
    assert f"output={flat.with_name('flat_bookcls')}" in adopt("data.root=.")[1]


def test_bad_input_in_words(adopt, flat, tmp_path):
    draw(tmp_path / "one/cat/a.png", (1, 2, 3), 0)
    draw(tmp_path / "loose/a.png", (1, 2, 3), 0)
    for name in ("a", "b"):
        draw(tmp_path / f"case/{name}.png", (1, 2, 3), 0)
    (tmp_path / "case/labels.csv").write_text("file,label\na.png,Cat\nb.png,cat\n")
    for name in ("images/train", "labels/train"):
        draw(tmp_path / f"detect/{name}/a.png", (1, 2, 3), 0)
    for name in ("train/a", "train/b", "test/c"):
        draw(tmp_path / f"unknown/{name}/a.png", (1, 2, 3), 0)
    (tmp_path / "rows.csv").write_text("file,label\nno.jpg,cat\nflat/stop/stop_x_00.jpg,\n")
    twice = "flat/stop/stop_x_00.jpg,{}\n"
    (tmp_path / "twice.csv").write_text("file,label\n" + twice.format("a") + twice.format("b"))
    (tmp_path / "photo.csv").write_bytes(b"\xff\xfe\x00")
    rows = "flat/stop/stop_x_00.jpg,a\n" * 1000
    (tmp_path / "latin.csv").write_bytes(
        f"file,label\n{rows}flat/a.jpg,caf\xe9\n".encode("latin-1")
    )
    (tmp_path / "text.csv").write_text("file,label\nrows.csv,cat\n")
    for words, said in [
        (["data.root=gone", "output=new"], "does not exist, so there is nothing to take over"),
        (["data.root=flat", "output=flat/new"], "is inside data.root"),
        (["data.root=flat", "output=one"], "not an empty folder"),
        (["data.root=mistyped"], "there is no such folder"),
        (["data.root=flat", "classes=[a,b]"], "there are no training photos of a, b"),
        (["data.root=flat/stop/stop_x_00.jpg"], "is a file"),
        (["data.root=flat", "labels=rows.csv"], "rows.csv line 2: there is no file no.jpg"),
        (["data.root=flat", "labels=rows.csv"], "rows.csv line 3: no class for flat/stop"),
        (["data.root=flat", "labels=twice.csv"], "is b here and a above"),
        (["data.root=flat", "labels=photo.csv"], "is not text in UTF-8, UTF-16 or Windows-1252"),
        (["data.root=flat", "labels=latin.csv"], "line 1002: there is no file flat/a.jpg"),
        (["data.root=flat", "labels=text.csv"], "text.csv line 2: rows.csv is not a photo"),
        (["data.root=new", "classes=['cat ',dog]"], "'cat ': a class name must not contain"),
        (["data.root=new", "classes=['caf\u00e9','cafe\u0301']"], "differ only in case"),
        (["data.root=flat", "labels=no.csv"], "there is no such file"),
        (["data.root=flat", "test_fraction=1"], "below 1"),
        (["data.root=flat", "files=move"], "choose one of copy, hardlink, symlink"),
        (["data.root=one"], "one class, cat"),
        (["data.root=loose"], "1 photos without a class"),
        (["data.root=case"], "Cat and cat: two classes whose names differ only in case"),
        (["data.root=case", "output=new"], "differ only in case"),
        (["data.root=detect"], "object detection"),
        (["data.root=unknown"], "c: a class of test photos that has no training photos"),
        (["data.root=unknown", "test_fraction=0.2"], "c: a class of test photos"),
        (["data.root=new", "classes=[cat,Cat]"], "differ only in case"),
        (["data.root=new", "classes=[cat]"], "two or more"),
        (["data.root=' '"], "data.root is empty"),
        ([], "data.root"),
    ]:
        code, told = adopt(*words)
        assert code == 1, words
        assert said in told, (words, told)
    assert not (tmp_path / "new").exists()


def test_a_class_of_one_photo_cannot_be_held_out(adopt, flat, tmp_path):
    for path in sorted((flat / "stop").iterdir())[1:]:
        path.unlink()
    code, said = adopt("data.root=flat", "output=new", "test_fraction=0.2")
    assert code == 1
    assert "class stop has a single photo, so none can be held out for testing" in said
    assert not (tmp_path / "new").exists()


def test_what_cannot_be_written_leaves_nothing_behind(adopt, flat, tmp_path, monkeypatch):
    def full(source, target):
        if "yield" in str(target):
            raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(shutil, "copy2", full)
    code, said = adopt("data.root=flat", "output=new")
    assert code == 1
    assert "nothing was written" in said
    assert "No space left" in said
    assert {p.name for p in tmp_path.iterdir()} == {"flat"}
