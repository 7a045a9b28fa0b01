"""Scenes composed of cut-outs: what is cut, what a scene's label says, who never gets in."""

import csv
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from bookcls import train, tune
from bookcls.composing import compose
from bookcls.composing.compose import Scenes
from bookcls.composing.corners import read_corners
from bookcls.composing.cutout import Cutout, make_cutouts
from bookcls.composing.segment import NoObjectError, find_object
from bookcls.composing.sheet import write_sheet
from bookcls.config import to_dataclass
from bookcls.data.dataset import read_folder
from bookcls.data.photos import decode_folder
from bookcls.data.samples import Sample, split_train_val
from bookcls.errors import BookclsError
from bookcls.settings import TrainConfig
from bookcls.synthetic.layout import Item, Layout, Light
from bookcls.synthetic.placing import sheet
from bookcls.training.recipe import make_datamodule
from conftest import COLOURS, TINY, draw
from test_config import composed

SAMPLE = Path(__file__).parents[1] / "dataset" / "sample"
RED, BLUE, GREY = COLOURS["red"], COLOURS["blue"], COLOURS["background"]
CLEAN = Light(gradient=0.0, noise=0.0, haze=0.0)


def photo(path: Path, colour: tuple[int, int, int] | None, seed: int) -> Path:
    """An ellipse of one colour on noisy grey, or only the grey; 96 x 72 pixels."""
    draw(path, GREY, seed, (96, 72))
    if colour is not None:
        pixels = np.array(Image.open(path))
        rng = np.random.default_rng(seed)
        middle = (int(rng.integers(40, 56)), int(rng.integers(30, 42)))
        axes = (int(rng.integers(18, 26)), int(rng.integers(14, 20)))
        cv2.ellipse(pixels, middle, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
        Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def things(tmp_path: Path) -> Path:
    """Six photos each of a red thing, a blue thing and the empty ground."""
    root = tmp_path / "things"
    for label, (name, colour) in enumerate([("background", None), ("blue", BLUE), ("red", RED)]):
        for i in range(6):
            photo(root / "train" / name / f"{name}_{i}.png", colour, 10 * label + i)
    return root


def settings(root: Path, *words: str) -> TrainConfig:
    words = ("aug=scenes", "data.image_size=32", "data.batch_size=4", *words)
    return to_dataclass(composed(f"data.root={root}", *words), TrainConfig)


def module_of(root: Path, *words: str, part=slice(None)):
    config = settings(root, *words)
    folder, images = decode_folder(read_folder(root), 32, config.data.fit, "error")
    return make_datamodule(config, folder, images, train=folder.train[part])


def overlap(found, true) -> float:
    return (found & true).sum() / (found | true).sum()


@pytest.mark.parametrize("file", ["cinda/img_1001", "lunelo/img_1010", "vardo/img_1037"])
def test_cut_outs_of_rendered_books_match_their_masks(file):
    image = Image.open(SAMPLE / "train" / f"{file}.jpg").resize((256, 192))
    mask = Image.open(SAMPLE / "masks" / "train" / f"{Path(file).name}.png").resize((256, 192), 0)
    assert overlap(find_object(np.asarray(image)) > 0, np.asarray(mask) > 0) > 0.8


def test_the_cut_out_is_the_thing_without_the_ground(tmp_path):
    path = photo(tmp_path / "train" / "red" / "a.png", RED, 3)
    sample = Sample(path, "red/a.png", 1, (1,), "hash")
    (cutout,) = make_cutouts((sample,), tmp_path, 2, None, 32)
    picture = cutout.picture
    solid = picture[..., 3] > 127
    assert np.abs(picture[solid].mean(axis=0)[:3] - RED).max() < 12
    assert np.abs(picture[~solid].mean(axis=0)[:3] - RED).max() < 12, "no rim of the ground"
    pixels = np.asarray(Image.open(path)).astype(int)
    true = np.abs(pixels - RED).sum(axis=-1) < 3
    scale = 256 / 96
    assert solid.sum() == pytest.approx(true.sum() * scale**2, rel=0.1)


def test_a_photo_without_a_thing_is_refused():
    noise = np.random.default_rng(0).normal(128, 20, (192, 256, 3)).clip(0, 255).astype(np.uint8)
    with pytest.raises(NoObjectError):
        find_object(noise)


def test_masks_come_first(things):
    for i in range(6):
        mask = np.zeros((72, 96), np.uint8)
        mask[5:25, 5:25] = 2  # blue; the ellipse is elsewhere
        path = things / "masks" / "train" / "blue" / f"blue_{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)
    cutouts = module_of(things).scenes.cutouts
    assert [c.method for c in cutouts if c.sample.label == 1] == ["mask"] * 6
    assert {c.method for c in cutouts if c.sample.label == 2} == {"automatic"}
    picture = next(c.picture for c in cutouts if c.sample.label == 1)
    assert picture.shape[:2] == pytest.approx((53, 53), abs=4)
    path = things / "masks" / "train" / "blue" / "blue_0.png"
    Image.fromarray(np.full((72, 96), 9, np.uint8)).save(path)
    make_cutouts.cache_clear()
    with pytest.raises(BookclsError, match=r"blue_0\.png contains the value 9"):
        module_of(things)


def test_corners_cut_what_they_surround(things):
    def corners(*rows):
        lines = ["file,corners", *(f"train/blue/blue_{i}.png,{points}" for i, points in rows)]
        (things / "corners.csv").write_text("\n".join(lines), encoding="utf-8-sig")
        read_corners.cache_clear()
        make_cutouts.cache_clear()

    # One photo lies on its side in the file: corners are where a person sees them.
    path = things / "train" / "blue" / "blue_1.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(path).rotate(90, expand=True).save(path, exif=exif)
    corners(*((i, '"10 10, 50 10, 50 40, 10 40"') for i in range(2)))
    found = {c.sample.name: c for c in module_of(things).scenes.cutouts if c.sample.label == 1}
    names = ["blue/blue_0.png", "blue/blue_1.png"]
    for name in names:
        assert found[name].method == "corners"
        height, width = found[name].picture.shape[:2]
        assert width / height == pytest.approx(40 / 30, abs=0.1)
    assert {c.method for name, c in found.items() if name not in names} == {"automatic"}
    for rows, message in [
        ([(0, "10 10 50 10 50")], "line 2: corners are x y of at least three points"),
        (
            [(0, "1 1 9 1 9 9"), (0, "1 1 9 1 9 9")],
            "line 3: train/blue/blue_0.png is already in an",
        ),
        ([(99, "1 1 9 1 9 9")], "there is no training photo train/blue/blue_99.png"),
        ([(0, "10 10 500 10 50 40")], "are outside the photo, which has 96x72 pixels"),
        ([(0, "10 10 nan 10 50 40")], "at least three points"),
    ]:
        corners(*((i, f'"{points}"') for i, points in rows))
        with pytest.raises(BookclsError, match=re.escape(message)):
            module_of(things)


def lone(colour, label: int) -> Cutout:
    picture = np.dstack([np.full((40, 40, 3), colour, np.uint8), np.full((40, 40), 255, np.uint8)])
    sample = Sample(Path(f"{label}"), "", label, (label,), str(label))
    return Cutout(sample, 4 / 3, picture, "mask")


def test_the_label_is_the_share_of_the_visible_area(monkeypatch):
    def square(x, side):
        return sheet(np.array([(x, 0.2), (x + side, 0.2), (x + side, 0.2 + side), (x, 0.2 + side)]))

    # The second square hides a quarter of the first one.
    bodies = square(0.1, 0.4), square(0.4, 0.4)
    layout = Layout(0, items=tuple(map(Item, (0, 1), bodies)), light=CLEAN)
    monkeypatch.setattr(compose.sampling, "anywhere", lambda *_: layout)
    monkeypatch.setattr(compose, "COUNTS", (0.0, 1.0))
    scenes = Scenes([lone(RED, 0), lone(BLUE, 1)], 3, None, size=64, fit="letterbox", share=1.0,
                    unknown=0.0)  # fmt: skip
    orders = set()
    for seed in range(20):
        scene = scenes.draw(scenes.cutouts[0].sample, seed)
        red = (scene.image[..., 0] > scene.image[..., 2] + 90.0).mean()
        blue = (scene.image[..., 2] > scene.image[..., 0] + 90.0).mean()
        assert scene.target[2] == 0
        assert scene.target[0] == pytest.approx(red / (red + blue), abs=0.06)
        orders.add(round(float(scene.target[0]), 2))
    orders.discard(1.0)  # two red ones
    assert len(orders) == 2, "either lies on the other"
    assert sorted(orders) == pytest.approx([0.75 / 1.75, 1 / 1.75], abs=0.03)


def test_background_scenes_show_no_class_and_others_show_theirs(things):
    scenes = module_of(things, "aug.scenes=1").scenes
    strangers = 0
    for cutout in scenes.cutouts:
        for seed in range(8):
            scene = scenes.draw(cutout.sample, seed)
            assert scene.target.sum() == pytest.approx(1)
            assert scene.image.shape == (32, 32, 3)
            if cutout.sample.label == 0:
                assert scene.target.tolist() == [1, 0, 0]
                strangers += np.abs(scene.image[4:28].astype(int) - GREY).max() > 90
            else:
                assert scene.target[0] == 0
    assert strangers > 10, "of the 48 most show a thing of no class"
    plain = module_of(things, "aug.scenes=1", "aug.scene_unknown=0").scenes
    colours = plain.draw(plain.cutouts[0].sample, 1).image[8:24].reshape(-1, 3).astype(int)
    assert np.ptp(colours, axis=1).max() < 60, "nothing but the grey ground"


def test_a_seed_decides_the_scene(things):
    scenes = module_of(things, "aug.scenes=1").scenes
    sample = scenes.cutouts[-1].sample
    first, again, other = (scenes.draw(sample, seed) for seed in (5, 5, 6))
    assert np.array_equal(first.image, again.image)
    assert not np.array_equal(first.image, other.image)
    half = module_of(things).scenes
    drawn = [half.draw(sample, seed) for seed in range(60)]
    assert 15 < sum(scene is not None for scene in drawn) < 45


def test_same_batches_whatever_the_number_of_workers(things):
    def epoch(num_workers):
        loader = module_of(things, f"data.num_workers={num_workers}").train_dataloader()
        return torch.cat([torch.cat([images.flatten(1), target], 1) for images, target in loader])

    alone = epoch(0)
    assert torch.equal(alone, epoch(2))
    targets = alone[:, -3:]
    assert torch.allclose(targets.sum(dim=1), torch.ones(len(targets)))


def test_held_out_photos_never_get_in(things):
    green = (20, 200, 30)
    mask = np.zeros((72, 96), np.uint8)
    cv2.ellipse(mask, (48, 36), (14, 12), 0, 0, 360, 1, -1)
    for value, name in ((2, "blue"), (3, "red")):
        photo(things / "train" / name / f"{name}_6.png", green, 98 + value)
        path = things / "masks" / "train" / name / f"{name}_6.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(mask * np.uint8(value)).save(path)
    folder = read_folder(things)
    kept = [s for s in folder.train if not s.name.endswith("_6.png")]
    _, images = decode_folder(folder, 32, "letterbox", "error")
    words = ("aug.scenes=1", "aug.scene_unknown=0")

    def greens(train_part):
        module = make_datamodule(settings(things, *words), folder, images, train=train_part)
        assert {c.sample for c in module.scenes.cutouts} == set(train_part)
        drawn = [module.scenes.draw(s, seed) for s in train_part for seed in range(4)]
        pixels = np.stack([scene.image for scene in drawn]).astype(int)
        return ((pixels[..., 1] - pixels[..., [0, 2]].max(axis=-1)) > 60).sum()

    assert greens(folder.train) > 100
    assert greens(kept) == 0
    train_part, val_part = split_train_val(folder.train, folder.class_names, 0.3, 0)
    module = make_datamodule(settings(things), folder, images, train=train_part, val=val_part)
    assert not {c.sample for c in module.scenes.cutouts} & set(val_part)


def test_without_a_background_class_floors_are_rendered(things, capsys):
    shutil.rmtree(things / "train" / "background")
    module = module_of(things, "aug.scenes=1")
    assert module.scenes.background is None
    scene = module.scenes.draw(module.train_samples[0], 1)
    assert scene.image.std() > 10
    assert scene.target.sum() == pytest.approx(1)


def test_nothing_to_cut_out_is_an_error_that_says_what_to_do(shared_photos):
    with pytest.raises(BookclsError, match=r"nothing could be cut out of any.*masks.*aug=all"):
        module_of(shared_photos)


@pytest.mark.usefixtures("narrow")
def test_a_run_says_and_shows_what_it_composes(things, run_verb, tmp_path, capsys):
    for i in range(6):
        photo(things / "train" / "blue" / f"blue_{i}.png", None, 60 + i)
    photo(things / "train" / "red" / "red_0.png", None, 70)
    run = tmp_path / "run"
    arguments = (f"data.root={things}", "aug=scenes", "data.val_fraction=0", *TINY)
    assert run_verb(train.main, *arguments, f"hydra.run.dir={run}") == 0
    out = capsys.readouterr().out
    assert "scenes   things cut out of 5 of 12 photos, 7 photos left out (cutouts.csv)" in out
    assert "warning: nothing could be cut out of the 6 photos of blue" in out
    with (run / "cutouts.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert rows["red/red_0.png"]["cutout"] == "none"
    assert rows["red/red_0.png"]["why_left_out"]
    assert rows["red/red_1.png"]["cutout"] == "automatic"
    with Image.open(run / "scenes.png") as image:
        assert image.width > 1000
    assert (run / "metrics.json").is_file()


@pytest.mark.usefixtures("narrow")
def test_tune_takes_scenes(things, run_verb, tmp_path, capsys):
    words = ("data.image_size=32", "data.cv=2", "data.views=1", "trainer=smoke", "trials=1")
    arguments = (f"data.root={things}", "aug=scenes", *words)
    assert run_verb(tune.main, *arguments, f"hydra.run.dir={tmp_path / 'tuned'}") == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "train it" in line)
    assert "aug=scenes" in line


def test_the_sheet_shows_cut_outs_and_scenes(things, tmp_path):
    module = module_of(things, "aug.scenes=1")
    write_sheet(tmp_path / "s.png", module.scenes, module.class_names, module.train_samples)
    pixels = np.asarray(Image.open(tmp_path / "s.png")).astype(int)
    reds = (pixels[..., 0] - pixels[..., 2] > 80).any(axis=1)
    assert reds[: len(reds) // 3].any()
    assert reds[len(reds) // 3 :].any()


def test_turn_mirrors_nothing():
    aug = settings(Path("x"), "aug=turn").aug
    assert (aug.hflip, aug.vflip, aug.rotate, aug.scenes) == (0, 0, 180, 0)
    assert aug.erase == settings(Path("x"), "aug=all").aug.erase
