"""Answers without labels: the same as evaluate's, for every photo that can be read."""

import csv
import functools
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import bookcls
from bookcls import evaluate, predict, runs
from bookcls.data import images
from bookcls.data.held_out import HELD_OUT, write_held_out
from bookcls.data.samples import Sample
from bookcls.data.sources import find_source, list_photos
from bookcls.errors import BookclsError
from bookcls.explaining import panels
from bookcls.predicting.decoding import decode_ahead
from bookcls.predicting.pictures import Pictures
from bookcls.predicting.table import open_table
from bookcls.predicting.threshold import find_threshold, lowest_threshold
from bookcls.training.checkpoint import load_classifier
from bookcls.training.classifier import Classifier
from conftest import CLASSES, NARROW, draw

RED = (220, 50, 40)


@pytest.fixture(scope="module")
def run(tmp_path_factory, shared_photos):
    """A run folder as far as the verb reads it, of a narrow model that is not all too sure."""
    import torchvision

    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(torchvision.models.vgg.cfgs, "D", NARROW)
        classifier = Classifier(list(CLASSES), image_size=32)
        for parameter in classifier.model.head.parameters():
            parameter.data *= 3
        state = {
            "hyper_parameters": dict(classifier.hparams),
            "state_dict": classifier.state_dict(),
        }
        torch.save(state, folder / runs.BEST)
        (folder / runs.CONFIG).write_text(f"data:\n  root: {shared_photos}\n  batch_size: 3\n")
        (folder / runs.METRICS).write_text("{}")
        yield folder


loaded = functools.cache(load_classifier)
"""Initialising VGG16 takes a second; nothing here changes anything in it."""


@pytest.fixture(autouse=True)
def narrow_and_once(narrow, monkeypatch):
    """Whatever loads the run builds the same narrow network."""
    monkeypatch.setattr("bookcls.predicting.predictor.load_classifier", loaded)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def probs_of(row: dict[str, str]) -> list[float]:
    return [float(row[f"prob_{name}"]) for name in CLASSES]


def test_answers_are_those_of_evaluate(run, shared_photos, run_verb, tmp_path, capsys):
    tested = tmp_path / "tested"
    assert run_verb(evaluate.main, f"ckpt={run}", f"hydra.run.dir={tested}") == 0
    expected = [r for r in read_csv(tested / "predictions.csv") if r["split"] == "test_difficult"]
    photos = shared_photos / "test_difficult"
    capsys.readouterr()
    assert run_verb(predict.main, f"ckpt={run}", f"images={photos}", "batch_size=7") == 0
    rows = read_csv(tmp_path / "predictions.csv")
    assert [r["file"] for r in rows] == [r["file"] for r in expected]
    assert [r["answer"] for r in rows] == [r["pred"] for r in expected]
    np.testing.assert_allclose(
        [probs_of(r) for r in rows], [probs_of(r) for r in expected], atol=1e-5
    )
    assert {r["error"] for r in rows} == {""}
    assert all((float(r["probability"]) < 0.5) == (r["unsure"] == "1") for r in rows)
    out = capsys.readouterr().out
    assert "ignored: 1 x .csv" in out
    assert "unsure   below 0.5, given as a number" in out
    assert "│ total      │     20 │" in out

    found = bookcls.load(run).predict([photos / r["file"] for r in expected[:5]])
    np.testing.assert_allclose(
        [list(one.probs.values()) for one in found], [probs_of(r) for r in expected[:5]], atol=1e-5
    )
    assert list(found[0].probs) == list(CLASSES)
    assert found[0].probability == max(found[0].probs.values()) == found[0].probs[found[0].answer]


