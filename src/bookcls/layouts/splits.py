"""The split of each row of a table, from a column such as split or is_valid."""

from collections.abc import Sequence
from pathlib import Path

from bookcls.errors import BookclsError
from bookcls.layouts.cells import column
from bookcls.layouts.names import TEST, TRAIN, UNLABELLED, VAL, plain, split_of
from bookcls.layouts.reading import Grid

TRUE = frozenset({"true", "1", "1.0", "yes", "t", "y"})
FALSE = frozenset({"false", "0", "0.0", "no", "f", "n"})
NUMBERS = ("0", "1", "2")
FLAGS = {"isvalid": VAL, "isval": VAL, "isvalidation": VAL, "istest": TEST, "istesting": TEST,
         "istrain": TRAIN, "istraining": TRAIN}  # fmt: skip


def read_roles(
    table: Path, grid: Grid, columns: Sequence[int], notes: list[str]
) -> list[str | None]:
    """The role of each row; None if no column says it.

    Args:
        table: The file, for messages.
        grid: Its cells.
        columns: Positions of the columns that may say it.
        notes: A line is added for each that does not.

    Raises:
        BookclsError: For values that say neither, or two columns that say different things.
    """
    said: list[set[str]] = [set() for _ in grid.rows]
    flagged = False
    for i in columns:
        name, cells = grid.header[i], column(grid, i)
        flag = FLAGS.get(plain(name))
        flagged = flagged or flag is not None
        roles = [role_of_cell(cell, flag) for cell in cells]
        # Numbers of folds are no splits; 0, 1 and 2 elsewhere are, but which is unknown.
        numbers = plain(name) != "fold" and any(c.strip() in NUMBERS for c in cells)
        if flag is None and not numbers and not any(split_of(cell) for cell in cells):
            notes.append(f"{table.name}: the column {name} names no splits, so it is not used")
            continue
        wrong = next((k for k, role in enumerate(roles) if role is None), None)
        if wrong is not None:
            allowed = "true or false" if flag else "train, valid or test"
            raise BookclsError(
                f"{table} line {grid.rows[wrong][0]}: {name} is {cells[wrong]!r}, which must be "
                f"{allowed}: correct it, or give the column another name, and it is not used."
            )
        for row, role in zip(said, roles, strict=True):
            row.update({role} if role else set())
    result: list[str | None] = []
    for (number, _), row in zip(grid.rows, said, strict=True):
        row.discard("")
        if len(row) > 1:
            raise BookclsError(
                f"{table} line {number} is both {' and '.join(sorted(row))}: correct its columns "
                f"{', '.join(grid.header[i] for i in columns)}."
            )
        result.append(next(iter(row), TRAIN if flagged else None))
    return result


def role_of_cell(cell: str, flag: str | None) -> str | None:
    """The role in a cell: "" if the column leaves it open, None if the cell is wrong."""
    if flag is None:
        split = split_of(cell)
        return split.role if split and split.role != UNLABELLED and not split.rest else None
    value = cell.strip().casefold()
    if value in TRUE:
        return flag
    if value in FALSE:
        return TEST if flag == TRAIN else ""
    return None
