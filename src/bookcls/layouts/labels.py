"""The rows of a table of labels, checked one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bookcls.data.photo_files import is_photo
from bookcls.data.samples import problems_error
from bookcls.errors import BookclsError
from bookcls.layouts.cells import ADVICE, column
from bookcls.layouts.columns import choose_columns
from bookcls.layouts.matching import Index, has_suffix
from bookcls.layouts.names import alike, composed
from bookcls.layouts.reading import read_grid
from bookcls.layouts.single import SEVERAL, check_single, read_one_hot
from bookcls.layouts.source import refuse_alike
from bookcls.layouts.splits import read_roles

MISSING = ("nan", "null", "n/a", "#n/a", "<na>")


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        where: File and line, for messages.
        path: The photo.
        label: Its class.
        role: Its split; None if the table does not say it.
        has_split: Whether a column says it, not only the name of the table.
    """

    where: str
    path: Path
    label: str
    role: str | None
    has_split: bool


@dataclass
class Labels:
    """A table of labels.

    Attributes:
        table: The file.
        said: Its encoding, separator and columns, in words.
        rows: One per photo.
        notes: Lines for the user.
    """

    table: Path
    said: str
    rows: list[Row]
    notes: list[str]


def read_labels(
    table: Path,
    index: Index,
    *,
    role: str | None = None,
    classes: Sequence[str] = (),
    wanted: str | None = None,
    explicit: bool = False,
) -> Labels:
    """Reads photo, class and split of each row.

    Args:
        table: The file.
        index: The photos.
        role: Of a table for one split: which.
        classes: Names that may contain spaces or commas, and that are the same in any case.
        wanted: The name of the column of labels; None to find it.
        explicit: Whether the user named the table.

    Raises:
        NotLabelsError: If it is clearly about something else.
        BookclsError: If it cannot be used, listing every wrong row.
    """
    grid = read_grid(table)
    columns = choose_columns(table, grid, index, wanted, explicit)
    labels = read_one_hot(table, grid, columns)
    known = {alike(name): composed(name) for name in classes}
    check_single(table, grid, labels, known)
    refuse_alike(table, [label for label in labels if alike(label) not in known and label.strip()])
    own = len(set(labels)) == len(labels) > 1 and columns.label is not None
    # A list without a header may as well number the photos.
    sure = "header" not in grid.said and all(map(has_suffix, column(grid, columns.file)))
    if own and not explicit and (len(labels) > 4 or not sure):
        raise BookclsError(
            f"{table} has another label in each row, as a list of classes or of captions has: "
            f"labels={table} uses it as it is; {ADVICE}."
        )
    labels = [known.get(alike(label), composed(label.strip())) for label in labels]
    notes: list[str] = []
    roles = read_roles(table, grid, columns.splits, notes)
    files = column(grid, columns.file)
    paths = index.match(files, table, role)
    problems, seen, rows = [], dict[Path, tuple[str, str]](), []
    for (number, _), name, path, label, split in zip(
        grid.rows, files, paths, labels, roles, strict=True
    ):
        where = f"{table.name} line {number}"
        name = name.strip()
        if not label or (label.casefold() in MISSING and alike(label) not in known):
            problems.append(f"{where}: no class for {name or 'a row without a file'}")
        if isinstance(path, str):
            problems.append(f"{where}: {path}")
        elif not is_photo(path):
            problems.append(f"{where}: {name} is not a photo")
        elif path not in seen:
            seen[path] = (name, label)
            rows.append(Row(where, path, label, split or role, split is not None))
        elif seen[path][1] != label:
            other = seen[path][1]
            problems.append(f"{where}: {name} is {label} here and {other} above; {SEVERAL}")
        elif seen[path][0] != name:
            problems.append(f"{where}: {name} and {seen[path][0]} are the same photo here")
        elif next(row for row in rows if row.path == path).role != (split or role):
            problems.append(f"{where}: {name} is in two splits")
    if problems:
        raise problems_error(index.root, problems)
    label_name = "one per class" if columns.label is None else grid.header[columns.label]
    said = f"{grid.said}; columns {grid.header[columns.file]} and {label_name}"
    return Labels(table, said, rows, notes)