def spoil(folder: Path) -> dict[str, str]:
    """Files that cannot be answered, each with what is to be said of it."""
    whole = draw(folder / "whole.jpg", RED, 1, (400, 300)).read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").touch()
    (folder / "text.jpeg").write_text("no photo")
    (folder / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    Image.new("1", (2000, 1000)).save(folder / "huge.png")
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    os.mkfifo(folder / "pipe.jpg")
    return {
        "cut.jpg": "truncated", "empty.png": "empty file (0 bytes)", "text.jpeg": "not an image",
        "phone.HEIC": images.HEIC_ADVICE, "gone.jpg": "no such file",
        "huge.png": "2000x1000 pixels; the limit is 1 megapixels: save it at a smaller size",
        "pipe.jpg": "not a file",
    }  # fmt: skip


def test_a_bad_photo_has_its_reason_and_the_others_are_answered(
    run, run_verb, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(images, "MAX_PIXELS", 10**6)
    monkeypatch.setattr(images, "register_heic", lambda: False)
    folder = tmp_path / "photos"
    bad = spoil(folder)
    assert run_verb(predict.main, f"ckpt={run}", "images=photos", "batch_size=2") == 0
    rows = {row["file"]: row for row in read_csv(tmp_path / "predictions.csv")}
    assert {name: row["error"] for name, row in rows.items()} == {**bad, "whole.jpg": ""}
    assert rows["whole.jpg"]["answer"] in CLASSES
    assert rows["cut.jpg"]["unsure"] == rows["cut.jpg"]["prob_red"] == ""
    out = capsys.readouterr().out
    assert "could not be read │      7 │" in out
    assert "not read  cut.jpg: truncated" in out
    assert "and 2 more" in out
    assert [p.name for p in tmp_path.glob("predictions*")] == ["predictions.csv"]

    (folder / "whole.jpg").unlink()
    assert run_verb(predict.main, f"ckpt={run}", "images=photos", "output=none.csv") == 1
    assert "none of these photos can be read" in capsys.readouterr().err
    assert len(read_csv(tmp_path / "none.csv")) == 7


def test_a_photo_that_vanishes_meanwhile_is_an_error_of_its_own(run, tmp_path):
    photos = [draw(tmp_path / f"{i}.png", RED, i) for i in range(12)]

    def vanishing():
        for i, path in enumerate(photos):
            if i == 4:
                path.unlink()
            yield path.name, path

    found = list(bookcls.load(run, batch_size=3).stream(vanishing()))
    assert [one.error for one in found] == ["no such file" if i == 4 else "" for i in range(12)]


def test_too_little_memory_is_explained(run, tmp_path, monkeypatch):
    path = draw(tmp_path / "a.png", RED, 1)
    model = bookcls.load(run)
    for said in ("DefaultCPUAllocator: can't allocate memory", "MPS backend out of memory"):

        def full(images, said=said):
            raise RuntimeError(said)

        monkeypatch.setattr(model, "probs", full)
        with pytest.raises(BookclsError, match="16 photos of 32 px: give a lower batch_size="):
            model.predict(path)


def test_only_a_few_photos_are_decoded_ahead(tmp_path):
    path = draw(tmp_path / "a.png", RED, 1)
    taken = []

    def photos():
        for i in range(50):
            taken.append(i)
            yield str(i), path

    ahead = decode_ahead(photos(), 32, "letterbox", 4)
    assert [name for name, _ in (next(ahead) for _ in range(3))] == ["0", "1", "2"]
    assert len(taken) <= 3 + 4
    ahead.close()


def test_names_are_kept_and_no_spreadsheet_runs_them(run, run_verb, tmp_path, capsys):
    names = ["=1+1.jpg", "@x.png", "a b/本 猫 🐱.PNG", "-1.jpeg", "a b/ß, \"q\".JPG"]  # fmt: skip
    for i, name in enumerate(names):
        draw(tmp_path / "my photos" / name, RED, i)
    for hidden in (".hidden.jpg", "Thumbs.db", ".DS_Store", ".trash/a.jpg"):
        (tmp_path / "my photos" / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / "my photos" / hidden).write_bytes(b"no")
    (tmp_path / "my photos" / "a b" / "loop").symlink_to(tmp_path / "my photos")
    (tmp_path / "my photos" / "self").symlink_to("self")
    output = "output=out 本/table.csv"
    assert run_verb(predict.main, f"ckpt={run}", "images=my photos", output) == 0
    rows = read_csv(tmp_path / "out 本" / "table.csv")
    assert {r["file"] for r in rows} == {f"'{n}" if n[0] in "=@-" else n for n in names}
    assert {r["error"] for r in rows} == {""}
    assert len(rows) == len(names)
    assert "skipped: 2 hidden (.hidden.jpg)\n" in capsys.readouterr().out


def test_globs(tmp_path):
    for name in ("a/1.JPG", "a/2.png", "a/b/3.jpg", "c/4.jpg", "a[1]/5.jpg", "a/.x/6.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def found(pattern):
        return [name for name, _ in list_photos(find_source(f"{tmp_path}/{pattern}"))]

    assert found("a/*.jpg") == ["1.JPG"]
    assert found("*/*.jpg") == ["a/1.JPG", "a[1]/5.jpg", "c/4.jpg"]
    assert found("a/**/*.jpg") == ["1.JPG", "b/3.jpg"]
    assert found("**/[34].jpg") == ["a/b/3.jpg", "c/4.jpg"]
    assert found("a/**") == found("a") == ["1.JPG", "2.png", "b/3.jpg"]
    assert found("a[1]") == ["5.jpg"]
    assert found("c/4.jpg") == ["4.jpg"]
    (tmp_path / "c" / "notes.txt").touch()
    (tmp_path / "c" / "predictions.csv.7.part").touch()
    assert found("c/*") == found("c/[n4p]*") == ["4.jpg"]
    assert found("c/*.txt") == ["notes.txt"]

    # A folder that is first seen under a link, where the pattern does not match; and a loop.
    (tmp_path / "a" / "a").symlink_to(tmp_path / "a" / "b")
    (tmp_path / "a" / "b" / "z").symlink_to(tmp_path / "a")
    assert found("a/**/b/*.jpg") == ["b/3.jpg"]
    assert sorted(Path(name).name for name in found("a")) == ["1.JPG", "2.png", "3.jpg"]


def test_pictures_may_lie_beside_photos_that_are_not_looked_for_there(tmp_path):
    (tmp_path / "photos" / "x").mkdir(parents=True)
    for pattern in ("*.jpg", "**/*.jpg", "*", "x/*.png"):
        source = find_source(f"{tmp_path}/photos/{pattern}")
        assert predict.resolve_cam_folder(str(tmp_path / "photos" / "cam"), source)
    source = find_source(f"{tmp_path}/photos/x/*.png")
    with pytest.raises(BookclsError, match="mistaken for photos"):
        predict.resolve_cam_folder(str(tmp_path / "photos" / "x"), source)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["images=nothing"], "there is no such photo or folder"),
        (["images=photos/*.tif"], "photos/*.tif: no photo matches (supported: .jpg"),
        (["images=texts"], "no photo in it (supported: .jpg"),
        (["images=texts"], "It contains 1 x .txt."),
        ([], "not set: images. Give images=DIR"),
        (["images=photos", "rotations=3"], "rotations=3: choose 1, 2 (also upside down) or 4"),
        (["images=photos", "unsure=1.5"], "unsure=1.5: must be between 0 and 1"),
        (["images=photos", "unsure=high"], "neither a number from 0 to 1 nor a folder"),
        (["images=photos", "unsure=texts"], "texts contains no held_out.csv"),
        (["images=photos", "cam=photos/cam"], "would be mistaken for photos"),
        (["images=photos/**/a*", "cam=photos/cam"], "would be mistaken for photos"),
        (["images=texts/*"], "no photo matches (supported: .jpg .jpeg .png .webp .bmp"),
        (["images=photos", "output=photos"], "is a folder"),
        (["images=photos", "output=texts/a.txt"], "contains something else"),
        (["images=photos", "ckpt=null"], "contains no finished run"),
    ],
)
def test_bad_settings_are_explained(run, run_verb, tmp_path, capsys, arguments, said):
    draw(tmp_path / "photos" / "a.jpg", RED, 1)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("split,file\n")
    assert run_verb(predict.main, f"ckpt={run}", *arguments) == 1
    assert said in capsys.readouterr().err


