"""The LightningModule of pretraining: VGG16 with BatchNorm that names the covers in a scene."""

import math
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchvision.models import vgg16_bn

from bookcls.errors import BookclsError
from bookcls.pretraining.data import Batch
from bookcls.pretraining.targets import is_hit, soft_targets
from bookcls.training.schedule import warmup_cosine


class Pretrainer(pl.LightningModule):
    """torchvision's ``vgg16_bn`` features, global average pooling, one linear layer.

    All constructor arguments are plain values, so that a checkpoint rebuilds the model by itself.
    """

    def __init__(
        self,
        num_identities: int,
        *,
        min_share: float = 0.01,
        optimizer: str = "adamw",
        lr: float = 1e-3,
        weight_decay: float = 0.05,
        warmup_steps: int = 0,
        num_steps: int = 1,
    ) -> None:
        """Builds the network with random weights.

        Args:
            num_identities: Covers that are classes; "none" comes on top.
            min_share: See :func:`bookcls.pretraining.targets.soft_targets`.
            optimizer: ``adamw``, or ``sgd`` with Nesterov's momentum.
            lr: Peak learning rate.
            weight_decay: Of the weights of convolutions and the linear layer alone.
            warmup_steps: Steps over which the rate rises.
            num_steps: Steps in all, at the end of which the rate is zero.
        """
        super().__init__()
        self.save_hyperparameters()
        self.features = make_features()
        self.head = nn.Linear(512, num_identities + 1)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float32 (N, num_identities + 1), of normalised images (N, 3, S, S)."""
        pooled = self.features(images).mean(dim=(2, 3))
        logits: Tensor = self.head(pooled)
        return logits.float()

    def _scores(self, batch: Batch) -> tuple[Tensor, Tensor]:
        images, ids, areas = batch
        hp = self.hparams
        target = soft_targets(ids, areas, hp["num_identities"], hp["min_share"])
        logits = self(images)
        return cross_entropy(logits, target), is_hit(logits, target).float().mean()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Cross-entropy against soft targets.

        Raises:
            BookclsError: If the loss is not finite, on a CPU; elsewhere after the round, since
                looking at each loss would hold the device up.
        """
        loss, acc = self._scores(batch)
        if self.device.type == "cpu":
            self.check(loss.detach())
        self.log("train/loss", loss, batch_size=len(batch[0]), on_step=True, on_epoch=True)
        self.log("train/acc", acc, batch_size=len(batch[0]), on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss, and how often the likeliest class is one that is to be seen."""
        loss, acc = self._scores(batch)
        self.log("val/loss", loss, batch_size=len(batch[0]), on_epoch=True)
        self.log("val/acc", acc, batch_size=len(batch[0]), on_epoch=True)

    def check(self, loss: Tensor) -> None:
        """Refuses a loss that is not finite."""
        if not math.isfinite(float(loss)):
            raise BookclsError(
                f"the loss became {float(loss)} by step {self.global_step}. The last checkpoint is "
                f"kept. Try a lower lr (it was {self.hparams['lr']:g}) or more warmup_steps."
            )

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Decay for weights but not for biases and BatchNorm; warm-up and cosine in steps."""
        hp = self.hparams
        groups: list[dict[str, Any]] = [
            {"params": [p for p in self.parameters() if p.ndim > 1]},
            {"params": [p for p in self.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer: torch.optim.Optimizer
        if hp["optimizer"] == "sgd":
            optimizer = torch.optim.SGD(
                groups, hp["lr"], momentum=0.9, nesterov=True, weight_decay=hp["weight_decay"]
            )
        else:
            optimizer = torch.optim.AdamW(groups, hp["lr"], weight_decay=hp["weight_decay"])
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: warmup_cosine(step, hp["num_steps"], hp["warmup_steps"])
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def make_features() -> nn.Sequential:
    """``vgg16_bn().features`` with random weights: He's (arXiv 1502.01852), as torchvision's."""
    # On "meta" the classifier of 120 M parameters that comes along takes no time and memory.
    with torch.device("meta"):
        features: nn.Sequential = vgg16_bn(weights=None).features
    features = features.to_empty(device="cpu")
    for module in features:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            assert module.bias is not None
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    return features
