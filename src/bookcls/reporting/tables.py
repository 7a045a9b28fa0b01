"""Formats the report as csv and for the terminal, with notes."""

import csv
import io
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bookcls.reporting.cells import Cell, pluralise, shorten_hashes
from bookcls.reporting.collect import RunCollection
from bookcls.reporting.summary import Row
from bookcls.storage.files import escape_field

VERDICT_TEXT = {
    "best": "highest mean",
    "tie": "tied with it",
    "worse": "below",
    "apart": "other photos, not compared",
}
CLEAR_BEST = "above the others"
"""Instead of ``highest mean`` if no other cell is tied with it."""
COLUMN_NOTES = (
    "Accuracy: share of photos whose predicted class is one of their accepted classes; mean over "
    "seeds, with the lowest and the highest seed.",
    "Interval: 95 %; exact (Clopper-Pearson, over photos) for one seed, or if fewer than five "
    "photos are right or wrong; otherwise a t-interval that treats photos and seeds as random, "
    "which is wide for few seeds.",
    "Tied: not significantly different from the highest mean at 0.05. A difference is significant "
    "only by a paired sign-flip test over photos (each photo's mean over seeds) and, if cells have "
    "several seeds, also by a t-test that treats photos and seeds as random; p is the larger one, "
    "Holm-corrected over the cells.",
    "Floor: the best constant prediction. Strict: only photos with a dominant class, and only that "
    "class. NLL and Brier score the probability of the accepted classes; lower is better.",
    "Probe: accuracy of a linear model on the features that training started from.",
)
"""Notes on the columns of the table."""
ONE_SEED_NOTE = (
    "With one seed per cell, the tests compare these trained models; other seeds may reverse the "
    "order."
)


def describe_verdict(row: Row, rows: Sequence[Row]) -> str:
    """Describes the verdict of a row; it depends on the other rows for the highest mean."""
    if row.verdict == "best" and not any(other.verdict == "tie" for other in rows):
        return CLEAR_BEST if any(other.verdict == "worse" for other in rows) else "alone"
    return VERDICT_TEXT[row.verdict]


def footnotes(table: dict[str, list[Row]]) -> list[str]:
    """Returns the notes below a table."""
    one_seed_each = all(len(row.by_seed) == 1 for rows in table.values() for row in rows)
    return [*COLUMN_NOTES, *([ONE_SEED_NOTE] if one_seed_each else [])]


def describe_result(rows: Sequence[Row]) -> str:
    """Describes the result on a split in a sentence or two."""
    best = rows[0]
    tied = [row for row in rows if row.tied]
    photos = pluralise(best.num_photos, "photo")
    if len(rows) == 1:
        text = f"One cell on {photos}: {best.mean:.2f}."
    elif len(tied) == len(rows):
        text = (
            f"On {photos}, none of the {len(rows)} cells differs significantly from the highest "
            "mean."
        )
    elif len(tied) == 1:
        below = sum(row.verdict == "worse" for row in rows)
        text = f"On {photos}, {best.cell.label} ({best.mean:.2f}) is above "
        text += (
            f"{pluralise(below, 'other cell')}."
            if below
            else "none: the others were tested on other photos."
        )
    else:
        text = (
            f"On {photos}, {len(tied)} of {len(rows)} cells do not differ significantly from the "
            f"highest mean, {best.mean:.2f}."
        )
    at_floor = sum(row.interval.low <= row.floor for row in rows if row.verdict != "apart")
    text += f" The best constant prediction, {best.constant}, reaches {best.floor:.2f}"
    if at_floor:
        text += f"; the intervals of {pluralise(at_floor, 'cell')} include it"
    return f"{text}."


