"""Scores of a test split, with an exact confidence interval."""

from collections.abc import Sequence

import torch
from scipy.stats import binomtest
from torch import Tensor, nn
from torchmetrics import MeanMetric, SumMetric
from torchmetrics.classification import MulticlassAccuracy

from bookcls.data.samples import Sample, floor_correct


class SplitScores(nn.Module):
    """Accumulates the scores of one test split.

    A photo may have several accepted classes; a prediction is correct if it is one of them.
    """

    def __init__(self, num_classes: int) -> None:
        """Starts with no photos."""
        super().__init__()
        self.correct = SumMetric()
        self.total = SumMetric()
        self.nll = MeanMetric()
        self.brier = MeanMetric()
        self.strict_total = SumMetric()
        # "micro" is the share of photos; torchmetrics' default averages over classes.
        self.strict = MulticlassAccuracy(num_classes, average="micro")

    def update(self, probs: Tensor, labels: Tensor, accepted: Tensor) -> None:
        """Adds a batch.

        Args:
            probs: float32 (N, C), rows sum to 1.
            labels: int64 (N,), the dominant class, or -1 if there is none.
            accepted: bool (N, C).
        """
        preds = probs.argmax(dim=1)
        p_accepted = (probs * accepted).sum(dim=1).clamp(max=1.0)
        self.correct.update(accepted.gather(1, preds[:, None]).sum())
        self.total.update(len(preds))
        self.nll.update(-p_accepted.clamp(min=torch.finfo(probs.dtype).tiny).log())
        self.brier.update((1 - p_accepted).square())
        leads = labels >= 0
        self.strict_total.update(leads.sum())
        if leads.any():
            self.strict.update(preds[leads], labels[leads])

    def compute(self) -> dict[str, float]:
        """Returns acc, n, correct, ci_low, ci_high, nll, brier, strict_acc and strict_n.

        The interval is the 95 % interval of Clopper & Pearson (1934). ``strict_acc`` considers
        only photos with a dominant class, and accepts only that class; it is absent if there is no
        such photo.
        """
        correct, total = int(self.correct.compute()), int(self.total.compute())
        low, high = binomial_interval(correct, total)
        strict_n = int(self.strict_total.compute())
        scores = {
            "acc": correct / total,
            "n": total,
            "correct": correct,
            "ci_low": low,
            "ci_high": high,
            "nll": float(self.nll.compute()),
            "brier": float(self.brier.compute()),
            "strict_n": strict_n,
        }
        if strict_n:
            scores["strict_acc"] = float(self.strict.compute())
        return scores


def score_predictions(samples: Sequence[Sample], probs: Tensor) -> dict[str, float]:
    """Computes the scores of :meth:`SplitScores.compute` and the floor.

    Args:
        samples: The photos, at least one.
        probs: float32 (N, C), a row per photo.
    """
    accepted = torch.zeros(len(samples), probs.shape[1], dtype=torch.bool)
    for row, sample in enumerate(samples):
        accepted[row, list(sample.accepted)] = True
    scores = SplitScores(probs.shape[1])
    scores.update(probs, torch.tensor([sample.label for sample in samples]), accepted)
    return scores.compute() | {"floor": floor_accuracy(samples)}


def binomial_interval(correct: int, total: int) -> tuple[float, float]:
    """Computes the exact 95 % interval of a proportion (Clopper & Pearson 1934).

    Example:
        >>> [round(bound, 2) for bound in binomial_interval(19, 20)]
        [0.75, 1.0]
    """
    bounds = binomtest(correct, total).proportion_ci(confidence_level=0.95, method="exact")
    return float(bounds.low), float(bounds.high)


def floor_accuracy(samples: Sequence[Sample]) -> float:
    """Computes the accuracy of the best constant prediction."""
    return floor_correct(samples) / len(samples)
