"""One label per photo: columns of 0 and 1, lists in cells, and cells with several labels."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bookcls.errors import BookclsError
from bookcls.layouts.cells import column
from bookcls.layouts.columns import Columns
from bookcls.layouts.names import alike, setting
from bookcls.layouts.reading import Grid

SEVERAL = "a classifier needs one class per photo: keep one per row"


def read_one_hot(table: Path, grid: Grid, columns: Columns) -> list[str]:
    """The label of each row, also from a column per class.

    Raises:
        BookclsError: If a row has none or several.
    """
    if columns.label is not None:
        return [unwrap(cell) for cell in column(grid, columns.label)]
    labels = []
    for number, cells in grid.rows:
        names = [grid.header[i].strip() for i in columns.one_hot if float(cells[i])]
        if len(names) != 1:
            what = f"several classes ({', '.join(names)})" if names else "no class"
            raise BookclsError(
                f"{table} line {number}: {cells[columns.file]} has {what}; a classifier needs one "
                "class per photo: set one column to 1 in each row, or remove the row."
            )
        labels += names
    return labels


def unwrap(cell: str) -> str:
    """The label in a cell such as ``["cat"]``, or the cell as it is."""
    text = cell.strip()
    if text[:1] not in ("[", "{"):
        return cell
    try:
        value = json.loads(text.replace("'", '"'))
    except ValueError:
        return cell
    if isinstance(value, dict):
        value = value.get("choices", value)
    if isinstance(value, list):
        return ";".join(map(str, value))
    return cell


def check_single(table: Path, grid: Grid, labels: Sequence[str], known: dict[str, str]) -> None:
    """Checks that no cell contains several labels.

    Raises:
        BookclsError: If one does.
    """
    whole = Counter(alike(label) for label in labels)
    for separator in (";", "|", ",", "+", "&", "/", "\\", " "):
        pieces = {
            label: [alike(p) for p in re.split(re.escape(separator), label.strip()) if p.strip()]
            for label in dict.fromkeys(labels)
        }
        pieces = {name: p for name, p in pieces.items() if len(p) > 1 and alike(name) not in known}
        shared = Counter(p for parts in pieces.values() for p in set(parts))
        for label, parts in pieces.items():
            common = [p in whole or (separator != " " and shared[p] > 1) for p in parts]
            everywhere = all(p in whole or shared[p] > 1 for p in parts)
            certain = separator in ";|" or (separator == " " and (all(common) or everywhere))
            if certain or (separator != " " and any(common)):
                number = grid.rows[list(labels).index(label)][0]
                raise BookclsError(
                    f"{table} line {number}: {label.strip()!r} looks like several labels; "
                    f"{SEVERAL}, or, if it is one class, give {setting([*known.values(), label])} "
                    "with all the others."
                )