def to_csv(table: dict[str, list[Row]]) -> str:
    """Formats one csv row per cell and test split, with six digits."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = (
        "split cell verdict marks num_seeds seeds num_photos mean min max ci_low ci_high "
        "ci_method floor floor_answer strict_acc strict_n nll brier brier_low brier_high "
        "p_accepted p_photos p_crossed p_holm accuracy_by_seed code weights data runs"
    )
    writer.writerow(columns.split())
    for split, rows in table.items():
        for row in rows:
            cell, run = row.cell, row.cell.runs[0]
            scores = (row.mean, min(row.by_seed), max(row.by_seed), *row.interval[:2])
            others = (
                row.strict_n,
                row.nll,
                row.brier,
                *row.brier_interval[:2],
                row.p_accepted,
            )
            values = [
                *(
                    escape_field(text)
                    for text in (split, cell.label, row.verdict, "; ".join(cell.marks))
                ),
                len(cell.seeds),
                " ".join(map(str, cell.seeds)),
                row.num_photos,
                *map(format_number, scores),
                row.interval.method,
                format_number(row.floor),
                escape_field(row.constant),
                *map(format_number, (row.strict, *others, row.p_photos, row.p_crossed, row.p)),
                " ".join(map(format_number, row.by_seed)),
                *(escape_field(text) for text in (run.code, run.weights, run.data)),
                escape_field(" ".join(run.name for run in cell.runs)),
            ]
            writer.writerow(values)
    return out.getvalue()


def format_number(value: float | None) -> str:
    """Formats a number with six digits; integers in full; "" for None."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6g}"


COLUMNS = ("mean", "min - max", "95 %", "strict", "NLL", "Brier", "probe")


def format_row(row: Row) -> list[str]:
    """Formats the values of a row, for the columns of ``COLUMNS``."""
    return [
        f"{row.mean:.2f}",
        f"{min(row.by_seed):.2f} - {max(row.by_seed):.2f}" if len(row.by_seed) > 1 else "one seed",
        f"{row.interval.low:.2f} - {row.interval.high:.2f}",
        "-" if row.strict is None else f"{row.strict:.2f}",
        f"{row.nll:.2f}",
        f"{row.brier:.2f}",
        "-" if row.probe is None else f"{row.probe:.2f}",
    ]


def describe_runs(collection: RunCollection, cells: Sequence[Cell]) -> list[str]:
    """Describes which runs were included and which were not."""
    superseded = [name for cell in cells for name in cell.superseded]
    outdated = [run.name for cell in cells for run in cell.runs if run.maps is None]
    counted = len(collection.runs) - len(superseded)
    lines = [f"{pluralise(counted, 'run')} in {pluralise(len(cells), 'cell')}."]
    for names, why in (
        (collection.unfinished, "not counted, unfinished"),
        (collection.untested, "not counted, no test photos"),
        (superseded, "not counted, the same seed was run again later"),
        (outdated, "maps not counted, they explain other predictions"),
    ):
        if names:
            lines.append(f"{why} ({len(names)}): {', '.join(names)}")
    codes = dict.fromkeys(run.code for cell in cells for run in cell.runs)
    lines.append(f"code: {', '.join(map(shorten_hashes, codes))}")
    if any(code.endswith("+changes") for code in codes):
        lines.append("+changes: the code differed from that commit in ways that are not recorded")
    return lines


def print_tables(table: dict[str, list[Row]], console: Console) -> None:
    """Prints one table per test split; the best cell and those tied with it are marked with =."""
    for split, rows in table.items():
        title = f"{escape(split)}, {pluralise(rows[0].num_photos, 'photo')}"
        shown = Table(title=title, title_justify="left", caption_justify="left", box=SIMPLE_HEAD)
        shown.add_column("cell", min_width=16, overflow="fold")
        for column in ("mean", "min - max", "95 %", "NLL", "probe"):
            shown.add_column(column, justify="right", no_wrap=True)
        shown.add_column("standing")
        for row in rows:
            marks = "".join(f"\n  {mark}" for mark in row.cell.marks)
            mean, span, interval, _, nll, _, probe = format_row(row)
            standing = f"{'= ' if row.tied else '  '}{describe_verdict(row, rows)}"
            cells = (row.cell.label + marks, mean, span, interval, nll, probe, standing)
            shown.add_row(*map(escape, cells))
        shown.caption = escape(describe_result(rows))
        console.print(shown)
