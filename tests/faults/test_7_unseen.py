"""Promise 7: test photos stay unseen. See also test_batches.py: what reaches a training step."""

import csv
import shutil

import pytest

from bookcls import train
from conftest import TINY, draw, write_labels
from victims import Victim, needs_fork, outcome, verb, warm

pytestmark = [needs_fork, pytest.mark.usefixtures("narrow")]


def other_photos(photos):
    for number, path in enumerate(sorted(photos.glob("test_*/**/*.png"))):
        draw(path, (5 * number, 255 - 5 * number, 0), 1000 + number, (60, 20))


def other_labels(photos):
    path = photos / "test_difficult" / "labels.csv"
    with path.open(newline="", encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file)]
    write_labels(path.parent, [(name, "background", "background") for name in names])
    (photos / "test_easy" / "red").rename(photos / "test_easy" / "was red")
    (photos / "test_easy" / "blue").rename(photos / "test_easy" / "red")
    (photos / "test_easy" / "was red").rename(photos / "test_easy" / "blue")


def more_and_fewer(photos):
    shutil.rmtree(photos / "test_easy")
    draw(photos / "test_canary" / "blue" / "canary.png", (0, 255, 0), 77)


def no_tests(photos):
    for folder in photos.glob("test_*"):
        shutil.rmtree(folder)


def one_training_photo(photos):
    draw(photos / "train" / "red" / "red_0.png", (0, 255, 0), 77)


def trained(photos, folder):
    words = (*TINY, "aug=all", f"data.root={photos}", f"hydra.run.dir={folder}")
    victim = Victim(verb(train.main, *words, cwd=folder.parent), folder.with_suffix(".log"))
    assert victim.wait() == 0, victim.said
    return outcome(folder)


def test_no_test_photo_or_label_changes_a_trained_weight(photos, tmp_path):
    warm()
    learned = ("state_dict", "val/loss", "val/acc", "epoch")
    first = trained(photos, tmp_path / "first")
    for change in (other_photos, other_labels, more_and_fewer, no_tests):
        changed = shutil.copytree(photos, tmp_path / change.__name__)
        change(changed)
        found = trained(changed, tmp_path / f"run_{change.__name__}")
        assert {key: found[key] for key in learned} == {key: first[key] for key in learned}, change
        assert found["predictions"] != first["predictions"], change
    one_training_photo(photos)
    assert trained(photos, tmp_path / "last")["state_dict"] != first["state_dict"]
