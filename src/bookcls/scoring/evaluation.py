"""One evaluation of a classifier on all test splits."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from bookcls.scoring.scores import SplitScores


class Evaluation(nn.Module):
    """Accumulates the scores and the probabilities of all test splits.

    Attributes:
        splits: Names of the test splits.
        rotations: Number of rotations over which each prediction is averaged.
    """

    def __init__(self, splits: Sequence[str], num_classes: int, *, rotations: int = 1) -> None:
        """Starts with no photos."""
        super().__init__()
        self.splits = list(splits)
        self.rotations = rotations
        # Not a ModuleDict: a split may have a name that no module can have.
        self.scores = nn.ModuleList(SplitScores(num_classes) for _ in self.splits)
        self._probs: list[list[Tensor]] = [[] for _ in self.splits]

    def update(self, index: int, probs: Tensor, labels: Tensor, accepted: Tensor) -> None:
        """Adds a batch of one split.

        Args:
            index: Index of the split.
            probs: float32 (N, C), rows sum to 1.
            labels: int64 (N,), the dominant class, or -1 if there is none.
            accepted: bool (N, C).
        """
        cast(SplitScores, self.scores[index]).update(probs, labels, accepted)
        self._probs[index].append(probs.cpu())

    def compute(self) -> dict[str, float]:
        """Returns the scores of :meth:`SplitScores.compute` as ``test/<split>_<score>``."""
        return {
            f"test/{split}_{score}": value
            for split, scores in zip(self.splits, self.scores, strict=True)
            for score, value in cast(SplitScores, scores).compute().items()
        }

    def probs(self) -> dict[str, Tensor]:
        """Returns the probabilities of each split, float32 (N, C), in the order of its photos."""
        return {
            split: torch.cat(batches)
            for split, batches in zip(self.splits, self._probs, strict=True)
        }
