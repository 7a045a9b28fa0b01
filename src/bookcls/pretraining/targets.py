"""Training targets: how much of each known cover is visible."""

import torch
from torch import Tensor

NONE = 0
"""Class of a scene in which no known cover shows; identity ``k`` is class ``k + 1``."""


def soft_targets(ids: Tensor, areas: Tensor, num_identities: int, min_share: float) -> Tensor:
    """Soft targets by visible area.

    Args:
        ids: int64 (N, K): identities from 0, negative for a distractor or nothing.
        areas: float32 (N, K): visible areas as shares of the picture.
        num_identities: Classes without NONE.
        min_share: Less of a cover than this share of the picture counts as not seen.

    Returns:
        float32 (N, num_identities + 1), each row sums to 1: the known covers' shares of what is
        seen of them, or all weight on NONE where none is seen.
    """
    counted = areas.float() * ((ids >= 0) & (areas >= min_share) & (areas > 0))
    target = torch.zeros(len(ids), num_identities + 1, device=ids.device)
    target.scatter_add_(1, ids.clamp(min=-1) + 1, counted)
    total = target.sum(dim=1, keepdim=True)
    target[:, NONE : NONE + 1] = (total == 0).float()
    return target / target.sum(dim=1, keepdim=True)


def is_hit(logits: Tensor, target: Tensor) -> Tensor:
    """True (N,) where the most probable class is visible."""
    return target.gather(1, logits.argmax(dim=1, keepdim=True))[:, 0] > 0
