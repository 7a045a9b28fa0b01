"""Mixup (Zhang et al. 2018, arXiv 1710.09412) as a collate over the batch."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

Item = tuple[Tensor, int | Tensor, int]
"""An image, float32 (3, H, W); its label, or its soft target (C,); the seed of its draw."""


class MixupCollate:
    """Blends each photo of a batch with another one of it, and their labels likewise."""

    def __init__(self, num_classes: int, alpha: float = 0.0) -> None:
        """Prepares the blend.

        Args:
            num_classes: Width of the targets.
            alpha: lam is drawn from Beta(alpha, alpha), once a batch; 0 leaves the batch as it is.
        """
        self.num_classes = num_classes
        self.alpha = alpha

    def __call__(self, items: Sequence[Item]) -> tuple[Tensor, Tensor]:
        """Makes a batch; the first item's seed decides the blend.

        Args:
            items: Images of equal size with labels or targets, and seeds.

        Returns:
            Images, float32 (N, 3, H, W), and targets, float32 (N, num_classes), rows sum to 1.
        """
        images = torch.stack([image for image, _, _ in items])
        target = torch.stack([self._target(label) for _, label, _ in items])
        if self.alpha == 0:
            return images, target
        rng = np.random.default_rng([items[0][2], 4])
        lam = float(rng.beta(self.alpha, self.alpha))
        partner = torch.from_numpy(rng.permutation(len(items)))
        return (
            lam * images + (1 - lam) * images[partner],
            lam * target + (1 - lam) * target[partner],
        )

    def _target(self, label: int | Tensor) -> Tensor:
        if isinstance(label, Tensor):
            return label
        return one_hot(torch.tensor(label), self.num_classes).float()
