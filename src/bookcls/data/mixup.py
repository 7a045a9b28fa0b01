"""Mixup of a batch when it is collated (Zhang et al. 2018, arXiv 1710.09412)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from bookcls.data.streams import Stream

Item = tuple[Tensor, int | Tensor, int]
"""An image, float32 (3, H, W); its label, or its soft target (C,); the seed of its draw."""


def blend(
    images: Tensor, target: Tensor, rng: np.random.Generator, alpha: float
) -> tuple[Tensor, Tensor]:
    """Blends each image of a batch, and its target, with another image of the batch.

    Args:
        images: float (N, C, H, W): images, or activations of frozen layers (manifold mixup,
            Verma et al. 2019, arXiv 1806.05236).
        target: float32 (N, num_classes), rows sum to 1.
        rng: Random generator.
        alpha: lam is drawn from Beta(alpha, alpha), once per batch; 0 disables mixup.

    Returns:
        The blended images and targets.
    """
    if alpha == 0:
        return images, target
    lam = float(rng.beta(alpha, alpha))
    # Activations may already be on the device, while targets are on the CPU.
    partner = torch.from_numpy(rng.permutation(len(images)))
    blended = lam * images + (1 - lam) * images[partner.to(images.device)]
    return blended, lam * target + (1 - lam) * target[partner.to(target.device)]


class MixupCollate:
    """Collates a batch and applies mixup."""

    def __init__(self, num_classes: int, alpha: float = 0.0) -> None:
        """Creates the collate function.

        Args:
            num_classes: Number of classes, the width of the targets.
            alpha: See :func:`blend`.
        """
        self.num_classes = num_classes
        self.alpha = alpha

    def __call__(self, items: Sequence[Item]) -> tuple[Tensor, Tensor]:
        """Collates a batch; the first item's seed determines the blend.

        Args:
            items: Images of equal size with labels or targets, and seeds.

        Returns:
            Images, float32 (N, 3, H, W), and targets, float32 (N, num_classes), rows sum to 1.
        """
        images = torch.stack([image for image, _, _ in items])
        target = torch.stack([self._target(label) for _, label, _ in items])
        rng = np.random.default_rng([items[0][2], Stream.MIXUP])
        return blend(images, target, rng, self.alpha)

    def _target(self, label: int | Tensor) -> Tensor:
        if isinstance(label, Tensor):
            return label
        return one_hot(torch.tensor(label), self.num_classes).float()
