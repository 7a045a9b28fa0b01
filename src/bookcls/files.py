"""Atomic writes, locked folders, and csv fields that a spreadsheet does not run."""

import csv
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bookcls.environment import is_first_process
from bookcls.errors import BookclsError

LOCK = ".lock"
"""Exists while a process writes to the folder."""
IN_PLACE = (LOCK, "study.db", "jobs.jsonl", "output.txt", "multirun.yaml", ".hydra/*.yaml")
"""Files that are written in place; all others are replaced atomically."""
TEMPORARY = re.compile(r"\..+\.\d+")
"""What :func:`atomic_write` names a file until it is complete."""
FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""The start of a field that a spreadsheet may run (OWASP, CSV Injection), after any escapes.

The last four are the full-width forms of the first four.
"""


def escape(value: object) -> str:
    """Escapes a csv field so that a spreadsheet does not treat it as a formula.

    >>> escape("=1+1"), escape("'=1+1"), escape("a=1")
    ("'=1+1", "''=1+1", 'a=1')
    """
    text = str(value)
    return f"'{text}" if FORMULA.match(text) else text


def unescape(field: str) -> str:
    """Undoes :func:`escape`.

    >>> unescape("'=1+1"), unescape("''=1+1"), unescape("'a")
    ('=1+1', "'=1+1", "'a")
    """
    return field[1:] if field[:1] == "'" and FORMULA.match(field) else field


def escape_row(values: Iterable[object]) -> list[object]:
    """Applies :func:`escape` to the strings of a csv row; numbers are left unchanged."""
    return [escape(value) if isinstance(value, str) else value for value in values]


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
        with temporary.open("r+b") as file:  # Windows syncs only what is open for writing.
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
        rows: Strings and numbers; strings are escaped, see :func:`escape`.
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


def refuse_links(folder: Path, root: Path | None = None) -> None:
    """Refuses a folder that contains links to places outside it, before it is read or written.

    Links to places inside it are allowed, and so is a link through which the folder itself is
    reached. Links are not followed; each file and folder is checked once.

    Args:
        folder: A run folder, or one of sweeps, tuning or results; it may be missing.
        root: The folder that nothing, ``folder`` included, may link out of; None for ``folder``.

    Raises:
        BookclsError: If there is such a link or junction, or a pipe, a socket or a device.
        OSError: If a folder cannot be listed.
    """
    home, top = _real(root or folder), _real(folder)
    for path in (*reversed(folder.parents), folder):  # the link itself is named, not what is below
        if root is not None and path.is_relative_to(root):
            _refuse_outside(path, _real(path), home)
    waiting = [top] if top.is_dir() else []
    seen = set(waiting)
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except FileNotFoundError:
            continue  # removed by another process, a moment ago
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                continue
            path = Path(entry.path)
            # On Windows, Python 3.11 reports a junction as a folder.
            is_folder = os.name == "posix" and entry.is_dir(follow_symlinks=False)
            real = path if is_folder else _real(path)
            _refuse_outside(path, real, home)
            if real.is_dir():
                if real not in seen:
                    seen.add(real)
                    waiting.append(real)
            elif real.exists() and not real.is_file():
                raise BookclsError(
                    f"{path} is neither a file nor a folder (a pipe, a socket or a device), and "
                    "reading it could block forever: remove it."
                )


def _real(path: Path) -> Path:
    """Resolves a path; unlike ``Path.resolve``, also if links form a cycle."""
    return Path(os.path.realpath(path))


def _refuse_outside(path: Path, real: Path, home: Path) -> None:
    """Raises an error if ``real``, the target of a path, is not in ``home``."""
    if not real.is_relative_to(home):
        raise BookclsError(
            f"{path} is a link to {real}, outside {home}: files there could be read, changed or "
            "deleted along with this folder. Remove the link, or put a copy of what it points "
            "to in its place."
        )


def refuse_hard_links(folder: Path) -> None:
    """Refuses a folder in which a file that is written in place has another hard link.

    Raises:
        BookclsError: If there is one.
    """
    for pattern in IN_PLACE:
        for path in folder.glob(pattern):
            if path.lstat().st_nlink > 1:
                raise BookclsError(
                    f"{path} has another hard link, so writing to it would change that "
                    "file too: replace it with a copy."
                )


class BusyError(BookclsError):
    """Another process is writing to the run folder."""


@contextmanager
def locked(run: Path, lock_file: Path | None = None) -> Iterator[None]:
    """Locks a run folder against other processes; the lock is released if the process dies.

    Args:
        run: The folder.
        lock_file: Path of the lock, for a folder that does not exist yet; None for one inside it.

    Raises:
        BusyError: If another process holds the lock.
        BookclsError: If anything in it links elsewhere, see :func:`refuse_links`.
    """
    if not is_first_process():
        yield
        return
    if lock_file is None:
        refuse_links(run)
        refuse_hard_links(run)
    path = run / LOCK if lock_file is None else lock_file
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise BusyError(
            f"{run}: another process is writing to it; wait until it ends, or stop it."
        ) from error
    try:
        for left in run.glob(".*"):
            if TEMPORARY.fullmatch(left.name):  # left by a process that was killed
                left.unlink()
        yield
    finally:
        with suppress(OSError):  # Windows does not delete an open file.
            path.unlink()
        lock.release()
