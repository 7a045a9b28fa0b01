"""A sampler that balances the classes by oversampling; reproducible from a seed."""

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from bookcls.data.streams import Stream

Draw = tuple[int, int]
"""Index of the photo, and a seed for this draw."""


class OverSampler(Sampler[Draw]):
    """Oversamples small classes until each is as frequent as the largest.

    imbalanced-learn's RandomOverSampler chooses the indices, differently in each epoch; every photo
    is drawn at least once. With several processes, each draws its own share.
    """

    def __init__(
        self,
        labels: Sequence[int],
        *,
        seed: int,
        oversample: bool = True,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Creates the sampler.

        Args:
            labels: Class of each photo.
            seed: Seed of the order, the oversampling and the seeds of the draws.
            oversample: Whether to oversample; False draws each photo once.
            rank: Rank of this process.
            world_size: Number of processes.
        """
        self.labels = np.asarray(labels)
        self.seed = seed
        self.oversample = oversample and len(set(np.bincount(self.labels)) - {0}) > 1
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch; Lightning calls this at the start of each epoch."""
        self.epoch = epoch

    def indices(self, epoch: int) -> list[int]:
        """Indices of the photos of an epoch, over all processes, in order."""
        rng = np.random.default_rng([self.seed, Stream.ORDER, epoch])
        indices = np.arange(len(self.labels))
        if self.oversample:
            # Imported late: with scikit-learn, it takes half as long to import as torch.
            from imblearn.over_sampling import RandomOverSampler

            picker = RandomOverSampler(random_state=int(rng.integers(2**31)))
            with warnings.catch_warnings():
                # scikit-learn mistakes classes of one or two photos for a regression target.
                warnings.simplefilter("ignore", UserWarning)
                picker.fit_resample(indices.reshape(-1, 1), self.labels)
            indices = picker.sample_indices_
        order = rng.permutation(indices)
        # Every process needs the same number of batches, or the exchange of gradients hangs.
        drawn: list[int] = np.resize(order, self.world_size * len(self)).tolist()
        return drawn

    def __iter__(self) -> Iterator[Draw]:
        epoch = self.epoch
        drawn = self.indices(epoch)
        for position in range(self.rank, len(drawn), self.world_size):
            seeds = np.random.SeedSequence([self.seed, Stream.DRAW, epoch, position])
            yield drawn[position], int(seeds.generate_state(1)[0])

    def __len__(self) -> int:
        counts = np.bincount(self.labels)
        counts = counts[counts > 0]
        total = int(counts.max()) * len(counts) if self.oversample else len(self.labels)
        return -(-total // self.world_size)
