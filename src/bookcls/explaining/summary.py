"""Prints the summary: a table of all splits, warnings, and paired tests."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bookcls.explaining.map_scores import FLAGS
from bookcls.explaining.records import Record, shortcuts, summarise
from bookcls.scoring.statistics import mcnemar_test


def print_summary(records: Mapping[str, Sequence[Record]], methods: Mapping[str, str]) -> None:
    """Prints flags and scores by run and split, shortcuts, and paired tests between runs.

    Args:
        records: Run -> one record per photo.
        methods: Run -> how its maps were computed.
    """
    console = Console(highlight=False)
    table = Table(
        title=escape("; ".join(dict.fromkeys(methods.values()))),
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("")
    columns = [["photos", *FLAGS, "no evidence", "energy inside", "pointing", "ROAD"]]
    for run, rows in records.items():
        for split in dict.fromkeys(r["split"] for r in rows):
            table.add_column(
                escape(f"{run}\n{split}" if len(records) > 1 else split), justify="right"
            )
            summary = summarise([r for r in rows if r["split"] == split])
            flags = [str(summary["flags"][word]) for word in FLAGS]
            counts = [str(summary["n"]), *flags, str(summary["empty"])]
            columns.append([*counts, *_numbers(summary)])
    for cells in zip(*columns, strict=True):
        table.add_row(*cells)
    table.caption = (
        "energy inside: share of the evidence in the predicted object (random map, centre blob)\n"
        "pointing: how often the peak is in the object (random map, centre blob)\n"
        "ROAD: removing the map's top pixels against its bottom pixels (random map)"
    )
    console.print(table)
    for run, rows in records.items():
        for line in shortcuts(rows):
            print(f"warning: {run + ': ' if len(records) > 1 else ''}{line}")
    for line in _paired(records):
        print(line)


def _numbers(summary: Record) -> list[str]:
    def three(key: str) -> str:
        if summary[key] is None:
            return "-"
        floors = f"{summary[f'random_{key}']:.2f}, {summary[f'centre_{key}']:.2f}"
        return f"{summary[key]:.2f} ({floors})"

    road = "-"
    if summary["road"] is not None:
        road = f"{summary['road']:.2f} ({summary['road_random']:.2f})"
    return [three("inside"), three("hit"), road]


def _paired(records: Mapping[str, Sequence[Record]]) -> list[str]:
    """Exact McNemar tests of the first run against each other one."""
    (first, mine), *others = records.items()
    lines = []
    for name, rows in others:
        for split in dict.fromkeys(r["split"] for r in rows if r["correct"] is not None):
            pair = [(a, b) for a, b in zip(mine, rows, strict=True) if a["split"] == split]
            test = mcnemar_test(
                [bool(a["correct"]) for a, _ in pair], [bool(b["correct"]) for _, b in pair]
            )
            lines.append(
                f"{split}: only {first} correct {test['only_ours']}, only {name} "
                f"{test['only_other']}, McNemar p = {test['p']:.2g}"
            )
    return lines
