"""What happens when the loss is no longer finite."""

import math

from bookcls.errors import BookclsError


class DivergedError(BookclsError):
    """The loss is not finite."""


def check_finite(loss: float, *, epoch: int, lr: float) -> None:
    """Checks a training loss.

    Args:
        loss: The loss.
        epoch: The epoch, from 1.
        lr: The setting ``optim.lr``.

    Raises:
        DivergedError: If the loss is not finite.
    """
    if not math.isfinite(loss):
        raise DivergedError(
            f"the loss became {loss} in epoch {epoch}. Checkpoints of earlier epochs are kept. "
            f"{suggest_gentler(lr)}"
        )


def suggest_gentler(lr: float) -> str:
    """Suggests settings to change after training with ``optim.lr=lr`` has diverged."""
    return (
        f"Try a lower optim.lr (it was {lr:g}), a longer optim.warmup_images, optim.clip_norm=1 or "
        "trainer.precision=32-true."
    )