def test_rotations_average_quarter_turns(run, tmp_path):
    path = draw(tmp_path / "a.png", RED, 1, (32, 32))  # not resized, which is not symmetric
    pixels = np.asarray(Image.open(path)).copy()
    pixels[:12, :20] = (250, 250, 250)
    Image.fromarray(pixels).save(path)
    turned = [np.rot90(pixels, k) for k in range(4)]
    plain = [list(one.probs.values()) for one in bookcls.load(run).predict(turned)]
    assert np.ptp(plain, axis=0).max() > 1e-3  # else there would be nothing to average
    for rotations, step in ((2, 2), (4, 1)):
        (found,) = bookcls.load(run, rotations=rotations).predict(str(path))
        expected = np.mean(plain[::step], axis=0)
        np.testing.assert_allclose(list(found.probs.values()), expected, atol=1e-5)


def test_images_in_memory_are_answered_like_files(run, tmp_path):
    path = draw(tmp_path / "a.png", RED, 1)
    rotated = tmp_path / "rotated.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.open(path).rotate(90, expand=True).save(rotated, exif=exif)
    model = bookcls.load(run)
    opened = Image.open(path)
    array = np.asarray(Image.open(path))
    found = model.predict([path, opened, opened, array, rotated, Image.open(rotated)])
    probs = np.array([list(one.probs.values()) for one in found])
    np.testing.assert_allclose(probs, probs[:1].repeat(6, axis=0), atol=1e-5)
    assert [one.file for one in found[:3]] == [str(path), "image 1", "image 2"]

    for one in (str(path), array, opened):
        assert [p.answer for p in model.predict(one)] == [found[0].answer]
    assert len(model.predict(np.stack([array, array]))) == 2
    (wrong,) = model.predict(array.astype(np.float32))
    assert (wrong.answer, wrong.unsure) == (None, True)
    assert wrong.error == "an array must be uint8 (H, W, 3), not float32 (40, 48, 3)"
    with pytest.raises(BookclsError, match="not int"):
        model.predict([3])


