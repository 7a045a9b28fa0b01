"""What the frozen layers make of augmented batches: made once, then replayed.

Frozen layers give the same answer to the same input, so a run that draws from a fixed number of
augmented views of each photo needs them for these views alone. What is lost is variety.
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
    """A batch beyond the frozen layers.

    Attributes:
        activations: (N, C, H, W) in channels_last, what the first trained layer takes.
        target: float32 (N, num_classes).
    """

    activations: Tensor
    target: Tensor


class CachedViews:
    """The batches of a training loader, without the frozen layers' work from some epoch on.

    The first ``num_views`` epochs draw and augment as ever. Later ones draw from what the
    frozen layers made of these, in new batches: each once in ``num_views`` epochs. After a resume
    the first epochs are drawn again, and come out the same.

    Attributes:
        sampler: The loader's; Lightning tells it the epoch.
    """

    def __init__(
        self,
        loader: DataLoader[Any],
        frozen: Callable[[Tensor], Tensor],
        num_views: int,
        *,
        seed: int,
        cache_mb: float,
        alphas: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Starts empty.

        Args:
            loader: Batches of images and targets, not blended yet.
            frozen: Images (N, 3, H, W) -> activations (N, C, H', W').
            num_views: Epochs that are kept.
            seed: Decides the order of the replay.
            cache_mb: Megabytes (10^6 bytes) that the activations may take.
            alphas: Mixup's and CutMix's, see :func:`bookcls.data.mixup.blend`.
        """
        assert isinstance(loader.sampler, OverSampler)
        self.loader, self.frozen, self.num_views = loader, frozen, num_views
        self.sampler = loader.sampler
        self.seed, self.cache_mb, self.alphas = seed, cache_mb, alphas
        self._missing = set(range(num_views))
        self._activations: Tensor | None = None
        self._target: Tensor | None = None

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[View]:
        """Batches of the epoch that the sampler was told.

        Raises:
            BookclsError: If the activations take more memory than they may.
        """
        epoch = self.sampler.epoch
        if epoch and self._activations is None:
            self._keep(0)  # after a resume: shows how many views there is room for
        while epoch >= self.num_views and self._missing:
            self._keep(min(self._missing))
        self.sampler.set_epoch(epoch)
        views = self._draw(epoch) if epoch < self.num_views else self._replay(epoch)
        # Blended here, beyond the frozen layers, so that what is kept meets new partners.
        for step, view in enumerate(views):
            rng = np.random.default_rng([self.seed, Stream.MIXUP, epoch, step, self.sampler.rank])
            yield View(*blend(*view, rng, *self.alphas))

    def _keep(self, epoch: int) -> None:
        for _ in self._draw(epoch):
            pass

    def _draw(self, epoch: int) -> Iterator[View]:
        self.sampler.set_epoch(epoch)
        row = epoch * len(self.sampler)
        for images, target in self.loader:
            view = View(self.frozen(images), target)
            if self._activations is None or self._target is None:
                self._activations, self._target = self._room(view)
            rows = slice(row, row + len(target))
            # Photo, row, column, channel: a photo's values lie together, as channels_last has them.
            self._activations[rows] = view.activations.permute(0, 2, 3, 1)
            self._target[rows] = target
            row = rows.stop
            if row == (epoch + 1) * len(self.sampler):
                # Before the last batch is handed out: Lightning does not ask for another.
                self._missing.discard(epoch)
            yield view

    def _room(self, view: View) -> tuple[Tensor, Tensor]:
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
        assert self._activations is not None
        assert self._target is not None
        cycle, part = divmod(epoch - self.num_views, self.num_views)
        rng = np.random.default_rng([self.seed, Stream.REPLAY, cycle])
        order = rng.permutation(len(self._target))
        drawn = torch.from_numpy(order[part * len(self.sampler) :][: len(self.sampler)])
        for rows in torch.split(drawn, self.loader.batch_size or 1):
            kept = self._activations[rows.to(self._activations.device)]
            yield View(kept.permute(0, 3, 1, 2), self._target[rows])
