"""Below which probability an answer counts as unsure: by number, or by held-out photos. No torch.

To answer only where the model is sure enough is selective classification (Geifman & El-Yaniv,
NeurIPS 2017): each threshold on the probability has a coverage, the share of photos answered, and a
risk, the share of these answers that are wrong.
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
"""So many of the answers that are kept shall be right."""
LEAST = 20
"""Different photos among these answers: with fewer, the first mistake would break the 95 %."""
BY_NUMBER = "a number that was set (unsure=tuning/DATE/TIME lets held-out photos choose it)"


@dataclass(frozen=True)
class Threshold:
    """A threshold and where it comes from.

    Attributes:
        value: An answer with a lower probability is unsure.
        why: In words.
        class_names: The classes that it was chosen for; None where it was given.
    """

    value: float
    why: str
    class_names: list[str] | None = None


def find_threshold(unsure: object) -> Threshold:
    """The threshold that a setting means: a number, or a folder that tune wrote.

    Raises:
        BookclsError: If it is neither, or if no threshold makes the answers good enough.
    """
    if isinstance(unsure, int | float) and not isinstance(unsure, bool):
        check_between("unsure", unsure, 0, 1)
        return Threshold(float(unsure), BY_NUMBER)
    if not isinstance(unsure, str | os.PathLike):
        raise BookclsError(f"unsure={unsure}: give a number from 0 to 1, or a folder of tune.")
    run = full_path("unsure", os.fspath(unsure))
    if not run.is_dir():
        raise BookclsError(
            f"unsure={unsure}: neither a number from 0 to 1 nor a folder that tune wrote."
        )
    return from_held_out(run)


def from_held_out(run: Path) -> Threshold:
    """The lowest threshold that keeps answers right often enough on a search's held-out photos.

    Raises:
        BookclsError: If there is none, or the folder cannot be read.
    """
    held = read_held_out(run)
    probs = held.probs.max(axis=1)
    correct = held.probs.argmax(axis=1) == held.labels
    value = lowest_threshold(probs, correct)
    num_views = int(held.views.max())
    views = f", each as it is and in {num_views} views" if num_views else ""
    about = f"{len(probs)} answers to {len(np.unique(held.photos))} held-out photos{views}"
    if value is None:
        surest, share = surest_answers(probs, correct)
        raise BookclsError(
            f"unsure={run}: of {about}, no threshold keeps any that are right in {SHARE:.0%}; the "
            f"best is unsure={surest}, where {share:.0%} are. More photos or a better recipe "
            "would help; or give a number."
        )
    kept, plain = probs >= value, held.views == 0
    num_kept = len(np.unique(held.photos[kept]))
    if num_kept < LEAST:
        raise BookclsError(
            f"unsure={run}: of {about}, those that could be kept, from unsure={value} up, are of "
            f"{num_kept} different photos; fewer than {LEAST} do not tell whether {SHARE:.0%} of "
            "such answers are right. More photos or a better recipe would help; or give a number."
        )
    why = (
        f"the lowest at which {SHARE:.0%} or more of the answers kept are right, by {about} "
        f"({run / HELD_OUT}): {correct[kept].mean():.1%} are right instead of "
        f"{correct.mean():.1%}, and {1 - kept.mean():.1%} would be left unanswered"
    )
    if num_views and (kept & plain).any():
        why += (
            f"; of the photos as they are {correct[kept & plain].mean():.1%} of those kept are "
            f"right, and {1 - kept[plain].mean():.1%} would be left"
        )
    return Threshold(value, why, held.class_names)


def lowest_threshold(
    probs: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_], share: float = SHARE
) -> float | None:
    """The lowest probability of an answer such that this and all higher ones are right enough.

    It is a point of the empirical risk-coverage curve, and holds for photos like these; it is no
    bound at some confidence, as Geifman & El-Yaniv's is.

    Args:
        probs: (N,) of the answers.
        correct: (N,).
        share: So many shall be right.

    Returns:
        The threshold; 0 where all answers may be kept, None where none reaches the share.

    Example:
        >>> lowest_threshold(np.array([0.9, 0.8, 0.6]), np.array([True, True, False]))
        0.8
    """
    values, accuracy = risk_coverage(probs, correct)
    good = np.flatnonzero(accuracy >= share)
    if not len(good):
        return None
    return 0.0 if good[-1] == len(values) - 1 else float(values[good[-1]])


def surest_answers(
    probs: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_]
) -> tuple[float, float]:
    """The threshold at which most of the answers kept are right, and how many are."""
    values, accuracy = risk_coverage(probs, correct)
    best = int(accuracy.argmax())
    return float(values[best]), float(accuracy[best])


def risk_coverage(
    probs: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Each different probability, falling, and how many of the answers from it up are right."""
    order = np.argsort(-probs, kind="stable")
    falling = probs[order]
    accuracy = np.cumsum(correct[order]) / np.arange(1, len(falling) + 1)
    last = np.append(falling[1:] != falling[:-1], True)  # Equal ones are kept or left together.
    return falling[last], accuracy[last]
