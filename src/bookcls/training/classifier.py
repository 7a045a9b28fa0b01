"""The LightningModule: two-stage training, validation, and tests on several splits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from bookcls.data.preprocessing import Preprocessing
from bookcls.data.streams import Stream
from bookcls.models.vgg16 import VGG16, to_channels_last
from bookcls.models.weights import MEAN, STD
from bookcls.scoring.evaluation import Evaluation
from bookcls.training.divergence import check_finite
from bookcls.training.hparams import check_hparams
from bookcls.training.loss import training_loss
from bookcls.training.optimizer import FP16, make_optimizer
from bookcls.training.views import View


class Classifier(pl.LightningModule):
    """VGG16 that predicts one class per photo.

    All constructor arguments are plain values, so a checkpoint is enough to rebuild the model.
    """

    def __init__(
        self,
        class_names: list[str],
        *,
        image_size: int = 128,
        fit: str = "letterbox",
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
        head: str = "gap256",
        dropout: float = 0.0,
        freeze_to: str | int | None = None,
        probe_epochs: int = 0,
        probe_lr: float = 1e-3,
        lr: float = 2e-4,
        layer_decay: float = 1.0,
        warmup_steps: int = 0,
        weight_decay: float = 0.01,
        label_smoothing: float = 0.0,
        seed: int = 0,
        weights: str = "none (from scratch)",
        activation: str = "softmax",
    ) -> None:
        """Creates the network.

        Args:
            class_names: Sorted names; a label is an index into them.
            image_size: Side of the square input in pixels.
            fit: How a photo is made square, see :func:`bookcls.data.images.fit_square`.
            mean: Mean of RGB in [0, 1] for normalisation.
            std: Standard deviation of RGB in [0, 1].
            head: See :class:`bookcls.models.vgg16.VGG16`.
            dropout: Dropout probability in the head.
            freeze_to: The layers before it stay frozen, see
                :func:`bookcls.models.layers.first_trained`.
            probe_epochs: Epochs in which only the head is trained (LP-FT, arXiv 2202.10054).
            probe_lr: Peak learning rate of these epochs.
            lr: Peak learning rate of fine-tuning.
            layer_decay: Factor from a block's learning rate to that of the block below.
            warmup_steps: Warm-up steps of fine-tuning, divided among the processes.
            weight_decay: Weight decay of AdamW.
            label_smoothing: Share of the target that is spread over all classes.
            seed: Seed of dropout.
            weights: Description of the initial weights, for the record.
            activation: ``softmax`` or ``sigmoid``, see :class:`bookcls.models.vgg16.VGG16`.
        """
        super().__init__()
        self.save_hyperparameters()
        self.class_names = class_names
        self.model = VGG16(
            len(class_names),
            image_size=image_size,
            head=head,
            dropout=dropout,
            freeze_to=freeze_to,
            activation=activation,
        )
        to_channels_last(self.model)
        # The default, "warn", would leave NaN out of the mean.
        self.train_loss = MeanMetric(nan_strategy="disable")
        self.val_acc = MulticlassAccuracy(len(class_names), average="micro")
        # Empty until run_tests replaces it.
        self.evaluation = Evaluation([], len(class_names))

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing from a photo to an input of the network."""
        return Preprocessing.from_hparams(self.hparams)

    def forward(self, images: Tensor) -> Tensor:
        """Computes logits, float32 (N, C), of normalised images, float32 (N, 3, H, W)."""
        logits: Tensor = self.model(images.contiguous(memory_format=torch.channels_last))
        return logits.float()

    def probs(self, images: Tensor, rotations: int = 1) -> Tensor:
        """Computes probabilities, float32 (N, C), averaged over rotations of the images.

        Args:
            images: float32 (N, 3, H, W), normalised.
            rotations: 1; 2: also upside down; 4: also both quarter turns.
        """
        turns = [turn * 4 // rotations for turn in range(rotations)]
        # Quarter turns of a square are exact: nothing is interpolated or padded.
        views = (images.rot90(turn, (2, 3)) for turn in turns)
        return torch.stack([self(view).softmax(dim=1) for view in views]).mean(dim=0)

    @torch.no_grad()
    def frozen(self, images: Tensor) -> Tensor:
        """Computes the frozen layers' output, (N, C, H, W), in the precision of training."""
        images = images.to(self.device).contiguous(memory_format=torch.channels_last)
        with self.trainer.precision_plugin.forward_context():
            return self.model.forward_frozen(images)

    @torch.no_grad()
    def load_probe(self, weight: npt.NDArray[np.float64], bias: npt.NDArray[np.float64]) -> None:
        """Initialises a ``linear`` head from a probe (LP-FT, Kumar et al., arXiv 2202.10054).

        Args:
            weight: float (C, 512).
            bias: float (C,).
        """
        last = self.model.head.fc2
        assert isinstance(last, torch.nn.Linear)
        last.weight.copy_(torch.from_numpy(weight))
        last.bias.copy_(torch.from_numpy(bias))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Rejects a checkpoint with unknown or invalid hyperparameters.

        Raises:
            ValueError: If there is such a hyperparameter.
        """
        check_hparams(checkpoint["hyper_parameters"], self.hparams)

    def on_train_epoch_start(self) -> None:
        """Freezes the layers that the current stage does not train."""
        self.model.freeze(head_only=self.current_epoch < self.hparams["probe_epochs"])

    def on_train_batch_start(self, batch: tuple[Tensor, Tensor] | View, batch_idx: int) -> None:
        """Makes dropout depend only on the seed and the step, so that a resumed run repeats it."""
        if not self.hparams["dropout"]:
            return  # Nothing else uses torch's generators, and seeding all devices takes time.
        step = [self.hparams["seed"], Stream.DROPOUT, self.global_step, self.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(step).generate_state(1)[0]))

    def training_step(self, batch: tuple[Tensor, Tensor] | View, batch_idx: int) -> Tensor:
        """Computes the loss of a batch of images or of the frozen layers' outputs.

        Raises:
            DivergedError: If the loss is not finite. Only on a CPU: elsewhere, reading each loss
                would stall the device, and the loss is checked after the epoch.
        """
        inputs, target = batch
        logits = (
            self.model.forward_trainable(inputs).float()
            if isinstance(batch, View)
            else self(inputs)
        )
        loss = training_loss(
            logits,
            target,
            activation=self.hparams["activation"],
            label_smoothing=self.hparams["label_smoothing"],
        )
        if self.device.type == "cpu":
            self._check_finite(loss.detach())
        self.train_loss.update(loss.detach(), len(target))
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self) -> None:
        """Checks that the loss of the epoch is finite."""
        self._check_finite(self.train_loss.compute())

    def _check_finite(self, loss: Tensor) -> None:
        check_finite(float(loss), epoch=self.current_epoch + 1, lr=self.hparams["lr"])

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Computes loss and accuracy on held-out photos, without augmentation."""
        images, target = batch
        logits = self(images)
        self.val_acc.update(logits, target.argmax(dim=1))
        loss = cross_entropy(logits, target)
        self.log("val/loss", loss, batch_size=len(images), on_epoch=True, sync_dist=True)
        self.log("val/acc", self.val_acc, on_epoch=True)

    def test_step(
        self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Adds a batch of one split to the evaluation."""
        images, labels, accepted = batch
        probs = self.probs(images, self.evaluation.rotations)
        self.evaluation.update(dataloader_idx, probs, labels, accepted)

    def on_test_epoch_end(self) -> None:
        """Logs the scores of each split."""
        for name, value in self.evaluation.compute().items():
            self.log(name, float(value), add_dataloader_idx=False)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips the norm of all gradients.

        Lightning's own clipping rejects fused optimizers in mixed precision.
        """
        if self.trainer.precision == FP16:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val:
            clip_grad_norm_(self.model.parameters(), gradient_clip_val)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Creates the optimizer and its schedule, see :func:`.optimizer.make_optimizer`."""
        return make_optimizer(
            self.model,
            self.hparams,
            precision=str(self.trainer.precision),
            total_steps=int(self.trainer.estimated_stepping_batches),
            max_epochs=self.trainer.max_epochs or 1,
            world_size=self.trainer.world_size,
        )
