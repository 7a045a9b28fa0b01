"""Writes the report as Markdown."""

from collections.abc import Sequence

from bookcls.reporting import map_tables, tables
from bookcls.reporting.cells import Cell, pluralise
from bookcls.reporting.collect import RunCollection
from bookcls.reporting.summary import Row


def to_markdown(
    collection: RunCollection, cells: Sequence[Cell], table: dict[str, list[Row]]
) -> str:
    """Formats the tables of all test splits, with notes and the runs that were skipped."""
    lines = [f"# {md(collection.root.name)}", ""]
    for split, rows in table.items():
        lines += [f"## {md(split)}, {pluralise(rows[0].num_photos, 'photo')}", ""]
        lines += [md(tables.describe_result(rows)), ""]
        lines += [f"| cell | seeds | {' | '.join(tables.COLUMNS)} | standing |"]
        lines += ["|---|---|" + "--:|" * len(tables.COLUMNS) + "---|"]
        for row in rows:
            marks = "".join(f" ({mark})" for mark in row.cell.marks)
            values = [
                str(len(row.cell.seeds)),
                *tables.format_row(row),
                tables.describe_verdict(row, rows),
            ]
            lines += [f"| {' | '.join(md(v) for v in [row.cell.label + marks, *values])} |"]
        lines += [f"| *floor: always {md(rows[0].constant)}* | | {rows[0].floor:.2f} |"
                  + " |" * len(tables.COLUMNS), ""]  # fmt: skip
    lines += [f"- {note}" for note in tables.footnotes(table)]
    lines += ["", *maps_markdown(cells)]
    lines += ["## What was counted", ""]
    lines += [f"- {md(line)}" for line in tables.describe_runs(collection, cells)]
    return "\n".join(lines) + "\n"


def maps_markdown(cells: Sequence[Cell]) -> list[str]:
    """Formats a table of the activation maps per test split; nothing if no run has maps."""
    lines = []
    for split, group in map_tables.summarise_maps(cells).items():
        headings = map_tables.headings(group)
        lines += [f"## What they looked at: {md(split)}", ""]
        lines += [f"| cell | {' | '.join(headings)} |", "|---|" + "--:|" * len(headings)]
        for row in group:
            values = [map_tables.row_label(row, group), *map_tables.format_row(row, group)]
            lines += [f"| {' | '.join(map(md, values))} |"]
        lines += [
            "",
            *(f"- {md(method)}" for method in dict.fromkeys(row.method for row in group)),
            "",
        ]
    return [*lines, *([map_tables.NOTE, ""] if lines else [])]


def md(text: object) -> str:
    """Escapes text for a table cell in Markdown."""
    out = " ".join(str(text).split())
    for sign in "\\`*_|[]<>":
        out = out.replace(
            sign, f"&{'lt' if sign == '<' else 'gt'};" if sign in "<>" else f"\\{sign}"
        )
    return out