def test_a_table_that_is_stopped_does_not_pass_as_whole(run, tmp_path, capsys):
    path = draw(tmp_path / "a.png", RED, 1)
    found = bookcls.load(run).predict(path)[0]
    table = tmp_path / "table.csv"

    def stopped():
        with open_table(table, CLASSES) as write:
            write(found)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert not table.exists()
    (part,) = tmp_path.glob("table.csv.*.part")
    assert [row["answer"] for row in read_csv(part)] == [found.answer]
    assert f"stopped after 1 photos; their predictions are in {part}" in capsys.readouterr().err
    with pytest.raises(OSError, match="full"), open_table(tmp_path / "b.csv", CLASSES):
        raise OSError("full")
    assert not list(tmp_path.glob("b.csv*"))


def test_pictures_of_what_it_looked_at(run, run_verb, tmp_path, capsys):
    for name in ("1.png", "sub/1.png"):
        draw(tmp_path / "photos" / name, RED, 1)
    (tmp_path / "photos" / "no.png").touch()
    assert run_verb(predict.main, f"ckpt={run}", "images=photos", "cam=seen") == 0
    drawn = {p.relative_to(tmp_path / "seen").as_posix() for p in tmp_path.glob("seen/**/*.png")}
    assert drawn == {"1.png.png", "sub/1.png.png"}
    with Image.open(tmp_path / "seen" / "1.png.png") as picture:
        assert picture.size[0] > 500
    assert "cam=DIR" not in capsys.readouterr().out
    assert [name for name, _ in list_photos(find_source("."))] == ["photos/1.png", "photos/no.png",
                                                                  "photos/sub/1.png"]  # fmt: skip


def test_a_picture_says_what_the_table_says(run, tmp_path, monkeypatch):
    path = draw(tmp_path / "a.png", RED, 1)
    model = bookcls.load(run, accelerator="cpu")
    (found,) = model.predict(path)
    drawn = []
    monkeypatch.setattr(panels, "draw", lambda found, names, made: drawn.append((found, made)))
    monkeypatch.setattr(panels, "save", lambda figure, path: None)
    pictures = Pictures(tmp_path / "seen", model, "cpu")
    for unsure in (True, False):
        pictures.draw(path, replace(found, unsure=unsure))
    assert [one.flag for one, _ in drawn] == ["unsure", ""]
    assert drawn[0][0].reason == f"probability {found.probability:.2f} is below 0.5"
    assert (
        drawn[0][1]
        == "gradcam at block5_conv3, 128 px (predictions at 32 px, the size of training)"
    )


def test_a_picture_asks_the_model_for_its_answer_and_its_map_alone(run, tmp_path):
    path = draw(tmp_path / "a.png", RED, 1)
    model = bookcls.load(run, accelerator="cpu")
    (found,) = model.predict(path)
    pictures = Pictures(tmp_path / "seen", model, "cpu")
    shapes = []
    hook = pictures.explainer.model.features.register_forward_pre_hook(
        lambda _, inputs: shapes.append(tuple(inputs[0].shape))
    )
    pictures.draw(path, found)
    hook.remove()
    assert shapes == [(1, 3, 32, 32), (1, 3, 128, 128)]
    assert not pictures.missing


def test_the_lowest_threshold_that_keeps_answers_right():
    probs = np.array([0.99, 0.9, 0.8, 0.7, 0.6, 0.5])
    right = np.array([1, 1, 1, 1, 0, 1], bool)
    assert lowest_threshold(probs, right, 0.95) == 0.7
    assert lowest_threshold(probs, right, 0.8) == 0.0  # 5 of 6
    assert lowest_threshold(probs, ~right, 0.95) is None
    # Later answers may make up for an early mistake: of 20, one is wrong.
    assert lowest_threshold(np.linspace(1, 0.1, 20), np.arange(20) != 0, 0.95) == 0.0
    # Equal ones are kept or left together.
    assert lowest_threshold(np.array([0.9, 0.6, 0.6]), np.array([True, True, False])) == 0.9


