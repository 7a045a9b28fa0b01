"""What a check has to say."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """One kind of fault, or of danger, and where it is.

    Attributes:
        name: What it is called, in a few words that never change.
        stops: Whether it must be mended first: training refuses it.
        advice: What to do about it.
        lines: A line for each case that is no photo to look at.
        photos: Groups of photos to be seen side by side, each with a few words on it.
    """

    name: str
    stops: bool
    advice: str
    lines: Sequence[str] = ()
    photos: Sequence[tuple[str, Sequence[Path]]] = field(default=())

    @property
    def num_cases(self) -> int:
        """How often it was found."""
        return len(self.lines) + len(self.photos)
