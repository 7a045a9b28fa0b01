"""One result of a check."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """A kind of problem or risk, and where it occurs.

    Attributes:
        name: A short, stable name.
        stops: Whether training refuses the folder until it is fixed.
        advice: What to do about it.
        lines: A line for each case that has no photo to show.
        photos: Groups of photos to show side by side, each with a short text.
    """

    name: str
    stops: bool
    advice: str
    lines: Sequence[str] = ()
    photos: Sequence[tuple[str, Sequence[Path]]] = field(default=())

    @property
    def num_cases(self) -> int:
        """Number of cases."""
        return len(self.lines) + len(self.photos)
