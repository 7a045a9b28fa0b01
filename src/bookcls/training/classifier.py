"""The LightningModule: two-stage training, validation, and tests on several splits."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torch.nn.utils import clip_grad_norm_
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from bookcls.data.preprocessing import Preprocessing
from bookcls.data.streams import Stream
from bookcls.errors import BookclsError
from bookcls.models.layers import HEADS, block_of
from bookcls.models.state_dict import UNREADABLE, load_plain
from bookcls.models.vgg16 import VGG16, to_channels_last
from bookcls.models.weights import MEAN, STD
from bookcls.scoring.scores import SplitScores
from bookcls.training.schedule import warmup_cosine
from bookcls.training.views import View

HEAD = 6
"""The head counts as the block after VGG's fifth when learning rates fall with depth."""
FP16 = "16-mixed"
"""Its loss is scaled, and a fused optimizer would take the scale back only after the clipping."""


PRESENT = 0.1
"""A class with a larger share of a target is in the photo, for a head of sigmoids."""


class DivergedError(BookclsError):
    """The loss is no longer a number."""


def suggest_gentler(lr: float) -> str:
    """What to change after training has diverged, given its ``optim.lr``."""
    return (
        f"Try a lower optim.lr (it was {lr:g}), a longer optim.warmup_images, optim.clip_norm=1 or "
        "trainer.precision=32-true."
    )


