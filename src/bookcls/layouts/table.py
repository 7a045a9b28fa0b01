"""Reads the class of each photo from a csv file."""

import csv
from pathlib import Path

from bookcls.data.images import SUFFIXES
from bookcls.data.samples import list_visible, problems_error
from bookcls.errors import BookclsError

FILE = ("file", "filename", "file_name", "path", "image")
LABEL = ("label", "class", "category")


def find_table(root: Path) -> Path | None:
    """Finds the csv file in a folder whose header has columns for files and labels, if any.

    Raises:
        BookclsError: If there are several.
    """
    tables = [p for p in list_visible(root) if p.suffix.lower() == ".csv" and find_columns(p)]
    if len(tables) > 1:
        names = ", ".join(p.name for p in tables)
        raise BookclsError(
            f"{root} contains several files with labels ({names}): give labels=FILE."
        )
    return tables[0] if tables else None


def find_columns(table: Path) -> tuple[str, str] | None:
    """Finds the columns of file and label in a csv file's header; None if it has none."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return None
    found = [
        next((c for c in header if c.strip().lower() in names), None) for names in (FILE, LABEL)
    ]
    file_column, label_column = found
    return None if file_column is None or label_column is None else (file_column, label_column)


def read_table(root: Path, table: Path) -> list[tuple[Path, str]]:
    """Reads photo and class of each row.

    Args:
        root: What the paths in the file are relative to, if not to the file's own folder.
        table: The csv file.

    Raises:
        BookclsError: If it is not such a file, or listing every wrong row.
    """
    if not table.is_file():
        raise BookclsError(f"labels={table}: there is no such file.")
    wrong = BookclsError(
        f"{table} is not a UTF-8 csv file with a column for the file ({', '.join(FILE)}) and "
        f"one for the class ({', '.join(LABEL)})."
    )
    columns = find_columns(table)
    if columns is None:
        raise wrong
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            cells = [(reader.line_num, [(row[c] or "").strip() for c in columns]) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise wrong from error
    problems, labels = [], dict[Path, str]()
    for number, (name, label) in cells:
        where = f"{table.name} line {number}"
        places = [folder / name for folder in (table.parent, root)]
        path = next((p for p in places if name and p.is_file()), None)
        if not label:
            problems.append(f"{where}: no class for {name or 'a row without a file'}")
        elif path is None:
            problems.append(f"{where}: there is no file {name or '(empty)'}")
        elif path.suffix.lower() not in SUFFIXES:
            problems.append(f"{where}: {name} is not a photo (supported: {' '.join(SUFFIXES)})")
        elif labels.setdefault(path, label) != label:
            problems.append(f"{where}: {name} is {label} here and {labels[path]} above")
    if problems:
        raise problems_error(root, problems)
    return list(labels.items())
