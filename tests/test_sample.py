import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bookcls.synthetic import sample
from bookcls.synthetic.books import BOOKS
from bookcls.synthetic.plan import CLASS_NAMES, NAMES, label, photos

ROOT = Path(__file__).parents[1] / "dataset" / "sample"
PLAN = photos()
# Other versions of OpenCV, Pillow or the fonts may round differently or shape letters differently.
TOLERANCE = 3.0


def labels(split):
    with (ROOT / split / "labels.csv").open(newline="", encoding="utf-8") as file:
        return {row["file"]: (row["dominant"], row["accepted"]) for row in csv.DictReader(file)}


def check_rendering(photo):
    image, mask, _ = sample.render(photo)
    path = ROOT / sample.photo_path(photo)
    if sample.jpeg(image, photo.orientation) == path.read_bytes():
        return
    with Image.open(path) as stored:
        difference = np.abs(np.asarray(stored, dtype=int) - image).mean()
    with Image.open(ROOT / sample.mask_path(photo)) as stored:
        wrong = (np.asarray(stored) != mask).mean()
    # The JPEG itself moves a pixel by about two levels.
    assert difference < 3.0 + TOLERANCE
    assert wrong < 0.005


def test_counts_are_those_of_the_study():
    counts = Counter(path.parent.name for path in (ROOT / "train").glob("*/*.jpg"))
    assert counts == {"background": 29, "cinda": 9, "lunelo": 9, "mossa": 9, "pikari": 8,
                      "vardo": 9}  # fmt: skip
    assert len(list((ROOT / "test_easy").glob("*.jpg"))) == 6
    assert len(list((ROOT / "test_difficult").glob("*.jpg"))) == 20
    assert {sample.photo_path(photo) for photo in PLAN} == {
        path.relative_to(ROOT) for path in ROOT.rglob("*.jpg")
    }


def test_pages_know_the_floor_and_how_many_photos_are_strict():
    rows = labels("test_difficult").values()
    accepted = Counter(name for _, names in rows for name in names.split(";"))
    floor = max(accepted.values()) / len(rows)
    strict = sum(dominant != "" for dominant, _ in rows)
    readme = (ROOT.parents[1] / "README.md").read_text(encoding="utf-8")
    (line,) = [line for line in readme.splitlines() if line.startswith("│ difficult")]
    assert f"│  {floor:.2f} │" in line
    assert f" of {strict} │" in line
    card = (ROOT.parent / "README.md").read_text(encoding="utf-8")
    assert f"at most {floor:.2f} on Difficult" in card


def test_it_is_small():
    files = [path for path in ROOT.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 6_000_000
    assert (ROOT.parent / "contact_sheet.jpg").stat().st_size < 400_000
    for photo in PLAN:
        with Image.open(ROOT / sample.photo_path(photo)) as image:
            assert max(image.size) == 512


def test_masks_agree_with_labels():
    known = {split: labels(split) for split in ("test_easy", "test_difficult")}
    for photo in PLAN:
        with Image.open(ROOT / sample.mask_path(photo)) as image:
            mask = np.asarray(image)
        with Image.open(ROOT / sample.photo_path(photo)) as image:
            assert mask.shape == image.size[::-1]
        values = [
            CLASS_NAMES.index(NAMES[item.cover]) + 1 if NAMES[item.cover] in BOOKS else 255
            for item in photo.layout.items
        ]
        assert set(np.unique(mask)) <= {0, *values}
        dominant, accepted = label(photo, [float((mask == value).mean()) for value in values])
        if photo.split == "train":
            assert (dominant, accepted) == (photo.folder, (photo.folder,))
        else:
            assert known[photo.split][f"{photo.stem}.jpg"] == (dominant, ";".join(accepted))


def test_no_constant_answer_passes_difficult():
    rows = labels("test_difficult").values()
    accepted = Counter(name for _, names in rows for name in names.split(";"))
    assert max(accepted.values()) <= 10
    assert set(accepted) == set(CLASS_NAMES)
    assert accepted["background"] == 2
    dominant = Counter(name for name, _ in rows if name)
    assert sum(dominant.values()) >= 8


@pytest.mark.parametrize("split", ["train", "test_easy", "test_difficult"])
def test_some_photos_carry_an_orientation(split):
    tags = []
    for photo in (photo for photo in PLAN if photo.split == split):
        with Image.open(ROOT / sample.photo_path(photo)) as image:
            tag = image.getexif().get(0x0112, 1)
        assert tag == photo.orientation
        tags.append(tag)
    assert any(tag != 1 for tag in tags)
    assert sum(tag != 1 for tag in tags) / len(tags) < 0.4


def test_stored_pixels_turned_by_their_tag_are_the_upright_scene():
    photo = next(photo for photo in PLAN if photo.orientation == 6)
    with Image.open(ROOT / sample.photo_path(photo)) as image:
        assert image.size == (384, 512)
    stored, _, _ = sample.render(photo)
    upright = np.rot90(stored, -1)
    assert upright.shape == (384, 512, 3)


@pytest.mark.parametrize("number", [0, 40, 60, 75, 84, 95])
def test_a_photo_renders_as_committed(number):
    check_rendering(PLAN[number])


@pytest.mark.slow
def test_the_sample_renders_as_committed():
    for photo in PLAN:
        check_rendering(photo)
