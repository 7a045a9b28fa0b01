"""Caches the output of the frozen layers for augmented batches, and replays it.

Frozen layers compute the same output for the same input. A run that uses a fixed number of
augmented views of each photo therefore needs them only once per view; it loses variety.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from bookcls.data.mixup import blend
from bookcls.data.sampler import OverSampler
from bookcls.data.streams import Stream
from bookcls.errors import BookclsError


class View(NamedTuple):
    """A batch of outputs of the frozen layers.

    Attributes:
        activations: (N, C, H, W) in channels_last, the input of the first trained layer.
        target: float32 (N, num_classes), soft targets.
    """

    activations: Tensor
    target: Tensor


class CachedViews:
    """A training loader that runs the frozen layers only in the first epochs.

    The first ``num_views`` epochs draw and augment photos as usual. Later epochs draw from the
    cached outputs of the frozen layers, in new batches, each once every ``num_views`` epochs. After
    a resume, the first epochs are drawn again, with the same result.

    Attributes:
        sampler: The loader's sampler; Lightning sets its epoch.
    """

    def __init__(
        self,
        loader: DataLoader[Any],
        forward_frozen: Callable[[Tensor], Tensor],
        num_views: int,
        *,
        seed: int,
        cache_mb: float,
        alpha: float = 0.0,
    ) -> None:
        """Starts empty.

        Args:
            loader: Batches of images and targets, before mixup.
            forward_frozen: Maps images (N, 3, H, W) to activations (N, C, H', W').
            num_views: Number of epochs to cache.
            seed: Seed of the replay order.
            cache_mb: Maximum size of the activations, in megabytes (10^6 bytes).
            alpha: Parameter of mixup, see :func:`bookcls.data.mixup.blend`.
        """
        assert isinstance(loader.sampler, OverSampler)
        self.loader, self.forward_frozen, self.num_views = loader, forward_frozen, num_views
        self.sampler = loader.sampler
        self.seed, self.cache_mb, self.alpha = seed, cache_mb, alpha
        self._missing = set(range(num_views))
        self._activations: Tensor | None = None
        self._target: Tensor | None = None

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[View]:
        """Yields the batches of the sampler's current epoch.

        Raises:
            BookclsError: If ``cache_mb`` is too little for a single view.
        """
        epoch = self.sampler.epoch
        if epoch and self._activations is None:
            self._fill(0)  # after a resume: determines how many views fit
        while epoch >= self.num_views and self._missing:
            self._fill(min(self._missing))
        self.sampler.set_epoch(epoch)
        views = self._draw(epoch) if epoch < self.num_views else self._replay(epoch)
        # Blended after the frozen layers, so that cached views get new partners.
        for step, view in enumerate(views):
            rng = np.random.default_rng([self.seed, Stream.MIXUP, epoch, step, self.sampler.rank])
            yield View(*blend(*view, rng, self.alpha))

    def _fill(self, epoch: int) -> None:
        """Caches the views of an epoch."""
        for _ in self._draw(epoch):
            pass

    def _draw(self, epoch: int) -> Iterator[View]:
        """Runs the frozen layers on the batches of an epoch, and caches their output."""
        self.sampler.set_epoch(epoch)
        row = epoch * len(self.sampler)
        for images, target in self.loader:
            view = View(self.forward_frozen(images), target)
            if self._activations is None or self._target is None:
                self._activations, self._target = self._allocate(view)
            rows = slice(row, row + len(target))
            # (N, H, W, C): the values of a photo are contiguous, as in channels_last.
            self._activations[rows] = view.activations.permute(0, 2, 3, 1)
            self._target[rows] = target
            row = rows.stop
            if row == (epoch + 1) * len(self.sampler):
                # Before the last batch is yielded, since Lightning does not request another one.
                self._missing.discard(epoch)
            yield view

    def _allocate(self, view: View) -> tuple[Tensor, Tensor]:
        """Allocates the cache; reduces ``num_views`` if not all fit into ``cache_mb``."""
        num_kept = self.num_views * len(self.sampler)
        one = view.activations[0]
        needed = num_kept * one.numel() * one.element_size() / 1e6
        if needed > self.cache_mb:
            fits = int(self.cache_mb / needed * self.num_views)
            if not fits:
                raise BookclsError(
                    f"data.cached_views={self.num_views} needs {math.ceil(needed)} MB of memory, "
                    f"and data.cache_mb={self.cache_mb:g} is too little for a single view: give "
                    "data.cached_views=0, a later model.freeze_to, or a larger data.cache_mb."
                )
            print(
                f"note: data.cache_mb={self.cache_mb:g} has room for {fits} of "
                f"{self.num_views} cached views ({math.ceil(needed)} MB).",
                flush=True,
            )
            self.num_views, self._missing = fits, set(range(fits))
            num_kept = fits * len(self.sampler)
        channels, height, width = one.shape
        return (
            view.activations.new_empty((num_kept, height, width, channels)),
            view.target.new_empty((num_kept, view.target.shape[1])),
        )

    def _replay(self, epoch: int) -> Iterator[View]:
        """Yields cached views in a new random order."""
        assert self._activations is not None
        assert self._target is not None
        cycle, part = divmod(epoch - self.num_views, self.num_views)
        rng = np.random.default_rng([self.seed, Stream.REPLAY, cycle])
        order = rng.permutation(len(self._target))
        drawn = torch.from_numpy(order[part * len(self.sampler) :][: len(self.sampler)])
        for rows in torch.split(drawn, self.loader.batch_size or 1):
            kept = self._activations[rows.to(self._activations.device)]
            yield View(kept.permute(0, 3, 1, 2), self._target[rows])
