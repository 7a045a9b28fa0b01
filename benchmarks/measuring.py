"""Two or more sides in turn, so that what else the machine does meets all of them."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

Side = Callable[[], float]
"""One turn: does its work and returns the seconds that it took, per image or in all."""


@dataclass(frozen=True)
class Ratio:
    """How one side compares with another.

    Attributes:
        median: Of the turns' ratios, each of two neighbouring turns.
        low: The smallest.
        high: The largest.
    """

    median: float
    low: float
    high: float

    def verdict(self, bar: float, *, at_most: bool = False) -> str:
        """``met`` or ``missed``; ``, within noise`` where turns lie on either side of the bar."""
        met = self.median <= bar if at_most else self.median >= bar
        if self.low <= bar <= self.high and self.low < self.high:
            return "met, within noise" if met else "missed, within noise"
        return "met" if met else "missed"


def ratio(above: Sequence[float], below: Sequence[float]) -> Ratio:
    """The median of above / below over pairs of turns, with its range.

    Example:
        >>> ratio([1.0, 2.0, 4.0], [2.0, 2.0, 2.0])
        Ratio(median=1.0, low=0.5, high=2.0)
    """
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def alternate(sides: Mapping[str, Side], repeats: int) -> dict[str, list[float]]:
    """Gives each side one turn to warm up, then ``repeats`` turns, to and fro.

    Args:
        sides: Name -> a turn.
        repeats: Turns of each side that count.

    Returns:
        Name -> what its turns returned.
    """
    for side in sides.values():
        side()
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats):
        names = list(sides)
        for name in names if turn % 2 == 0 else reversed(names):
            taken[name].append(sides[name]())
    return taken


def now(device: torch.device | str = "cpu") -> float:
    """The clock in seconds, once the device has done all that it was given."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