class Classifier(pl.LightningModule):
    """VGG16 that learns to name one class per photo.

    All constructor arguments are plain values, so that a checkpoint rebuilds the model by itself.
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
        """Builds the network.

        Args:
            class_names: Sorted names; a label is an index into them.
            image_size: Side of the square input in pixels.
            fit: How a photo is brought to it, see :func:`bookcls.data.images.fit_square`.
            mean: Mean of RGB in [0, 1] for normalisation.
            std: Standard deviation of RGB in [0, 1].
            head: See :class:`bookcls.models.vgg16.VGG16`.
            dropout: Probability of dropout in the head.
            freeze_to: Layers before it stay frozen, see :func:`.layers.first_trained`.
            probe_epochs: Epochs in which the head trains alone (LP-FT, arXiv 2202.10054).
            probe_lr: Learning rate of the probe.
            lr: Peak learning rate of fine-tuning.
            layer_decay: Each block's rate is that of the one above it times this.
            warmup_steps: Steps (of one process) of the warm-up of fine-tuning.
            weight_decay: AdamW's.
            label_smoothing: Share of the target spread over all classes.
            seed: Decides dropout.
            weights: Where the first weights came from, for the record.
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
        # "warn", the default, would leave numbers that are none out of the mean.
        self.train_loss = MeanMetric(nan_strategy="disable")
        self.val_acc = MulticlassAccuracy(len(class_names), average="micro")
        self.test_names: list[str] = []
        self.test_scores = torch.nn.ModuleList()
        self.test_rotations = 1
        self.test_probs: dict[str, list[Tensor]] = {}
        self.test_metrics: dict[str, float] = {}

    @property
    def preprocessing(self) -> Preprocessing:
        """How a photo becomes an input of this network."""
        return Preprocessing.from_hparams(self.hparams)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float32 (N, C), of normalised images, float32 (N, 3, H, W)."""
        logits: Tensor = self.model(images.contiguous(memory_format=torch.channels_last))
        return logits.float()

    def probs(self, images: Tensor, rotations: int = 1) -> Tensor:
        """Probabilities, float32 (N, C), mean over turns of the images.

        Args:
            images: float32 (N, 3, H, W), normalised.
            rotations: 1; 2: also upside down; 4: also both quarter turns.
        """
        turns = [turn * 4 // rotations for turn in range(rotations)]
        # A quarter turn of a square is exact: nothing is interpolated or padded.
        views = (images.rot90(turn, (2, 3)) for turn in turns)
        return torch.stack([self(view).softmax(dim=1) for view in views]).mean(dim=0)

    @torch.no_grad()
    def frozen(self, images: Tensor) -> Tensor:
        """What the frozen layers make of images, (N, C, H, W), in the precision of training."""
        images = images.to(self.device).contiguous(memory_format=torch.channels_last)
        with self.trainer.precision_plugin.forward_context():
            return self.model.forward_frozen(images)

    @torch.no_grad()
    def load_probe(self, weight: npt.NDArray[np.float64], bias: npt.NDArray[np.float64]) -> None:
        """Starts a ``linear`` head from a probe (LP-FT, Kumar et al., arXiv 2202.10054).

        Args:
            weight: float (C, 512).
            bias: float (C,).
        """
        last = self.model.head.fc2
        assert isinstance(last, torch.nn.Linear)
        last.weight.copy_(torch.from_numpy(weight))
        last.bias.copy_(torch.from_numpy(bias))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuses to go on from a checkpoint with hyper-parameters of a stranger.

        Raises:
            ValueError: Naming them.
        """
        check_hparams(checkpoint["hyper_parameters"])

    def on_train_epoch_start(self) -> None:
        """Freezes for the stage that the epoch belongs to."""
        self.model.freeze(head_only=self.current_epoch < self.hparams["probe_epochs"])

    def on_train_batch_start(self, batch: tuple[Tensor, Tensor] | View, batch_idx: int) -> None:
        """Makes dropout depend on seed and step alone, so that a resumed run repeats it."""
        if not self.hparams["dropout"]:
            return  # nothing else draws from torch, and seeding all devices takes its time
        step = [self.hparams["seed"], Stream.DROPOUT, self.global_step, self.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(step).generate_state(1)[0]))

    def training_step(self, batch: tuple[Tensor, Tensor] | View, batch_idx: int) -> Tensor:
        """Cross-entropy against soft targets, of images or from the frozen layers on.

        Raises:
            DivergedError: If the loss is not finite: at once on a CPU; elsewhere after the epoch,
                since looking at each loss would hold the device up.
        """
        inputs, target = batch
        logits = (
            self.model.forward_trainable(inputs).float()
            if isinstance(batch, View)
            else self(inputs)
        )
        loss = self._loss(logits, target)
        if self.device.type == "cpu":
            self._check(loss.detach())
        self.train_loss.update(loss.detach(), len(target))
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True)
        return loss

    def _loss(self, logits: Tensor, target: Tensor) -> Tensor:
        smoothing = self.hparams["label_smoothing"]
        if self.hparams["activation"] == "softmax":
            return cross_entropy(logits, target, label_smoothing=smoothing)
        # A class is there or not, however small its share; a trace of mixup counts as not.
        there = (target > PRESENT).float() * (1 - smoothing) + smoothing / target.shape[1]
        return binary_cross_entropy_with_logits(logits, there)

    def _check(self, loss: Tensor) -> None:
        if not math.isfinite(float(loss)):
            raise DivergedError(
                f"the loss became {float(loss)} in epoch {self.current_epoch + 1}. Checkpoints of "
                f"earlier epochs are kept. {suggest_gentler(self.hparams['lr'])}"
            )

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Loss and accuracy on held-out photos, without augmentation."""
        images, target = batch
        logits = self(images)
        self.val_acc.update(logits, target.argmax(dim=1))
        loss = cross_entropy(logits, target)
        self.log("val/loss", loss, batch_size=len(images), on_epoch=True, sync_dist=True)
        self.log("val/acc", self.val_acc, on_epoch=True)

    def on_train_epoch_end(self) -> None:
        """Refuses an epoch whose loss was not finite."""
        self._check(torch.as_tensor(self.train_loss.compute()))

    def on_test_start(self) -> None:
        """Prepares the scores of every split of the data module."""
        datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
        self.test_names = list(datamodule.tests)
        scores = [SplitScores(len(self.class_names)) for _ in self.test_names]
        self.test_scores = torch.nn.ModuleList(scores).to(self.device)
        self.test_probs = {name: [] for name in self.test_names}
        self.test_metrics = {}

    def test_step(
        self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Scores a batch of one split and keeps its probabilities."""
        images, labels, accepted = batch
        probs = self.probs(images, self.test_rotations)
        scores = cast(SplitScores, self.test_scores[dataloader_idx])
        scores.update(probs, labels, accepted)
        self.test_probs[self.test_names[dataloader_idx]].append(probs.cpu())

    def on_test_epoch_end(self) -> None:
        """Logs ``test/<split>_<score>`` and keeps the exact values in ``test_metrics``."""
        for name, scores in zip(self.test_names, self.test_scores, strict=True):
            for key, value in cast(SplitScores, scores).compute().items():
                self.test_metrics[f"test/{name}_{key}"] = value
                self.log(f"test/{name}_{key}", float(value), add_dataloader_idx=False)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips the norm of all gradients; in mixed precision Lightning's refuses fused ones."""
        if self.trainer.precision == FP16:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val:
            clip_grad_norm_(self.model.parameters(), gradient_clip_val)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW with a group per block, warm-up and cosine within each stage."""
        hp = self.hparams
        blocks: dict[int, list[torch.nn.Parameter]] = {}
        for index, module in enumerate(self.model.features):
            free = [p for p in module.parameters() if p.requires_grad]
            if free:
                blocks.setdefault(block_of(index), []).extend(free)
        groups = [
            {"params": params, "lr": hp["lr"] * hp["layer_decay"] ** (HEAD - block)}
            for block, params in sorted(blocks.items())
        ]
        groups.append({"params": list(self.model.head.parameters()), "lr": hp["lr"]})
        # None leaves torch its loop over all tensors at once on a GPU; False would not.
        fused = None if self.trainer.precision == FP16 else True
        optimizer = torch.optim.AdamW(groups, weight_decay=hp["weight_decay"], fused=fused)
        max_epochs = self.trainer.max_epochs or 1
        total = int(self.trainer.estimated_stepping_batches)
        probe = min(total, hp["probe_epochs"] * max(1, total // max_epochs))

        warmup = hp["warmup_steps"] // self.trainer.world_size

        def body(step: int) -> float:
            tuned = step - probe
            return 0.0 if tuned < 0 else warmup_cosine(tuned, total - probe, warmup)

        def head(step: int) -> float:
            if step < probe:
                return float(hp["probe_lr"] / hp["lr"]) * warmup_cosine(step, probe, 0)
            return body(step)

        factors: list[Callable[[int], float]] = [*[body] * (len(groups) - 1), head]
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factors)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def check_hparams(hparams: Mapping[str, Any]) -> None:
    """Refuses a stranger's hyper-parameters: names and values that no training of ours writes.

    Raises:
        ValueError: Naming what is unknown, such as an ``_instantiator``, or the value.
        LookupError: Or any other of UNREADABLE, if some are missing.
    """
    unknown = {str(name) for name in hparams} - set(inspect.signature(Classifier).parameters)
    if unknown:
        raise ValueError(f"unknown hyper-parameters {', '.join(sorted(unknown))}")
    names, size = hparams["class_names"], hparams["image_size"]
    right = {
        "class_names": isinstance(names, list)
        and all(isinstance(name, str) for name in names)
        and len(set(names)) == len(names) > 1,
        "image_size": type(size) is int and 32 <= size <= 1024,
        "fit": hparams["fit"] in ("letterbox", "squash"),
        "head": hparams["head"] in HEADS,
        "mean": len(hparams["mean"]) == 3 and all(math.isfinite(v) for v in hparams["mean"]),
        "std": len(hparams["std"]) == 3 and all(0 < v < math.inf for v in hparams["std"]),
        "weights": isinstance(hparams["weights"], str),
        "activation": hparams.get("activation", "softmax") in ("softmax", "sigmoid"),
    }
    for name, is_right in right.items():
        if not is_right:
            raise ValueError(f"{name} is {str(hparams[name])[:60]}")


def load_classifier(path: Path) -> Classifier:
    """Rebuilds a classifier from a checkpoint alone; nothing in the file is executed.

    Args:
        path: A ``.ckpt`` file that training wrote.

    Returns:
        The classifier on the CPU, in evaluation mode.

    Raises:
        BookclsError: If the file is missing or not such a checkpoint.
    """
    if not path.is_file():
        raise BookclsError(f"{path}: there is no such checkpoint.")
    try:
        ckpt = load_plain(path)
        hparams = dict(ckpt["hyper_parameters"])
        check_hparams(hparams)
        classifier = Classifier(**hparams)
        classifier.load_state_dict(ckpt["state_dict"])
    except (*UNREADABLE, BookclsError) as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise BookclsError(f"{path} is not a bookcls checkpoint ({first[0][:160]}).") from error
    return classifier.eval()
