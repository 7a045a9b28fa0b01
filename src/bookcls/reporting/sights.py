"""A table of what the cells of a report looked at, beside maps that know nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from bookcls.reporting.cells import Cell
from bookcls.reporting.looked import FLAGS, Looked


@dataclass
class Sight:
    """One cell on one test split.

    Attributes:
        cell: The cell.
        made: How its maps were made.
        looked: Of each seed that has maps.
    """

    cell: Cell
    made: str
    looked: list[Looked]

    def mean(self, key: str) -> float | None:
        """Mean over all measured answers of all seeds, of ROAD over seeds; None without any."""
        pairs = [
            (one.measured if not key.startswith("road") else 1, one.means[key])
            for one in self.looked
            if key in one.means
        ]
        weight = sum(n for n, _ in pairs)
        return sum(n * value for n, value in pairs) / weight if weight else None

    def span(self, key: str) -> tuple[float, float] | None:
        """Lowest and highest seed; None where fewer than two seeds have the number."""
        values = [one.means[key] for one in self.looked if key in one.means]
        return (min(values), max(values)) if len(values) > 1 else None

    @property
    def measured(self) -> int:
        """Measured answers of all seeds."""
        return sum(one.measured for one in self.looked)

    @property
    def flags(self) -> dict[str, int]:
        """Flag -> photos of all seeds."""
        return {flag: sum(one.flags.get(flag, 0) for one in self.looked) for flag in FLAGS}


def look(cells: Sequence[Cell]) -> dict[str, list[Sight]]:
    """Test split -> a line for each cell, and each way of making maps, that has numbers."""
    table: dict[str, list[Sight]] = {}
    for cell in cells:
        found: dict[tuple[str, str], Sight] = {}
        for run in cell.runs:
            for split, looked in (run.looked or {}).items():
                key = split, looked.made
                if key not in found:
                    found[key] = Sight(cell, looked.made, [])
                    table.setdefault(split, []).append(found[key])
                found[key].looked.append(looked)
    return {split: table[split] for split in sorted(table, key=lambda split: split != "easy")}


NOTE = (
    "From the maps of the answers that python -m bookcls.cam made. Inside: share of the map's "
    "energy in the object that was named; peak: how often its highest point is there (pointing "
    "game); both where the object is in the photo and has a mask, so mostly right answers. In "
    "brackets the same for a random map and for a blob in the centre: the floors. ROAD: by how "
    "much more the answer suffers without the pixels at the top of the map than without those at "
    "its bottom. Measured answers and flags are counted over all seeds."
)


COUNTS = "right / wrong reason / unsure / wrong"
"""Heading of the counts of ``FLAGS``."""


def columns(sights: Sequence[Sight]) -> list[str]:
    """Headings of ``figures``."""
    masks = any(sight.measured for sight in sights)
    road = any(sight.mean("road") is not None for sight in sights)
    return [
        "seeds",
        *(["measured", "inside (random, centre)", "peak (random, centre)"] * masks),
        *(["ROAD (random)"] * road),
        COUNTS,
    ]


def label(sight: Sight, sights: Sequence[Sight]) -> str:
    """The cell, and how the maps were made where that differs."""
    several = len({other.made for other in sights}) > 1
    return f"{sight.cell.label}: {sight.made}" if several else sight.cell.label


def figures(sight: Sight, sights: Sequence[Sight]) -> list[str]:
    """A line's figures under ``columns``, as people read them."""
    values = {
        "seeds": str(len(sight.looked)),
        "measured": str(sight.measured),
        "inside (random, centre)": beside(sight, "inside", "random_inside", "centre_inside"),
        "peak (random, centre)": beside(sight, "hit", "random_hit", "centre_hit"),
        "ROAD (random)": beside(sight, "road", "road_random"),
        COUNTS: " / ".join(str(sight.flags[flag]) for flag in FLAGS),
    }
    return [values[column] for column in columns(sights)]


def beside(sight: Sight, key: str, *floors: str) -> str:
    """A mean with its range over seeds, and its floors in brackets."""
    mean, span = sight.mean(key), sight.span(key)
    if mean is None:
        return "-"
    told = [f"{sight.mean(floor) or 0:.2f}" for floor in floors]
    seeds = f", {span[0]:.2f} - {span[1]:.2f}" if span else ""
    return f"{mean:.2f}{seeds} ({', '.join(told)})"
