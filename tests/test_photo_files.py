"""What counts as a photo, and what is passed over among photos."""

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bookcls import check, predict, runs
from bookcls.data import images, leavings, photo_files
from bookcls.data.dataset import read_folder
from bookcls.data.photo_files import OTHER_SUFFIXES, RAW_SUFFIXES, is_photo
from bookcls.data.photos import decode_folder
from bookcls.data.sources import count_photos, find_source, list_photos
from bookcls.errors import BookclsError
from bookcls.pretraining.settings import CARD
from conftest import draw

RED = (200, 40, 30)
FORMATS = {
    "photo.jpg?itok=1": "JPEG",
    "a.jpg!d": "JPEG",
    "b.jfif": "JPEG",
    "c.jpe": "JPEG",
    "no_suffix": "JPEG",
    "IMG_2024.05.12": "JPEG",
    "mislabelled.png": "JPEG",
    "d.gif": "GIF",
    "e.avif": "AVIF",
    "f.tmp": "WEBP",
    "g.data": "PNG",
    "h.1": "BMP",
    "i.large": "TIFF",
}
NO_PHOTOS = {
    "notes": b"hello",
    "empty": b"",
    "BMW": b"BMW is a car, and its name begins like that of a bitmap",
    "clip.3gp": b"\0\0\0\x18ftyp3gp4\0\0\0\0",
    "riff.bin": b"RIFF\0\0\0\0WAVE",
    "list.txt": b"\xff\xd8\xff\xe0",
    "raw.CR2": b"II*\0\x10\0\0\0CR\2\0",
    "raw.dng": b"II*\0\x08\0\0\0",
}


