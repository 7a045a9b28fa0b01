"""Sampler, mixup, transforms and data module: what a training step gets to see."""

from collections import Counter

import numpy as np
import pytest
import torch

from bookcls.data.dataset import read_folder
from bookcls.data.images import fit_square, load_image
from bookcls.data.mixup import MixupCollate
from bookcls.data.photos import decode_folder
from bookcls.data.preprocessing import Preprocessing
from bookcls.data.sampler import OverSampler
from bookcls.data.samples import split_train_val
from bookcls.data.transforms import Transform
from bookcls.models.weights import MEAN, STD
from bookcls.settings import AugConfig
from bookcls.training.datamodule import PhotoDataModule

ALL = AugConfig(
    hflip=0.5, vflip=0.5, rotate=40.0, zoom=0.3, erase=0.5, colour=0.0,
    mixup_alpha=1.0, scenes=0.0, scene_unknown=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def dataset(shared_photos):
    folder, images = decode_folder(read_folder(shared_photos), 32, "letterbox", "error")
    train, val = split_train_val(folder.train, folder.class_names, 0.2, 0)
    return folder, images, train, val


def module_of(dataset, **options):
    folder, images, train, val = dataset
    options = {"aug": ALL, "batch_size": 4, "num_workers": 0} | options
    return PhotoDataModule(
        folder.class_names, images, train=train, val=val, tests=folder.tests, **options
    )


def test_sampler_balances_and_draws_every_photo():
    labels = [0] * 9 + [1] * 4 + [2]
    sampler = OverSampler(labels, seed=0)
    draws = list(sampler)
    assert len(draws) == len(sampler) == 27
    assert Counter(labels[i] for i, _ in draws) == {0: 9, 1: 9, 2: 9}
    assert {i for i, _ in draws} == set(range(14))
    assert len({seed for _, seed in draws}) == 27, "each draw has a seed of its own"
    plain = OverSampler(labels, seed=0, oversample=False)
    assert sorted(i for i, _ in plain) == list(range(14))


def test_sampler_follows_seed_and_epoch():
    def drawn(seed, epoch):
        sampler = OverSampler([0, 0, 0, 1], seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert drawn(0, 3) == drawn(0, 3)
    assert drawn(0, 3) != drawn(0, 4)
    assert drawn(0, 3) != drawn(1, 3)


def test_processes_share_the_draws_of_an_epoch():
    labels = [0] * 5 + [1] * 2
    alone = [i for i, _ in OverSampler(labels, seed=0)]
    parts = [[i for i, _ in OverSampler(labels, seed=0, rank=r, world_size=3)] for r in range(3)]
    assert [len(part) for part in parts] == [4, 4, 4], "equal, or the processes wait for ever"
    interleaved = [i for step in zip(*parts, strict=True) for i in step]
    assert interleaved[: len(alone)] == alone


def test_mixup_targets_match_lam():
    # A photo of constant value v carries its own share: mixing v=1 (class 0) and v=0 (class 1).
    items = [(torch.ones(3, 2, 2), 0, 11), (torch.zeros(3, 2, 2), 1, 12)]
    lams = set()
    for seed in range(30):
        images, target = MixupCollate(3, alpha=1.0)([(i, y, seed) for i, y, _ in items])
        assert torch.allclose(target.sum(dim=1), torch.ones(2))
        assert torch.allclose(images[:, 0, 0, 0], target[:, 0])
        assert (target[:, 2] == 0).all()
        lams.add(round(float(target[0, 0]), 4))
    assert len(lams) > 10
    images, target = MixupCollate(3, alpha=0.0)(items)
    assert target.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert images[0].min() == 1


def test_lam_is_drawn_from_beta():
    items = [(torch.ones(1, 1, 1), 0), (torch.zeros(1, 1, 1), 1)]
    for alpha, variance in [(0.2, 1 / 4 / 1.4), (1.0, 1 / 12)]:  # of Beta(alpha, alpha)
        shares = []
        for seed in range(2000):
            _, target = MixupCollate(2, alpha)([(image, y, seed) for image, y in items])
            if target[0, 0] not in (0, 1):  # the partner was the other one
                shares.append(float(target[0, 0]))
        assert np.var(shares) == pytest.approx(variance, rel=0.15)


def test_transform_normalises_as_torch_does():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    expected = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    expected = (expected - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    assert torch.allclose(Transform(MEAN, STD)(image), expected, atol=1e-6)


def test_preprocessing_is_loading_fitting_and_normalising(shared_photos):
    path = next(shared_photos.rglob("*.png"))
    hparams = {"image_size": 48, "fit": "squash", "mean": [0.5] * 3, "std": [0.2] * 3, "lr": 1.0}
    preprocessing = Preprocessing.from_hparams(hparams)
    square = fit_square(load_image(path, size=48), 48, "squash")
    expected = Transform((0.5,) * 3, (0.2,) * 3)(square)
    assert torch.equal(preprocessing(path), expected)
    assert torch.equal(preprocessing(square), expected)
    assert torch.equal(preprocessing(load_image(path)), expected)
    assert preprocessing.with_size(64)(path).shape == (3, 64, 64)


def test_transform_repeats_for_a_seed_and_differs_between_seeds():
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    transform = Transform(MEAN, STD, hflip=0.5, vflip=0.5, rotate=40, zoom=0.3, erase=0.5)
    first = transform(image, 5)
    assert torch.equal(transform(image, 5), first)
    assert not torch.equal(transform(image, 6), first)


@pytest.mark.parametrize(
    ("strengths", "expected"),
    [
        ({"hflip": 1.0}, (slice(None), slice(None, None, -1))),
        ({"vflip": 1.0}, slice(None, None, -1)),
    ],
)
def test_flips(strengths, expected):
    image = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    plain = Transform(MEAN, STD)
    assert torch.equal(Transform(MEAN, STD, **strengths)(image, 0), plain(image[expected]))


def test_same_batches_whatever_the_number_of_workers(dataset):
    def epochs(num_workers):
        loader = module_of(dataset, num_workers=num_workers, seed=7).train_dataloader()
        batches = []
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)
            batches += [torch.cat([images.flatten(1), target], dim=1) for images, target in loader]
        return torch.cat(batches)

    alone = epochs(0)
    assert torch.equal(alone, epochs(2))
    assert not torch.equal(alone[: len(alone) // 2], alone[len(alone) // 2 :])


def test_no_validation_or_test_photo_reaches_training(dataset):
    folder, _, train, val = dataset
    module = module_of(dataset, aug=None, oversample=True)
    held_out = {s.sha256 for s in val} | {s.sha256 for t in folder.tests.values() for s in t}
    assert not held_out & {s.sha256 for s in train}
    plain = module.plain
    held_images = [plain(module.images[s.path]) for s in val] + [
        plain(module.images[s.path]) for t in folder.tests.values() for s in t
    ]
    seen = torch.cat([images for images, _ in module.train_dataloader()])
    assert len(seen) == 3 * Counter(s.label for s in train).most_common(1)[0][1]
    for held in held_images:
        assert not (seen == held).flatten(1).all(dim=1).any()


def test_the_last_batch_is_not_dropped(dataset):
    loader = module_of(dataset, batch_size=1000).train_dataloader()
    assert [len(images) for images, _ in loader] == [18]


def test_test_batches_carry_every_accepted_class(dataset):
    loader = module_of(dataset, batch_size=32).test_dataloader()[0]
    images, labels, accepted = next(iter(loader))
    assert images.shape == (20, 3, 32, 32)
    assert (labels[0], accepted[0].tolist()) == (-1, [False, True, True])
    assert (labels[1], accepted[1].tolist()) == (1, [False, True, False])
