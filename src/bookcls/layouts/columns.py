"""Which columns of a table name the photo, its class and its split."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bookcls.errors import BookclsError
from bookcls.layouts.matching import Index, has_suffix
from bookcls.layouts.names import alike, plain
from bookcls.layouts.reading import Grid
from bookcls.layouts.vocabulary import FILES, LABELS, METADATA, SOMETIMES, SPLITS

ADVICE = "labels=folders takes the classes from the folders instead"


class NotLabelsError(Exception):
    """A table that clearly has no labels; the message says why."""


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


def has_no_header(grid: Grid, index: Index) -> bool:
    """Whether the first line names a photo, as the others do."""
    if any(map(has_suffix, grid.header)):
        return True
    return any(
        index.knows(name) and plain(name) not in FILES and index.knows(cell)
        for _, cells in grid.rows[:1]
        for name, cell in zip(grid.header, cells, strict=True)
    )


def choose_file(
    table: Path, grid: Grid, names: Sequence[str], labels: Sequence[int], index: Index
) -> int:
    """The column whose cells are names of photos."""
    ranks = []
    for i, name in enumerate(names):
        cells = column(grid, i)[:1000]
        hits, suffixed = sum(map(index.knows, cells)), sum(map(has_suffix, cells))
        telling = name not in METADATA and not re.fullmatch("(unnamed.*)?", name)
        alone = telling and hits * 2 > len(cells) == len(set(cells))
        named = name in FILES and (hits or suffixed)
        if (i not in labels and (named or alone)) or (hits and suffixed):
            ranks.append((suffixed > 0, hits, name in FILES, -i))
    if ranks:
        return -max(ranks)[-1]
    files = [i for i, n in enumerate(names) if n in FILES and i not in labels]
    repeated = any(len(set(column(grid, i))) < len(grid.rows) for i in labels)
    generic = all(names[i] in ("id", "name") for i in files)
    if labels and files and (repeated or not generic):
        raise BookclsError(
            f"{table} looks like labels, but no photo here is named in its column "
            f"{grid.header[files[0]]} ({grid.said}), as {column(grid, files[0])[0]!r} in the first "
            f"row: write the names of the files there; {ADVICE}."
        )
    if labels and repeated and len(names) > 1:
        raise BookclsError(
            f"{table} looks like labels, but has no column for the file ({grid.said}; columns: "
            f"{describe(grid.header)}): name one file; {ADVICE}."
        )
    raise NotLabelsError("names no photos")


def choose_label(table: Path, grid: Grid, labels: Sequence[int]) -> int:
    """The column of labels: of several that say the same, the one with names.

    Raises:
        BookclsError: If they say different things.
    """
    filled = [i for i in labels if any(c.strip() for c in column(grid, i))] or list(labels)
    first = column(grid, filled[0])
    for i in filled[1:]:
        pairs = set(zip(first, column(grid, i), strict=True))
        if not len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}):
            both = ", ".join(grid.header[j] for j in filled)
            raise BookclsError(
                f"{table} has several columns of labels ({both}) that group the photos "
                f"differently: label_column={grid.header[filled[0]]} chooses one."
            )
    numbers = [i for i in filled if all(c.strip().isdigit() for c in column(grid, i))]
    return next((i for i in filled if i not in numbers), filled[0])


def column(grid: Grid, i: int) -> list[str]:
    """The cells of a column."""
    return [cells[i] for _, cells in grid.rows]


def is_flag(cells: Sequence[str]) -> bool:
    """Whether a column contains only 0 and 1."""
    return {c.strip() for c in cells} <= {"0", "1", "0.0", "1.0"}


def has_classes(cells: Sequence[str]) -> bool:
    """Whether the cells of an unknown column may be classes: few different ones, no measures."""
    values = {c.strip() for c in cells} - {""}
    if len(values) < 2 or all(re.fullmatch(r"-?\d+[.,]\d+(e-?\d+)?", v) for v in values):
        return False
    return len(values) < len(cells) or len(cells) < 10


def describe(header: Sequence[str]) -> str:
    """The names of columns."""
    return ", ".join(name.strip() or "(no name)" for name in header[:20])
