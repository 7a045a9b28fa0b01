"""Batches of decoded photos, for training, validation and each test split."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bookcls.composing.compose import Scenes
from bookcls.data.mixup import Item, MixupCollate
from bookcls.data.photos import CACHE_MB, Decoded
from bookcls.data.sampler import Draw, OverSampler
from bookcls.data.samples import Sample
from bookcls.data.transforms import Transform
from bookcls.models.weights import MEAN, STD
from bookcls.settings import AugConfig
from bookcls.training.views import CachedViews


class PhotoDataset(Dataset[Item]):
    """Photos with a transform applied."""

    def __init__(self, samples: Sequence[Sample], images: Decoded, transform: Transform) -> None:
        """Creates the dataset.

        Args:
            samples: The photos.
            images: The decoded photos, by path.
            transform: Applied to each photo when it is drawn.
        """
        self.samples = list(samples)
        self.images = images
        self.transform = transform

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, draw: Draw | int) -> Item:
        """Returns the photo of a draw, augmented with the draw's seed; of an index, unaugmented."""
        index, seed = draw if isinstance(draw, tuple) else (draw, None)
        sample = self.samples[index]
        image = self.transform(self.images[sample.path], seed)
        return image, sample.label, 0 if seed is None else seed


class SceneDataset(PhotoDataset):
    """Photos, some of which are replaced by composed scenes, with the same augmentation."""

    def __init__(
        self, samples: Sequence[Sample], images: Decoded, transform: Transform, scenes: Scenes
    ) -> None:
        """Like :class:`PhotoDataset`; ``scenes`` composes the scenes."""
        super().__init__(samples, images, transform)
        self.scenes = scenes

    def __getitem__(self, draw: Draw | int) -> Item:
        assert isinstance(draw, tuple)
        index, seed = draw
        scene = self.scenes.draw(self.samples[index], seed)
        if scene is None:
            return super().__getitem__(draw)
        return self.transform(scene.image, seed), torch.from_numpy(scene.target), seed


