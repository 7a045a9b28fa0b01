"""A table of what the cells of a report looked at, next to uninformed baseline maps."""

from collections.abc import Sequence
from dataclasses import dataclass

from bookcls.reporting.cells import Cell
from bookcls.reporting.map_summary import FLAGS, MapSummary


@dataclass
class MapRow:
    """One cell on one test split.

    Attributes:
        cell: The cell.
        made: How its maps were made.
        looked: Of each seed that has maps.
    """

    cell: Cell
    method: str
    summaries: list[MapSummary]

    def mean(self, key: str) -> float | None:
        """Mean over all measured answers of all seeds, of ROAD over seeds; None without any."""
        pairs = [
            (one.num_measured if not key.startswith("road") else 1, one.means[key])
            for one in self.summaries
            if key in one.means
        ]
        weight = sum(n for n, _ in pairs)
        return sum(n * value for n, value in pairs) / weight if weight else None

    def seed_range(self, key: str) -> tuple[float, float] | None:
        """Lowest and highest seed; None where fewer than two seeds have the number."""
        values = [one.means[key] for one in self.summaries if key in one.means]
        return (min(values), max(values)) if len(values) > 1 else None

    @property
    def num_measured(self) -> int:
        """Measured answers of all seeds."""
        return sum(one.num_measured for one in self.summaries)

    @property
    def flags(self) -> dict[str, int]:
        """Flag -> photos of all seeds."""
        return {flag: sum(one.flags.get(flag, 0) for one in self.summaries) for flag in FLAGS}


def summarise_maps(cells: Sequence[Cell]) -> dict[str, list[MapRow]]:
    """Test split -> a line for each cell, and each way of making maps, that has numbers."""
    table: dict[str, list[MapRow]] = {}
    for cell in cells:
        rows: dict[tuple[str, str], MapRow] = {}
        for run in cell.runs:
            for split, summary in (run.maps or {}).items():
                key = split, summary.method
                if key not in rows:
                    rows[key] = MapRow(cell, summary.method, [])
                    table.setdefault(split, []).append(rows[key])
                rows[key].summaries.append(summary)
    return {split: table[split] for split in sorted(table, key=lambda split: split != "easy")}


NOTE = (
    "From the maps of the answers that python -m bookcls.cam made. Inside: share of the map's "
    "energy in the object that was named; peak: how often its highest point is there (pointing "
    "game); both where the object is in the photo and has a mask, so mostly right answers. In "
    "brackets the same for a random map and for a blob in the centre: the floors. ROAD: by how "
    "much more the probability drops without the pixels at the top of the map than without those "
    "at its bottom. Measured answers and flags are counted over all seeds."
)


COUNTS = "right / wrong reason / unsure / wrong"
"""Heading of the counts of ``FLAGS``."""


def headings(rows: Sequence[MapRow]) -> list[str]:
    """Headings of ``format_row``."""
    masks = any(row.num_measured for row in rows)
    road = any(row.mean("road") is not None for row in rows)
    return [
        "seeds",
        *(["measured", "inside (random, centre)", "peak (random, centre)"] * masks),
        *(["ROAD (random)"] * road),
        COUNTS,
    ]


def row_label(row: MapRow, rows: Sequence[MapRow]) -> str:
    """The cell, and how the maps were made where that differs."""
    several = len({other.method for other in rows}) > 1
    return f"{row.cell.label}: {row.method}" if several else row.cell.label


def format_row(row: MapRow, rows: Sequence[MapRow]) -> list[str]:
    """A line's figures under ``headings``, as people read them."""
    values = {
        "seeds": str(len(row.summaries)),
        "measured": str(row.num_measured),
        "inside (random, centre)": format_with_baselines(
            row, "inside", "random_inside", "centre_inside"
        ),
        "peak (random, centre)": format_with_baselines(row, "hit", "random_hit", "centre_hit"),
        "ROAD (random)": format_with_baselines(row, "road", "road_random"),
        COUNTS: " / ".join(str(row.flags[flag]) for flag in FLAGS),
    }
    return [values[column] for column in headings(rows)]


def format_with_baselines(row: MapRow, key: str, *keys: str) -> str:
    """A mean with its range over seeds, and its floors in brackets."""
    mean, seed_range = row.mean(key), row.seed_range(key)
    if mean is None:
        return "-"
    baselines = [f"{row.mean(floor) or 0:.2f}" for floor in keys]
    seeds = f", {seed_range[0]:.2f} - {seed_range[1]:.2f}" if seed_range else ""
    return f"{mean:.2f}{seeds} ({', '.join(baselines)})"