def held_out(folder: Path, sure: list[float], right: list[bool]) -> Path:
    """A search's answers: each photo as it is and in a view that is 0.01 less sure."""
    folder.mkdir()
    samples = [Sample(Path(f"{i}"), f"red/{i}.png", 2, (2,), "") for i in range(len(sure))]
    probs = np.zeros((2, len(sure), 3))
    for view in range(2):
        for i, (p, ok) in enumerate(zip(sure, right, strict=True)):
            probs[view, i, 2 if ok else 0] = p - 0.01 * view
            probs[view, i, 1] = 1 - p + 0.01 * view
    write_held_out(folder, 3, CLASSES, [(samples, probs)])
    return folder


def test_a_threshold_by_held_out_photos(run, run_verb, tmp_path, capsys):
    sure, right = [*np.linspace(0.9, 0.71, 20), *[0.6] * 4], [True] * 20 + [False] * 4
    tuned = held_out(tmp_path / "tuned", sure, right)
    threshold = find_threshold(str(tuned))
    assert threshold.value == sure[19] - 0.01
    assert "100.0% are right instead of 83.3%, and 16.7% are unsure" in threshold.why
    assert "48 predictions for 24 held-out photos, each unchanged and in 1 views" in threshold.why
    assert "unchanged photos, 100.0% of those kept are right, and 16.7% are unsure" in threshold.why
    draw(tmp_path / "photos" / "a.jpg", RED, 1)
    arguments = (f"ckpt={run}", "images=photos", f"unsure={tuned}")
    assert run_verb(predict.main, *arguments, "rotations=2") == 0
    (row,) = read_csv(tmp_path / "predictions.csv")
    assert (float(row["probability"]) < threshold.value) == (row["unsure"] == "1")
    out = capsys.readouterr().out
    assert f"unsure   below {threshold.value}, the lowest at which at least 95%" in out
    assert "chosen without rotations" in out

    never = held_out(tmp_path / "never", [0.9, 0.8], [False, True])
    with pytest.raises(BookclsError, match=r"no threshold makes 95%.*; the best is unsure=0.79"):
        find_threshold(never)
    lucky = held_out(tmp_path / "lucky", sure[1:], right[1:])
    with pytest.raises(
        BookclsError, match="are of only 19 different photos; fewer than 20 cannot show"
    ):
        find_threshold(lucky)
    text = (tuned / HELD_OUT).read_text()
    (tuned / HELD_OUT).write_text(text.replace("prob_blue", "prob_green"))
    assert run_verb(predict.main, *arguments) == 1
    assert "was for the classes background, green, red" in capsys.readouterr().err
    (tuned / HELD_OUT).write_text(text[:-60])
    assert run_verb(predict.main, *arguments) == 1
    assert "held_out.csv cannot be read" in capsys.readouterr().err


def test_the_answer_that_set_the_threshold_is_not_unsure(run, tmp_path):
    """Of a probability all digits count: the two are the same float32."""
    path = draw(tmp_path / "a.png", RED, 1)
    (found,) = bookcls.load(run).predict(path)
    p = found.probability
    probs = np.array([[[(1 - p) / 2, (1 - p) / 2, p]] * 20 + [[0.34, 0.33, 0.33]] * 2])
    samples = [Sample(Path(f"{i}"), f"red/{i}.png", 2, (2,), "") for i in range(22)]
    write_held_out(tmp_path, 0, CLASSES, [(samples, probs)])
    threshold = find_threshold(tmp_path)
    assert threshold.value == p
    assert not bookcls.load(run, unsure=tmp_path).predict(path)[0].unsure
    assert float(f"{threshold.value}") == p


def test_the_latest_run_is_asked(run, run_verb, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "runs" / "day" / "time")
    older = shutil.copytree(run, tmp_path / "runs" / "day" / "zulu")
    os.utime(older / runs.METRICS, (1, 1))
    draw(tmp_path / "a.jpg", RED, 1)
    assert run_verb(predict.main, "images=a.jpg") == 0
    assert "runs/day/time/best.ckpt" in capsys.readouterr().out
    assert bookcls.load().ckpt == Path("runs/day/time/best.ckpt")