def collate_test(
    items: Sequence[tuple[Tensor, int, tuple[int, ...]]], num_classes: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Collates a test batch.

    Args:
        items: Images, labels and accepted classes.
        num_classes: Number of classes, C.

    Returns:
        Images, float32 (N, 3, H, W); labels, int64 (N,), -1 without a dominant class; accepted
        classes, bool (N, C).
    """
    accepted = torch.zeros(len(items), num_classes, dtype=torch.bool)
    for row, (_, _, classes) in enumerate(items):
        accepted[row, list(classes)] = True
    labels = torch.tensor([label for _, label, _ in items])
    return torch.stack([image for image, _, _ in items]), labels, accepted


class TestDataset(Dataset[tuple[Tensor, int, tuple[int, ...]]]):
    """Photos of one test split with all their accepted classes."""

    __test__ = False  # not a test case

    def __init__(self, samples: Sequence[Sample], images: Decoded, transform: Transform) -> None:
        """Same as :class:`PhotoDataset`."""
        self.photos = PhotoDataset(samples, images, transform)

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Tensor, int, tuple[int, ...]]:
        sample = self.photos.samples[index]
        return self.photos[index][0], sample.label, sample.accepted


class PhotoDataModule(pl.LightningDataModule):
    """The training part, the validation part and the test splits of one dataset."""

    def __init__(
        self,
        class_names: Sequence[str],
        images: Decoded,
        *,
        train: Sequence[Sample] = (),
        val: Sequence[Sample] = (),
        tests: dict[str, list[Sample]] | None = None,
        aug: AugConfig | None = None,
        scenes: Scenes | None = None,
        mean: tuple[float, ...] = MEAN,
        std: tuple[float, ...] = STD,
        oversample: bool = True,
        batch_size: int = 16,
        num_workers: int | None = None,
        cached_views: int = 0,
        cache_mb: float = CACHE_MB,
        seed: int = 0,
    ) -> None:
        """Creates the data module from decoded photos.

        Args:
            class_names: Sorted class names.
            images: The decoded photos by path, uint8 (H, W, 3).
            train: Training part.
            val: Validation part, or nothing.
            tests: Test split name -> photos.
            aug: Strengths of the training augmentation; None to disable it.
            scenes: Composes some of the training images; None to disable it.
            mean: Mean of RGB in [0, 1].
            std: Standard deviation of RGB in [0, 1].
            oversample: Whether small classes are drawn as often as the largest.
            batch_size: Photos per step and process.
            num_workers: Number of worker processes; None means 0 without CUDA, where the
                convolutions need the cores, and up to 8 with it. The batches do not depend on it.
            cached_views: Number of epochs whose outputs of the frozen layers are cached, see
                :class:`bookcls.training.views.CachedViews`; 0 to disable caching.
            cache_mb: Maximum size of this cache, in megabytes.
            seed: Seed of order and augmentation.
        """
        super().__init__()
        self.class_names = list(class_names)
        self.images = images
        self.train_samples, self.val_samples = list(train), list(val)
        self.tests = tests or {}
        self.aug = aug
        self.scenes = scenes
        self.plain = Transform(mean, std)
        self.augmented = self.plain
        if aug is not None:
            strengths = {
                k: getattr(aug, k) for k in ("hflip", "vflip", "rotate", "zoom", "erase", "colour")
            }
            self.augmented = Transform(mean, std, **strengths)
        self.oversample = oversample
        self.batch_size = batch_size
        if num_workers is None:
            num_workers = min(8, (os.cpu_count() or 1) - 1) if torch.cuda.is_available() else 0
        self.num_workers = num_workers
        self.cached_views, self.cache_mb = cached_views, cache_mb
        self.seed = seed

    @property
    def num_drawn(self) -> int:
        """Number of images per epoch, over all processes."""
        labels = [s.label for s in self.train_samples]
        return len(OverSampler(labels, seed=self.seed, oversample=self.oversample))

    def train_dataloader(self) -> DataLoader[Item] | CachedViews:
        """Augmented, class-balanced batches with mixup; the last one may be smaller."""
        trainer = self.trainer
        sampler = OverSampler(
            [s.label for s in self.train_samples],
            seed=self.seed,
            oversample=self.oversample,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
        )
        photos = (self.train_samples, self.images, self.augmented)
        dataset = SceneDataset(*photos, self.scenes) if self.scenes else PhotoDataset(*photos)
        alpha = self.aug.mixup_alpha if self.aug else 0.0
        loader = self._loader(
            dataset,
            sampler=sampler,
            collate_fn=MixupCollate(len(self.class_names), 0.0 if self.cached_views else alpha),
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
        )
        if not self.cached_views:
            return loader
        assert trainer is not None
        frozen = cast(Callable[[Tensor], Tensor], trainer.lightning_module.frozen)
        return CachedViews(
            loader,
            frozen,
            self.cached_views,
            seed=self.seed,
            cache_mb=self.cache_mb,
            alpha=alpha,
        )

    def val_dataloader(self) -> DataLoader[Item] | list[Any]:
        """Unaugmented batches of the validation part; an empty list if there is none."""
        if not self.val_samples:
            return []
        dataset = PhotoDataset(self.val_samples, self.images, self.plain)
        return self._loader(dataset, collate_fn=MixupCollate(len(self.class_names)))

    def test_dataloader(self) -> list[DataLoader[Any]]:
        """One loader per test split, in the order of ``tests``."""
        collate = partial(collate_test, num_classes=len(self.class_names))
        return [
            self._loader(TestDataset(samples, self.images, self.plain), collate_fn=collate)
            for samples in self.tests.values()
        ]

    def _loader(self, dataset: Dataset[Any], **options: Any) -> DataLoader[Any]:  # noqa: ANN401
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            pin_memory=torch.cuda.is_available(),
            **options,
        )
