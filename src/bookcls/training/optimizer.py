"""The optimizer of fine-tuning and its learning rates."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig

from bookcls.models.layers import block_of
from bookcls.models.vgg16 import VGG16
from bookcls.training.schedule import warmup_cosine

HEAD = 6
"""Number of the head among the blocks: it follows VGG16's fifth."""
FP16 = "16-mixed"
"""Scales the loss, which a fused optimizer would undo only after gradient clipping."""


def make_optimizer(
    model: VGG16,
    hparams: Mapping[str, Any],
    *,
    precision: str,
    total_steps: int,
    max_epochs: int,
    world_size: int,
) -> OptimizerLRSchedulerConfig:
    """Creates AdamW with a parameter group per block, and warm-up and cosine decay per stage.

    Args:
        model: The network; only its trained parameters are optimized.
        hparams: Hyperparameters of :class:`bookcls.training.classifier.Classifier`.
        precision: Lightning's name of the precision.
        total_steps: Number of steps of the whole training.
        max_epochs: Number of epochs of the whole training.
        world_size: Number of processes, which share the steps of the warm-up.
    """
    groups = parameter_groups(model, hparams["lr"], hparams["layer_decay"])
    # None lets torch use its multi-tensor implementation on a GPU; False would not.
    fused = None if precision == FP16 else True
    optimizer = torch.optim.AdamW(groups, weight_decay=hparams["weight_decay"], fused=fused)
    probe_steps = min(total_steps, hparams["probe_epochs"] * max(1, total_steps // max_epochs))
    warmup_steps = hparams["warmup_steps"] // world_size

    def body(step: int) -> float:
        if step < probe_steps:
            return 0.0
        return warmup_cosine(step - probe_steps, total_steps - probe_steps, warmup_steps)

    def head(step: int) -> float:
        if step < probe_steps:
            peak = float(hparams["probe_lr"] / hparams["lr"])
            return peak * warmup_cosine(step, probe_steps, 0)
        return body(step)

    factors: list[Callable[[int], float]] = [*[body] * (len(groups) - 1), head]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factors)
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": schedule, "interval": "step"},
    }


def parameter_groups(model: VGG16, lr: float, layer_decay: float) -> list[dict[str, Any]]:
    """Groups the trained parameters by block, each with its peak learning rate; the head is last.

    Args:
        model: The network.
        lr: Peak learning rate of the head.
        layer_decay: Factor from a block's learning rate to that of the block below.
    """
    blocks: dict[int, list[torch.nn.Parameter]] = {}
    for index, module in enumerate(model.features):
        trained = [p for p in module.parameters() if p.requires_grad]
        if trained:
            blocks.setdefault(block_of(index), []).extend(trained)
    groups: list[dict[str, Any]] = [
        {"params": params, "lr": lr * layer_decay ** (HEAD - block)}
        for block, params in sorted(blocks.items())
    ]
    return [*groups, {"params": list(model.head.parameters()), "lr": lr}]
