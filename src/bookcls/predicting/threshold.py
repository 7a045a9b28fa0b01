"""The probability below which a prediction is unsure: given, or chosen by held-out photos.

Accepting only predictions of a sufficient probability is selective classification (Geifman &
El-Yaniv, NeurIPS 2017): each threshold has a coverage, the share of photos whose prediction is
kept, and a risk, the share of these predictions that are wrong. Does not import torch.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bookcls.config import full_path
from bookcls.data.held_out import HELD_OUT, read_held_out
from bookcls.errors import BookclsError
from bookcls.settings import check_between

SHARE = 0.95
"""Required share of right predictions among those that are kept."""
MIN_PHOTOS = 20
"""Required number of different photos among these: with fewer, one mistake breaks the 95 %."""
BY_NUMBER = "given as a number (unsure=tuning/DATE/TIME chooses it by held-out photos)"


@dataclass(frozen=True)
class Threshold:
    """A threshold and where it comes from.

    Attributes:
        value: A prediction with a lower probability is unsure.
        why: The origin, in words.
        class_names: The classes that it was chosen for; None if it was given.
    """

    value: float
    why: str
    class_names: list[str] | None = None


def find_threshold(unsure: object) -> Threshold:
    """Reads the threshold from a setting: a number, or a folder that tune wrote.

    Raises:
        BookclsError: If it is neither, or if no threshold is good enough.
    """
    if isinstance(unsure, int | float) and not isinstance(unsure, bool):
        check_between("unsure", unsure, 0, 1)
        return Threshold(float(unsure), BY_NUMBER)
    if not isinstance(unsure, str | os.PathLike):
        raise BookclsError(
            f"unsure={unsure}: give a number from 0 to 1, or a folder that tune wrote."
        )
    run = full_path("unsure", os.fspath(unsure))
    if not run.is_dir():
        raise BookclsError(
            f"unsure={unsure} is neither a number from 0 to 1 nor a folder that tune wrote."
        )
    return from_held_out(run)


def from_held_out(run: Path) -> Threshold:
    """Finds the lowest threshold at which enough predictions for held-out photos are right.

    Raises:
        BookclsError: If there is none, or the folder cannot be read.
    """
    held_out = read_held_out(run)
    probs = held_out.probs.max(axis=1)
    correct = held_out.probs.argmax(axis=1) == held_out.labels
    value = lowest_threshold(probs, correct)
    num_views = int(held_out.views.max())
    views = f", each unchanged and in {num_views} views" if num_views else ""
    about = f"{len(probs)} predictions for {len(np.unique(held_out.photos))} held-out photos{views}"
    if value is None:
        best_threshold, share = most_accurate_threshold(probs, correct)
        raise BookclsError(
            f"unsure={run}: by {about}, no threshold makes {SHARE:.0%} of the kept predictions "
            f"right; the best is unsure={best_threshold}, with {share:.0%}. Use more photos or a "
            "better recipe, or give a number."
        )
    kept, unchanged = probs >= value, held_out.views == 0
    num_kept = len(np.unique(held_out.photos[kept]))
    if num_kept < MIN_PHOTOS:
        raise BookclsError(
            f"unsure={run}: of {about}, those with a probability of at least {value} are of only "
            f"{num_kept} different photos; fewer than {MIN_PHOTOS} cannot show whether {SHARE:.0%} "
            "of such predictions are right. Use more photos or a better recipe, or give a number."
        )
    why = (
        f"the lowest at which at least {SHARE:.0%} of the kept predictions are right, by {about} "
        f"({run / HELD_OUT}): {correct[kept].mean():.1%} are right instead of "
        f"{correct.mean():.1%}, and {1 - kept.mean():.1%} are unsure"
    )
    if num_views and (kept & unchanged).any():
        why += (
            f"; of the unchanged photos, {correct[kept & unchanged].mean():.1%} of those kept are "
            f"right, and {1 - kept[unchanged].mean():.1%} are unsure"
        )
    return Threshold(value, why, held_out.class_names)


def lowest_threshold(
    probs: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_], share: float = SHARE
) -> float | None:
    """Finds the lowest threshold at which enough of the kept predictions are right.

    It is a point of the empirical risk-coverage curve and applies to similar photos; unlike that of
    Geifman & El-Yaniv, it is not a bound at a confidence level.

    Args:
        probs: float64 (N,), probabilities of the predicted classes.
        correct: bool (N,), whether each prediction is right.
        share: Required share of right predictions.

    Returns:
        The threshold; 0 if all predictions may be kept, None if no threshold reaches the share.

    Example:
        >>> lowest_threshold(np.array([0.9, 0.8, 0.6]), np.array([True, True, False]))
        0.8
    """
    values, accuracy = risk_coverage(probs, correct)
    good = np.flatnonzero(accuracy >= share)
    if not len(good):
        return None
    return 0.0 if good[-1] == len(values) - 1 else float(values[good[-1]])


def most_accurate_threshold(
    probs: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_]
) -> tuple[float, float]:
    """The threshold with the highest accuracy of the kept predictions, and that accuracy."""
    values, accuracy = risk_coverage(probs, correct)
    best = int(accuracy.argmax())
    return float(values[best]), float(accuracy[best])


def risk_coverage(
    probs: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Distinct probabilities, descending, and the accuracy of the predictions from each upwards."""
    order = np.argsort(-probs, kind="stable")
    descending = probs[order]
    accuracy = np.cumsum(correct[order]) / np.arange(1, len(descending) + 1)
    last = np.append(
        descending[1:] != descending[:-1], True
    )  # Equal probabilities are kept or dropped together.
    return descending[last], accuracy[last]
