"""Scenes as a LightningDataModule; a batch depends only on the number of its step."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from bookcls.data.streams import Stream
from bookcls.pretraining.augment import erase, jitter_colour, normalise
from bookcls.pretraining.bank import Bank
from bookcls.pretraining.rendered import Split, render_scene
from bookcls.pretraining.settings import PretrainConfig
from bookcls.synthetic.arrays import Bytes

Batch: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Images, identities, visible areas: (N, 3, S, S), (N, K), (N, K)."""

VAL_BATCH = 64


class RenderedBatches(Dataset[tuple[int, *Batch]]):
    """Batches from the renderer; images are uint8 here. Item ``n`` is that of step ``n``."""

    def __init__(self, bank: Bank, config: PretrainConfig, split: Split) -> None:
        """Draws nothing yet."""
        self.bank = bank
        self.config = config
        self.split: Split = split
        self._rows: Bytes | None = None

    def __getitem__(self, number: int) -> tuple[int, *Batch]:
        if self._rows is None:
            self._rows = self.bank.pictures()
        if self.split == "train":
            stage = self.config.stage_at(number)
            side, num = stage.image_size, stage.batch_size
            first = self.config.images_before(number)
        else:
            side, first = self.config.stages[-1].image_size, number * VAL_BATCH
            num = min(VAL_BATCH, self.config.val_scenes - first)
        scenes = [
            render_scene(
                self.bank, self._rows, side, seed=self.config.seed, split=self.split, index=index
            )
            for index in range(first, first + num)
        ]
        images = torch.from_numpy(np.stack([s.image for s in scenes])).permute(0, 3, 1, 2)
        ids = torch.from_numpy(np.stack([s.ids for s in scenes]))
        areas = torch.from_numpy(np.stack([s.areas for s in scenes]))
        return number, images, ids, areas


class RoundSampler(Sampler[int]):
    """The steps of a round, which is what Lightning calls an epoch here."""

    def __init__(self, round_steps: int, done: Callable[[], int]) -> None:
        """Remembers how to ask.

        Args:
            round_steps: Steps in a round.
            done: Gives the number of steps done so far. Lightning's own count of epochs, as given
                to ``set_epoch``, starts from 0 again when a run is resumed between two.
        """
        self.round_steps = round_steps
        self.done = done

    def __iter__(self) -> Iterator[int]:
        start = self.done()
        return iter(range(start, start + self.round_steps))

    def __len__(self) -> int:
        return self.round_steps


class SceneData(pl.LightningDataModule):
    """Endless training scenes, and a fixed set of held-out ones from the renderer."""

    def __init__(self, bank: Bank, config: PretrainConfig, num_workers: int) -> None:
        """Draws nothing yet.

        Args:
            bank: The covers.
            config: The settings.
            num_workers: Processes that render; the result does not depend on it.
        """
        super().__init__()
        self.bank = bank
        self.config = config
        self.num_workers = num_workers
        self.held_out: list[tuple[int, *Batch]] = []

    def setup(self, stage: str) -> None:
        """Renders the held-out scenes, once."""
        if not self.held_out:
            numbers = range(-(-self.config.val_scenes // VAL_BATCH))
            dataset = RenderedBatches(self.bank, self.config, "val")
            self.held_out = list(_loader(dataset, list(numbers), self.num_workers, keep=False))

    def train_dataloader(self) -> DataLoader[object]:
        """One batch a step."""
        trainer = self.trainer
        assert trainer is not None
        sampler = RoundSampler(self.config.round_steps, lambda: trainer.global_step)
        dataset = RenderedBatches(self.bank, self.config, "train")
        return _loader(dataset, sampler, self.num_workers)

    def val_dataloader(self) -> DataLoader[object]:
        """The held-out scenes."""
        return DataLoader(self.held_out, batch_size=None)  # type: ignore[arg-type]

    def on_after_batch_transfer(self, batch: tuple[int, *Batch], dataloader_idx: int) -> Batch:
        """Augments a batch of training and normalises it."""
        assert self.trainer is not None
        number, pixels, ids, areas = batch
        images = pixels.float() / 255
        if self.trainer.training:
            images = self.augment(images, number)
        return normalise(images), ids, areas

    def augment(self, images: Tensor, step: int) -> Tensor:
        """Colour and erasing, decided by the step."""
        seed = mix_seed(self.config.seed, Stream.COLOUR_AND_ERASE, step)
        rng = torch.Generator(images.device).manual_seed(seed)
        return erase(jitter_colour(images, rng, self.config.colour), rng, self.config.erase)


def mix_seed(*numbers: int) -> int:
    """Hashes several numbers to a 63-bit seed."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _loader(
    dataset: RenderedBatches,
    sampler: Sampler[int] | list[int],
    num_workers: int,
    *,
    keep: bool = True,
) -> DataLoader[object]:
    if num_workers:
        # A forked process that inherits OpenCV's pool of threads waits for them forever.
        cv2.setNumThreads(0)
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=sampler,
        num_workers=num_workers,
        persistent_workers=keep and num_workers > 0,
        worker_init_fn=_lower_priority,
    )


def _lower_priority(worker: int) -> None:
    """Lowers a worker's priority, so that it does not delay the threads of the convolutions."""
    if hasattr(os, "nice"):
        os.nice(10)


def default_cache() -> Path:
    """Default folder of the cached covers."""
    return Path.home() / ".cache" / "bookcls"
