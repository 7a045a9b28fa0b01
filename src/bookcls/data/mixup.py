"""Mixup (Zhang et al. 2018, arXiv 1710.09412) and CutMix (Yun et al. 2019, arXiv 1905.04899).

Both blend the photos of a batch as it is collated.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from bookcls.data.streams import Stream

Item = tuple[Tensor, int | Tensor, int]
"""An image, float32 (3, H, W); its label, or its soft target (C,); the seed of its draw."""


class MixupCollate:
    """Blends each photo of a batch, and its label, with another photo of the batch."""

    def __init__(self, num_classes: int, alpha: float = 0.0, cutmix_alpha: float = 0.0) -> None:
        """Prepares the blend.

        Args:
            num_classes: Width of the targets.
            alpha: Mixup's; lam is drawn from Beta(alpha, alpha), once a batch; 0 for none.
            cutmix_alpha: CutMix's; with both, each batch gets one or the other, at even odds.
        """
        self.num_classes = num_classes
        self.alpha, self.cutmix_alpha = alpha, cutmix_alpha

    def __call__(self, items: Sequence[Item]) -> tuple[Tensor, Tensor]:
        """Makes a batch; the first item's seed decides the blend.

        Args:
            items: Images of equal size with labels or targets, and seeds.

        Returns:
            Images, float32 (N, 3, H, W), and targets, float32 (N, num_classes), rows sum to 1.
        """
        images = torch.stack([image for image, _, _ in items])
        target = torch.stack([self._target(label) for _, label, _ in items])
        alpha = self.alpha or self.cutmix_alpha
        if alpha == 0:
            return images, target
        rng = np.random.default_rng([items[0][2], Stream.MIXUP])
        cut = self.alpha == 0
        if self.alpha and self.cutmix_alpha and rng.random() < 0.5:
            alpha, cut = self.cutmix_alpha, True
        lam = float(rng.beta(alpha, alpha))
        partner = torch.from_numpy(rng.permutation(len(items)))
        if cut:
            rows, cols = random_box(rng, lam, images.shape[2], images.shape[3])
            blended = images.clone()
            blended[:, :, rows, cols] = images[partner][:, :, rows, cols]
            # The box may extend past the border.
            area = (rows.stop - rows.start) * (cols.stop - cols.start)
            lam = 1 - area / (images.shape[2] * images.shape[3])
        else:
            blended = lam * images + (1 - lam) * images[partner]
        return blended, lam * target + (1 - lam) * target[partner]

    def _target(self, label: int | Tensor) -> Tensor:
        if isinstance(label, Tensor):
            return label
        return one_hot(torch.tensor(label), self.num_classes).float()


def random_box(
    rng: np.random.Generator, lam: float, height: int, width: int
) -> tuple[slice, slice]:
    """Draws a box that covers 1 - lam of the image, except for what is outside its border."""
    found = []
    for side in (height, width):
        half = round(side * math.sqrt(1 - lam)) // 2
        middle = int(rng.integers(side))
        found.append(slice(max(0, middle - half), min(side, middle + half)))
    return found[0], found[1]
