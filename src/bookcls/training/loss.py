"""The training loss."""

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

PRESENT = 0.1
"""With sigmoid outputs, a class with a larger share of the target counts as present."""


def training_loss(
    logits: Tensor, target: Tensor, *, activation: str, label_smoothing: float
) -> Tensor:
    """Computes the cross-entropy against soft targets, averaged over the batch.

    Args:
        logits: float32 (N, C).
        target: float32 (N, C), rows sum to 1.
        activation: ``softmax``, or ``sigmoid`` for binary cross-entropy.
        label_smoothing: Share of the target that is spread over all classes.
    """
    if activation == "softmax":
        return cross_entropy(logits, target, label_smoothing=label_smoothing)
    # Present classes get the same target whatever their share; a trace left by mixup is absent.
    present = (target > PRESENT).float()
    present = present * (1 - label_smoothing) + label_smoothing / target.shape[1]
    return binary_cross_entropy_with_logits(logits, present)
