"""Decoded photos: what stays in memory changes nothing but time."""

import numpy as np
import pytest
import torch

from bookcls.data.dataset import read_folder
from bookcls.data.images import ImageError
from bookcls.data.photos import decode, decode_folder
from bookcls.settings import AugConfig
from bookcls.training.datamodule import PhotoDataModule
from conftest import draw

ALL = AugConfig(
    hflip=0.5, vflip=0.5, rotate=40.0, zoom=0.3, erase=0.5, colour=0.0,
    mixup_alpha=1.0, scenes=0.0, scene_unknown=0.0,
)  # fmt: skip
PHOTO_MB = 3 * 32 * 32 / 1e6


def decoded(root, cache_mb):
    return decode_folder(read_folder(root), 32, "letterbox", "error", cache_mb)


@pytest.fixture
def large(photos):
    """A JPEG that is decoded at a reduced scale."""
    draw(photos / "train" / "red" / "large.jpg", (220, 50, 40), 1000, (900, 700))
    return photos


@pytest.mark.parametrize("room", [0, 7])
def test_pixels_do_not_depend_on_the_budget(large, room):
    _, whole = decoded(large, 2000)
    folder, images = decoded(large, (room + 0.5) * PHOTO_MB)
    assert list(images) == list(whole)
    assert len(images) == 19 + 26
    for path in images:
        assert np.array_equal(images[path], whole[path]), path
    first = [s.path for s in folder.train[:room]]
    assert [path for path in images if images[path] is images[path]] == first, "what stays"


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_do_not_depend_on_the_budget(large, num_workers):
    def batches(cache_mb, num_workers):
        folder, images = decoded(large, cache_mb)
        module = PhotoDataModule(
            folder.class_names, images, train=folder.train, aug=ALL, num_workers=num_workers, seed=3
        )
        return torch.cat([images for images, _ in module.train_dataloader()])

    assert torch.equal(batches(2000, 0), batches(5 * PHOTO_MB, num_workers))


def test_a_budget_that_is_too_small_is_said_once(shared_photos, capsys):
    _, images = decoded(shared_photos, 10.5 * PHOTO_MB)
    for _ in range(2):
        [images[path] for path in images]
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1
    assert "room for 10 of 44 photos" in said[0]
    decoded(shared_photos, 44 * PHOTO_MB)
    assert capsys.readouterr().out == ""


def test_a_photo_that_vanishes_is_named(large):
    folder = read_folder(large)
    images, bad = decode(folder.train, 32, "letterbox", 0)
    assert not bad
    gone = folder.train[0].path
    gone.unlink()
    with pytest.raises(
        ImageError, match=rf"{gone.name}: no such file, although it could be read before"
    ):
        images[gone]
