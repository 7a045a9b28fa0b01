"""Tables of the activation maps of each cell, compared with uninformed baseline maps."""

from collections.abc import Sequence
from dataclasses import dataclass

from bookcls.reporting.cells import Cell
from bookcls.reporting.map_summary import FLAGS, MapSummary


@dataclass
class MapRow:
    """The activation maps of a cell on a test split.

    Attributes:
        cell: The cell.
        method: How the maps were computed.
        summaries: One summary for each seed that has maps.
    """

    cell: Cell
    method: str
    summaries: list[MapSummary]

    def mean(self, key: str) -> float | None:
        """Mean over all measured predictions of all seeds (ROAD: over seeds); None without any."""
        pairs = [
            (one.num_measured if not key.startswith("road") else 1, one.means[key])
            for one in self.summaries
            if key in one.means
        ]
        weight = sum(n for n, _ in pairs)
        return sum(n * value for n, value in pairs) / weight if weight else None

    def seed_range(self, key: str) -> tuple[float, float] | None:
        """Lowest and highest value over seeds; None if fewer than two seeds have one."""
        values = [one.means[key] for one in self.summaries if key in one.means]
        return (min(values), max(values)) if len(values) > 1 else None

    @property
    def num_measured(self) -> int:
        """Number of measured predictions over all seeds."""
        return sum(one.num_measured for one in self.summaries)

    @property
    def flags(self) -> dict[str, int]:
        """Flag -> number of photos over all seeds."""
        return {flag: sum(one.flags.get(flag, 0) for one in self.summaries) for flag in FLAGS}


def summarise_maps(cells: Sequence[Cell]) -> dict[str, list[MapRow]]:
    """Summarises the maps: test split -> one row for each cell and method."""
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
    "From the maps of python -m bookcls.cam. Inside: share of the map's energy in the predicted "
    "object; peak: how often its highest point is in the object (pointing game). Both need an "
    "object that is in the photo and has a mask, so most of these predictions are correct. In "
    "brackets: the baselines, a random map and a blob in the centre. ROAD: how much more the "
    "probability drops when the top pixels of the map are removed than when the bottom pixels "
    "are. Measured predictions and flags are counted over all seeds."
)


COUNTS = "right / wrong reason / unsure / wrong"
"""Heading of the column that counts ``FLAGS``."""


def headings(rows: Sequence[MapRow]) -> list[str]:
    """Returns the headings of the columns of :func:`format_row`."""
    masks = any(row.num_measured for row in rows)
    road = any(row.mean("road") is not None for row in rows)
    return [
        "seeds",
        *(["measured", "inside (random, centre)", "peak (random, centre)"] * masks),
        *(["ROAD (random)"] * road),
        COUNTS,
    ]


def row_label(row: MapRow, rows: Sequence[MapRow]) -> str:
    """Label of the cell, and the method if it differs between rows."""
    several = len({other.method for other in rows}) > 1
    return f"{row.cell.label}: {row.method}" if several else row.cell.label


def format_row(row: MapRow, rows: Sequence[MapRow]) -> list[str]:
    """Formats the values of a row, for the columns of :func:`headings`."""
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
    """Formats a mean with its range over seeds, and its baselines in brackets."""
    mean, seed_range = row.mean(key), row.seed_range(key)
    if mean is None:
        return "-"
    baselines = [f"{row.mean(floor) or 0:.2f}" for floor in keys]
    seeds = f", {seed_range[0]:.2f} - {seed_range[1]:.2f}" if seed_range else ""
    return f"{mean:.2f}{seeds} ({', '.join(baselines)})"
