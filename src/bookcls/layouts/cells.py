"""What the cells of a column look like."""

import re
from collections.abc import Sequence

from bookcls.layouts.reading import Grid

ADVICE = "labels=folders takes the classes from the folders instead"


class NotLabelsError(Exception):
    """A table that clearly has no labels; the message says why."""


def column(grid: Grid, i: int) -> list[str]:
    """The cells of a column."""
    return [cells[i] for _, cells in grid.rows]


def is_flag(cells: Sequence[str]) -> bool:
    """Whether a column contains only 0 and 1."""
    return {c.strip() for c in cells} <= {"0", "1", "0.0", "1.0"}


def has_classes(cells: Sequence[str]) -> bool:
    """Whether the cells of an unknown column may be classes: few different ones, no measures."""
    values = {c.strip() for c in cells} - {""}
    numbers = [v for v in values if re.fullmatch(r"-?\d+([.,]\d+)?(e-?\d+)?", v)]
    measures = all(not v.lstrip("-").isdigit() for v in numbers)
    if not values or (len(numbers) == len(values) and (measures or len(values) == 1)):
        return False
    return len(values) < len(cells) or len(cells) < 10


def describe(header: Sequence[str]) -> str:
    """The names of columns."""
    return ", ".join(name.strip() or "(no name)" for name in header[:20])
