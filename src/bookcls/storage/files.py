"""Atomic writes of text, json and csv; csv fields are escaped so that none runs as a formula."""

import csv
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bookcls.errors import BookclsError

TEMPORARY = re.compile(r"\..+\.\d+")
"""Pattern of the temporary file names of :func:`atomic_write`."""
FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""The start of a field that a spreadsheet may run (OWASP, CSV Injection), after any escapes.

The last four are the full-width forms of the first four.
"""


def escape_field(value: object) -> str:
    """Escapes a csv field so that a spreadsheet does not treat it as a formula.

    >>> escape_field("=1+1"), escape_field("'=1+1"), escape_field("a=1")
    ("'=1+1", "''=1+1", 'a=1')
    """
    text = str(value)
    return f"'{text}" if FORMULA.match(text) else text


def unescape_field(field: str) -> str:
    """Undoes :func:`escape_field`.

    >>> unescape_field("'=1+1"), unescape_field("''=1+1"), unescape_field("'a")
    ('=1+1', "'=1+1", "'a")
    """
    return field[1:] if field[:1] == "'" and FORMULA.match(field) else field


def escape_row(values: Iterable[object]) -> list[object]:
    """Applies :func:`escape_field` to the strings of a csv row; numbers are left unchanged."""
    return [escape_field(value) if isinstance(value, str) else value for value in values]


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder that replaces ``path`` if the block succeeds.

    A reader sees either the old file or the complete new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)  # Opening a link of that name would write to its target.
    try:
        yield temporary
        with temporary.open("r+b") as file:  # Windows only syncs files that are open for writing.
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically; characters that are not valid UTF-8 are escaped."""
    with atomic_write(path) as temporary:
        # In JSON, the escape of a name that is not UTF-8 reads back as that name.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes a json file atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Writes a csv file atomically, with fields escaped so that none is read as a formula.

    Args:
        path: The file.
        columns: Column names.
        rows: Strings and numbers; strings are escaped, see :func:`escape_field`.
    """
    with (
        atomic_write(path) as temporary,
        # A name that is not UTF-8 is written with escapes.
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        csv.writer(file).writerows([escape_row(columns), *map(escape_row, rows)])


def read_csv(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str | None, Any]]]:
    """Reads a csv file written by a user.

    Args:
        path: The file; UTF-8, with or without a byte order mark.
        columns: Column names, in any order.

    Returns:
        Line number and fields of each row, as ``csv.DictReader`` returns them: extra fields under
        the key None, and None for missing fields.

    Raises:
        BookclsError: If the file cannot be read or has other columns; the message omits its path.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            found = [column.strip() for column in reader.fieldnames or []]
            reader.fieldnames = found
            rows: list[tuple[int, dict[str | None, Any]]] = [(reader.line_num, r) for r in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BookclsError(f"not a UTF-8 csv file ({error})") from error
    if sorted(found) != sorted(columns):
        raise BookclsError(
            f"its columns are {','.join(found) or 'none'}; expected {','.join(columns)}"
        )
    return rows


def read_json(path: Path) -> dict[str, Any]:
    """Reads a json object.

    Raises:
        BookclsError: If it is missing or damaged.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BookclsError(f"{path} cannot be read ({error}).") from error
    if not isinstance(value, dict):
        raise BookclsError(f"{path} does not contain a json object.")
    return value
