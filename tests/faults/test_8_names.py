"""Promise 8: names that people really use, through every verb that reads photos."""

import csv
import os
import unicodedata

import pytest

from bookcls import check, predict, report, train
from bookcls.reporting.files import read_answers
from bookcls.storage.files import unescape_field
from conftest import TINY, draw
from victims import Victim, needs_fork, verb, warm

pytestmark = [needs_fork, pytest.mark.usefixtures("narrow")]

CLASSES = [
    "my books", "café", "本と猫", "🐱📚", "x" * 255, "<script>alert(1)<", "=1+1", "-x",
    "it's \"q\"", "a,b & c", "50% #1", "$x_1$", "[1] {a}", unicodedata.normalize("NFD", "né"),
    "CON", "null",
]  # fmt: skip
PHOTOS = [
    "IMG 0001.JPG", "写真 1.jpeg", "👩‍👩‍👧.PNG", unicodedata.normalize("NFD", "é") + ".WebP",
    "y" * 251 + ".png", "=2.BMP", "'=3.tif", "a;b,c.Tiff", "100%.jpg", "-r.png", "a\nb.png",
    "$HOME.jpg", "~.png", "<b>.jpg", "null.jpg", "a.b.c.png",
]  # fmt: skip
JUNK = [".DS_Store", "Thumbs.db", "desktop.ini", "._IMG 0001.JPG", ".hidden.jpg", "THUMBS.DB"]


@pytest.fixture
def named(tmp_path):
    """A dataset with these names; its own is no better."""
    root = tmp_path / "my photos 写真 [1] {é}, $x ~"
    names = []
    for number, name in enumerate(CLASSES):
        colour = (15 * number, 255 - 15 * number, 90)
        for i in range(2):
            seed = 10 * number + i
            draw(root / "train" / name / PHOTOS[(number + i) % len(PHOTOS)], colour, seed)
        for junk in JUNK:
            (root / "train" / name / junk).write_bytes(b"\0no photo")
        draw(root / "test" / PHOTOS[number], colour, 1000 + number)
        names.append((PHOTOS[number], name, name))
    for folder in (root, root / "train", root / "test"):
        (folder / ".DS_Store").write_bytes(b"\0")
        (folder / "Thumbs.db").write_bytes(b"\0")
        (folder / ".Trashes").mkdir()
    draw(tmp_path / "elsewhere.png", (1, 2, 3), 9999)
    (root / "train" / "café" / "link.png").symlink_to(tmp_path / "elsewhere.png")
    with (root / "test" / "labels.csv").open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, lineterminator="\r\n").writerows(
            [("file", "dominant", "accepted"), *names]
        )
    return root


def said(main, *words, cwd, code=0):
    victim = Victim(verb(main, *words, cwd=cwd), cwd / f"{main.__module__}.log")
    assert victim.wait() == code, victim.said
    assert "Traceback" not in victim.said
    return victim.said


def test_every_verb_takes_every_name(named, tmp_path):
    warm()
    run = tmp_path / "läufe 本" / "[1] {a}, b"
    words = (f"data.root={named}", "data.val_fraction=0")
    said(check.main, *words, "output=seen 本", cwd=tmp_path)
    said(train.main, *words, *TINY, "optim.epochs=1", f"hydra.run.dir={run}", cwd=tmp_path)
    answers = read_answers(run / "predictions.csv")
    assert {(a.file, a.dominant) for a in answers} == set(zip(PHOTOS, CLASSES, strict=True))
    assert set(answers[0].probs) == set(CLASSES)

    said(report.main, f"runs={run.parent}", cwd=tmp_path)
    for page in (run.parent / "report" / "report.html", tmp_path / "seen 本" / "check.html"):
        text = page.read_text(encoding="utf-8")
        assert "<script>alert" not in text
        assert "本と猫" in text

    said(predict.main, f"ckpt={run}", f"images={named}/test", cwd=tmp_path)
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {unescape_field(row["file"]) for row in rows} == set(PHOTOS)
    assert {unescape_field(row["answer"]) for row in rows} <= set(CLASSES)
    assert {row["error"] for row in rows} == {""}
    assert list(rows[0])[5:] == [f"prob_{name}" for name in sorted(CLASSES)]


@pytest.mark.faults
def test_pictures_of_every_name(named, tmp_path):
    from bookcls import cam

    run = tmp_path / "run"
    words = (f"data.root={named}", "data.val_fraction=0", *TINY, "optim.epochs=1")
    said(train.main, *words, f"hydra.run.dir={run}", cwd=tmp_path)
    said(cam.main, f"ckpt={run}", "size=32", "road=false", cwd=tmp_path)
    pictures = {p.name for p in (run / "cam").rglob("*.png")}
    assert len(pictures) >= len(PHOTOS)
    words = (f"ckpt={run}", f"images={named}/test", "cam=pictures")
    text = said(predict.main, *words, cwd=tmp_path)
    # There is no longer name than the longest photo's, so that its picture can have none.
    assert len(list((tmp_path / "pictures").rglob("*.png"))) == len(PHOTOS) - 1
    assert text.count("no picture  ") == text.count(f"no picture  {'y' * 251}.png: ") == 1


def test_links_that_lead_in_a_circle_are_named(photos, tmp_path):
    red = photos / "train" / "red"
    (red / "loop").symlink_to(photos / "train")
    (red / "self.jpg").symlink_to("self.jpg")
    (red / "gone.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(red / "pipe.jpg")
    words = (f"data.root={photos}",)
    for main in (check.main, train.main):
        text = said(main, *words, *(TINY if main is train.main else ()), cwd=tmp_path, code=1)
        for name in ("loop", "self.jpg", "gone.jpg", "pipe.jpg"):
            assert f"train/red/{name}: " in text, name