def save(path: Path, kind: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(0, 255, (40, 48, 3), np.uint8)
    Image.fromarray(pixels).save(path, format=kind)
    return path


def save_all(folder: Path) -> None:
    for name, kind in FORMATS.items():
        save(folder / name, kind)
    for name, content in NO_PHOTOS.items():
        (folder / name).write_bytes(content)


def listed(images: Path | str) -> list[str]:
    return [name for name, _ in list_photos(find_source(str(images)))]


def write_run(folder: Path, *others: str) -> Path:
    """The files by which a run is recognised, and pictures in it."""
    for name in ("config.yaml", "environment.json", *others):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    draw(folder / "scenes.png", RED, 1)
    draw(folder / "cam" / "test_easy" / "a.png", RED, 2)
    return folder


def test_the_content_says_what_a_file_is(tmp_path):
    save_all(tmp_path)
    assert {p.name for p in tmp_path.iterdir() if is_photo(p)} == set(FORMATS)
    for name in FORMATS:
        assert images.load_image(tmp_path / name).size == (48, 40)


def test_a_text_called_jpg_is_named_by_the_decoder(tmp_path):
    (tmp_path / "a.jpg").write_text("no photo")
    assert is_photo(tmp_path / "a.jpg")
    with pytest.raises(images.ImageError, match="not an image"):
        images.load_image(tmp_path / "a.jpg")


def test_known_suffixes_are_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(photo_files, "read_head", lambda path: pytest.fail(f"opened {path}"))
    for suffix in (*images.SUFFIXES, *OTHER_SUFFIXES, *RAW_SUFFIXES):
        assert is_photo(tmp_path / f"a{suffix}") == (suffix in images.SUFFIXES)
        assert is_photo(tmp_path / f"a{suffix.upper()}") == (suffix in images.SUFFIXES)
    assert not set(images.SUFFIXES) & {*OTHER_SUFFIXES, *RAW_SUFFIXES}


def test_pipes_and_broken_links_without_a_suffix_are_no_photos(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    assert not any(map(is_photo, tmp_path.iterdir()))


def test_avif_that_pillow_cannot_read_is_explained(tmp_path, monkeypatch):
    path = save(tmp_path / "a.avif", "AVIF")
    monkeypatch.setattr(photo_files, "reads_avif", lambda: False)
    assert not is_photo(path)
    assert "AVIF" in photo_files.explain_other(path)
    assert "export it as JPEG" in photo_files.explain_other(tmp_path / "a.NEF")


@pytest.mark.parametrize("brands", [b"avif\0\0\0\0mif1", b"mif1\0\0\0\0avif", b"avis\0\0\0\0msf1"])
def test_avif_is_told_from_heic_by_its_brands(brands):
    head = b"\0\0\0\x14ftyp" + brands + b"avif"
    assert images.has_avif_brand(head)
    assert not images.has_avif_brand(head.replace(b"avi", b"hei")[:20])
    assert not images.has_avif_brand(b"")


def test_heic_still_opens(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.from_pillow(Image.new("RGB", (64, 48), RED)).save(tmp_path / "a.heic")
    (tmp_path / "a.heic").rename(tmp_path / "phone")
    assert is_photo(tmp_path / "phone")
    assert images.load_image(tmp_path / "phone").size == (64, 48)


def test_train_and_check_and_predict_list_the_same(photos, tmp_path, run_verb, capsys):
    red = photos / "train" / "red"
    before = len(list(red.iterdir()))
    for name, kind in FORMATS.items():
        save(red / name, kind)
    folder, decoded = decode_folder(read_folder(photos), 32, "letterbox", "error")
    assert sum(s.label == folder.class_names.index("red") for s in folder.train) == (
        before + len(FORMATS)
    )
    assert {red / name for name in FORMATS} <= set(decoded)
    assert set(FORMATS) <= set(listed(red))
    assert run_verb(check.main, f"data.root={photos}") in (0, 1)
    (found,) = [Path(p) for p in tmp_path.glob("checks/*/check.json")]
    names = {f["name"] for f in json.loads(found.read_text())["findings"]}
    assert not {"structure", "unreadable"} & names

    for name, content in NO_PHOTOS.items():
        (red / name).write_bytes(content)
    problems = [p for p in read_folder(photos).problems if "train/red" in p]
    assert {p.partition(":")[0] for p in problems} == {f"train/red/{name}" for name in NO_PHOTOS}
    assert any("raw.CR2: a camera's raw photo" in p and "JPEG" in p for p in problems)


def test_flat_test_photos_may_have_any_name(photos):
    folder = photos / "test_difficult"
    name = next(p.name for p in folder.iterdir() if p.name != "labels.csv")
    (folder / name).rename(folder / "photo.jpg?itok=1")
    table = folder / "labels.csv"
    table.write_text(table.read_text().replace(name, "photo.jpg?itok=1"))
    found = read_folder(photos)
    assert not found.problems
    assert len(found.tests["difficult"]) == 20
    (folder / "raw.dng").touch()
    assert any("raw.dng: a camera's raw" in p for p in read_folder(photos).problems)


def test_what_is_ignored_is_counted(tmp_path):
    save_all(tmp_path)
    counts = count_photos(find_source(str(tmp_path)))
    assert counts.num_photos == len(FORMATS)
    assert counts.others == {
        "no suffix": 3, ".3gp": 1, ".bin": 1, ".txt": 1, ".cr2": 1, ".dng": 1
    }  # fmt: skip
    assert listed(f"{tmp_path}/*.jpg*") == ["a.jpg!d", "photo.jpg?itok=1"]
    for name in FORMATS:
        (tmp_path / name).unlink()
    with pytest.raises(BookclsError, match=r"no photo in it .*raw photos as JPEG"):
        count_photos(find_source(str(tmp_path)))


def scatter(folder: Path) -> None:
    """Leavings of ten kinds; a photo, had they been taken for one."""
    for name in ("@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "__MACOSX/a.jpg", ".thumbs/a.jpg",
                 "._a.jpg", ".hidden.png", "#recycle/b.jpg"):  # fmt: skip
        draw(folder / name, RED, 3)
    (folder / ".DS_Store").touch()
    (folder / "Thumbs.db").touch()


def test_predict_passes_over_leavings(tmp_path, monkeypatch):
    scatter(tmp_path)
    draw(tmp_path / "runs" / "mine.jpg", RED, 1)
    draw(tmp_path / "a.jpg", RED, 2)
    write_run(tmp_path / "runs" / "2026-01-01" / "12-00-00", "metrics.json")
    write_run(tmp_path / "results" / "x")
    draw(tmp_path / "tuning" / "2026" / "trials.png", RED, 1)
    for name in ("config.yaml", "environment.json"):
        (tmp_path / "tuning" / "2026" / name).touch()
    draw(tmp_path / "maps" / "test" / "a.png", RED, 1)
    (tmp_path / "maps" / "cam.json").touch()
    draw(tmp_path / "report" / "freeze.png", RED, 1)
    (tmp_path / "report" / "report.html").touch()
    (tmp_path / "report" / "results.csv").touch()
    monkeypatch.chdir(tmp_path)
    assert listed(".") == listed("**/*") == listed("**/*.*g") == ["a.jpg", "runs/mine.jpg"]
    counts = count_photos(find_source("."))
    assert counts.leavings.counts == {
        "hidden": 3, "of other programs": 3, "with results of bookcls": 5
    }  # fmt: skip
    assert str(counts.leavings) == (
        "3 of other programs (#recycle), 3 hidden (._a.jpg), 5 with results of bookcls (maps)"
    )
    # What is named is read.
    assert "scenes.png" in listed("runs/2026-01-01/12-00-00")
    assert listed("maps") == ["test/a.png"]


def test_a_folder_of_leavings_alone_says_so(tmp_path):
    scatter(tmp_path)
    with pytest.raises(BookclsError, match=r"no photo in it .*Skipped: .*of other programs"):
        count_photos(find_source(str(tmp_path)))


def test_training_passes_over_leavings(photos, run_verb, capsys):
    expected = read_folder(photos)
    for folder in ("train", "train/red", "test_easy", "test_easy/red", "test_difficult"):
        scatter(photos / folder)
    write_run(photos / "train" / "red" / "old run")
    write_run(photos / "train" / "runs" / "2026-01-01" / "12-00-00", "metrics.json")
    found = read_folder(photos)
    assert found.problems == []
    assert found.fingerprint() == expected.fingerprint()
    assert found.leavings.counts == {
        "hidden": 3 * 5, "of other programs": 3 * 5, "with results of bookcls": 2
    }  # fmt: skip
    assert run_verb(check.main, f"data.root={photos}") in (0, 1)
    assert capsys.readouterr().out.count("15 of other programs (#recycle)") == 1


def test_a_class_may_be_called_runs(photos):
    for name in ("runs", "checks", "tuning", "predictions", "evaluations"):
        shutil.copytree(photos / "train" / "red", photos / "train" / name)
        for i, path in enumerate(sorted((photos / "train" / name).iterdir())):
            draw(path, RED, hash(name) % 1000 + i)
    found = read_folder(photos)
    assert {"runs", "checks", "tuning", "predictions", "evaluations"} <= set(found.class_names)
    counts = Counter(found.class_names[s.label] for s in found.train)
    assert counts["runs"] == counts["red"]


def test_a_photo_and_a_link_to_it_are_one(tmp_path):
    folder = tmp_path / "photos"
    draw(folder / "b.jpg", RED, 1)
    draw(folder / "x" / "c.jpg", RED, 2)
    draw(tmp_path / "outside.jpg", RED, 3)
    draw(folder / ".hidden" / "d.jpg", RED, 4)
    save(folder / "blob.txt", "JPEG")
    for link, target in {
        "a.jpg": "b.jpg", "z.jpg": "x/c.jpg", "o1.jpg": "../outside.jpg", "o2.jpg": "o1.jpg",
        "h.jpg": ".hidden/d.jpg", "t.jpg": "blob.txt", "gone.jpg": "nowhere.jpg",
    }.items():  # fmt: skip
        (folder / link).symlink_to(target)
    (folder / "y").symlink_to("x")
    assert listed(folder) == ["b.jpg", "gone.jpg", "h.jpg", "o1.jpg", "t.jpg", "x/c.jpg"]
    assert count_photos(find_source(str(folder))).leavings.counts[leavings.LINKS] == 3
    # A link whose target does not match counts.
    assert listed(f"{folder}/a*") == ["a.jpg"]


def test_a_photo_and_a_link_to_it_train_as_one(photos):
    red = photos / "train" / "red"
    expected = read_folder(photos)
    name = sorted(p.name for p in red.iterdir())[0]
    (red / "0 link.png").symlink_to(name)
    (red / "zz link.png").symlink_to("0 link.png")
    found = read_folder(photos)
    assert found.problems == []
    assert found.fingerprint() == expected.fingerprint()
    assert found.leavings.counts == {leavings.LINKS: 2}
    # In another class, it remains a contradiction.
    (photos / "train" / "blue" / "link.png").symlink_to(red / name)
    assert any("the same photo as" in p for p in read_folder(photos).problems)


def test_names_are_those_of_run_folders():
    assert leavings.CONFIG == runs.CONFIG
    assert {runs.METRICS, runs.ENVIRONMENT, runs.LAST, CARD} == set(leavings.WITH_CONFIG)
    assert leavings.MAPS == runs.CAM_JSON


def test_pictures_of_predict_are_no_photos_later(tmp_path, monkeypatch):
    draw(tmp_path / "a.jpg", RED, 1)
    draw(tmp_path / "seen" / "a.jpg.png", RED, 1)
    (tmp_path / "seen" / leavings.PICTURES).touch()
    assert listed(tmp_path) == ["a.jpg"]
    assert predict.resolve_cam_folder(str(tmp_path.parent / "other"), find_source(str(tmp_path)))
