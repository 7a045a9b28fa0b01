"""Which columns of a table name the photo, its class and its split."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from bookcls.errors import BookclsError
from bookcls.layouts.cells import ADVICE, NotLabelsError, column, describe, has_classes, is_flag
from bookcls.layouts.choosing import choose_file, choose_label, has_no_header
from bookcls.layouts.matching import Index, has_suffix
from bookcls.layouts.names import alike, plain
from bookcls.layouts.reading import Grid
from bookcls.layouts.vocabulary import FILES, LABELS, METADATA, SOMETIMES, SPLITS


@dataclass
class Columns:
    """Positions of columns.

    Attributes:
        file: Of the photo.
        label: Of its class; None if each class has a column.
        one_hot: Of those.
        splits: Of those that name the split.
    """

    file: int
    label: int | None
    one_hot: list[int] = field(default_factory=list)
    splits: list[int] = field(default_factory=list)


def choose_columns(
    table: Path, grid: Grid, index: Index, wanted: str | None, explicit: bool
) -> Columns:
    """Chooses the columns by their names and by what is in them.

    Args:
        table: The file, for messages.
        grid: Its cells; the header is made a row if it is one.
        index: The photos.
        wanted: The name of the column of labels; None to find it.
        explicit: Whether the user named the table.

    Raises:
        NotLabelsError: If the table is clearly about something else.
        BookclsError: If it looks like labels, but cannot be used.
    """
    if has_no_header(grid, index):
        grid.rows.insert(0, (1, grid.header))
        grid.said += ", without a header"
        if len(grid.header) == 2:
            file = max(
                (0, 1), key=lambda i: (has_suffix(grid.header[i]), index.knows(grid.header[i]))
            )
            grid.header = ["file", "label"] if file == 0 else ["label", "file"]
        elif len(grid.header) > 2:
            raise BookclsError(
                f"{table} has no header: add a first line with the names of the columns, such as "
                "file,label."
            )
        else:
            grid.header = ["file"]
    if not grid.rows:
        raise NotLabelsError("has no rows")
    names = [plain(name) for name in grid.header]
    labels = [i for name in LABELS for i, n in enumerate(names) if n == name]
    if wanted is not None:
        labels = [i for i, n in enumerate(grid.header) if alike(n) == alike(wanted)]
        if not labels:
            raise BookclsError(
                f"label_column={wanted}: {table.name} has no such column; it has "
                f"{describe(grid.header)}."
            )
    named = [i for i, n in enumerate(names) if n in FILES and i not in labels]
    try:
        file = choose_file(table, grid, names, labels, index)
    except (BookclsError, NotLabelsError):
        if not (explicit and named and labels):
            raise
        file = named[0]
    labels = [i for i in labels if i != file]
    splits = [i for i, n in enumerate(names) if n in SPLITS and i not in (file, *labels)]
    if labels:
        return Columns(file, choose_label(table, grid, labels), [], splits)
    known = {i for i, n in enumerate(names) if n in METADATA or re.fullmatch("(unnamed.*)?", n)}
    if METADATA & set(names):
        known |= {i for i, n in enumerate(names) if n in SOMETIMES}
    known |= {i for i, n in enumerate(names) if n in FILES}
    rest = [i for i in range(len(names)) if i != file and i not in splits]
    classes = [i for i in rest if i not in known]
    if len(classes) > 1 and all(is_flag(column(grid, i)) for i in classes):
        return Columns(file, None, classes, splits)
    unclear = [grid.header[i] for i in rest if i not in known and has_classes(column(grid, i))]
    unclear += [
        grid.header[i] for i in rest if names[i] in FILES and has_classes(column(grid, i))
        and not any(map(index.knows, column(grid, i)))
    ]  # fmt: skip
    if unclear or explicit:
        raise BookclsError(
            f"{table} names photos, but no column is known to be the class ({grid.said}; columns: "
            f"{describe(grid.header)}): label_column=NAME says which; {ADVICE}."
        )
    raise NotLabelsError("has no column of labels")
