"""The learning rate over the steps of a stage."""

import math


def warmup_cosine(step: int, total: int, warmup: int) -> float:
    """Computes the share of the peak learning rate: linear warm-up, then cosine decay to zero.

    Args:
        step: The step, from 0.
        total: Number of steps.
        warmup: Number of warm-up steps; more than half of ``total`` are cut to that.

    Returns:
        A factor in [0, 1].

    Example:
        >>> [round(warmup_cosine(step, 8, 2), 2) for step in (0, 1, 2, 5, 8)]
        [0.33, 0.67, 1.0, 0.5, 0.0]
    """
    warmup = min(warmup, total // 2)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, total - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
