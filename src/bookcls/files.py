"""Files that are whole or absent, locked folders, and csv fields that no spreadsheet runs."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bookcls.environment import is_first_process
from bookcls.errors import BookclsError

LOCK = ".lock"
"""While a process writes into the folder."""
TEMPORARY = re.compile(r"\..+\.\d+")
"""What :func:`replacing` calls a file until it is whole."""
FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""How a field begins that a spreadsheet may run (OWASP, CSV Injection), marks of ours before it.

The last four are the full-width forms of the first four.
"""


def safe(value: object) -> str:
    """A csv field that no spreadsheet takes for a formula.

    >>> safe("=1+1"), safe("'=1+1"), safe("a=1")
    ("'=1+1", "''=1+1", 'a=1')
    """
    text = str(value)
    return f"'{text}" if FORMULA.match(text) else text


def meant(field: str) -> str:
    """The inverse of :func:`safe`.

    >>> meant("'=1+1"), meant("''=1+1"), meant("'a")
    ('=1+1', "'=1+1", "'a")
    """
    return field[1:] if field[:1] == "'" and FORMULA.match(field) else field


def safe_row(values: Iterable[object]) -> list[object]:
    """A csv row of which the texts are :func:`safe`; numbers stay, negative ones too."""
    return [safe(value) if isinstance(value, str) else value for value in values]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary name beside ``path`` that takes its place if the block succeeds.

    A reader sees the old file or the whole new one, never a half.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        with temporary.open("r+b") as file:  # Windows syncs only what is open for writing.
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all; names that are not UTF-8 as escapes."""
    with replacing(path) as temporary:
        # In JSON the escape of a name that is no UTF-8 reads back as that name.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes json whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


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
        raise BookclsError(f"{path} holds no json object.")
    return value


class BusyError(BookclsError):
    """Another process writes into a run folder."""


@contextmanager
def held(run: Path, beside: Path | None = None) -> Iterator[None]:
    """Keeps other processes out of a run folder; the lock dies with the process.

    Args:
        run: The folder.
        beside: The lock's file, for a folder that is yet to come; None for one in it.

    Raises:
        BusyError: If another process has it.
    """
    if not is_first_process():
        yield
        return
    path = run / LOCK if beside is None else beside
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise BusyError(
            f"{run}: another process is writing into it; wait for its end, or stop it."
        ) from error
    try:
        for left in run.glob(".*"):
            if TEMPORARY.fullmatch(left.name):  # of a process that was killed
                left.unlink()
        yield
    finally:
        with suppress(OSError):  # Windows keeps an open file.
            path.unlink()
        lock.release()
