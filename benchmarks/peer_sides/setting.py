"""What all sides are told."""

import torch
from torch import nn

from bookcls.models.layers import first_trained


class Setting:
    """Photos, size, batch, frozen layers, number of classes; the same for every side."""

    def __init__(
        self, root: str, size: int, freeze_to: str, workers: int, precision: str, *, toy: bool
    ) -> None:
        """Takes plain values, as they come through a pipe."""
        self.root = root
        self.size = size
        self.batch = 16
        self.freeze_to = None if freeze_to == "null" else freeze_to
        self.workers = workers
        self.precision = precision
        self.toy = toy
        self.first = first_trained(self.freeze_to)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def small_head(num_classes: int) -> nn.Sequential:
    """Ours, for peers whose own VGG16 ends in 120 million parameters that nobody fine-tunes."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 256), nn.ReLU(),
        nn.Linear(256, num_classes),
    )  # fmt: skip


def freeze(features: nn.Sequential, first: int) -> None:
    """Freezes the layers before ``first``."""
    for layer in features[:first]:
        layer.requires_grad_(False)
