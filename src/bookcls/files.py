"""Files that are whole or absent, locked folders, and csv fields that no spreadsheet runs."""

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
"""While a process writes into the folder."""
IN_PLACE = (LOCK, "study.db", "cells.jsonl", "output.txt", "multirun.yaml", ".hydra/*.yaml")
"""What is written under its own name; all other files are replaced as a whole."""
TEMPORARY = re.compile(r"\..+\.\d+")
"""What :func:`atomic_write` calls a file until it is whole."""
FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""How a field begins that a spreadsheet may run (OWASP, CSV Injection), marks of ours before it.

The last four are the full-width forms of the first four.
"""


def escape(value: object) -> str:
    """A csv field that no spreadsheet takes for a formula.

    >>> escape("=1+1"), safe("'=1+1"), safe("a=1")
    ("'=1+1", "''=1+1", 'a=1')
    """
    text = str(value)
    return f"'{text}" if FORMULA.match(text) else text


def unescape(field: str) -> str:
    """The inverse of :func:`escape`.

    >>> unescape("'=1+1"), meant("''=1+1"), meant("'a")
    ('=1+1', "'=1+1", "'a")
    """
    return field[1:] if field[:1] == "'" and FORMULA.match(field) else field


def escape_row(values: Iterable[object]) -> list[object]:
    """A csv row of which the texts are :func:`escape`; numbers stay, negative ones too."""
    return [escape(value) if isinstance(value, str) else value for value in values]


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary name beside ``path`` that takes its place if the block succeeds.

    A reader sees the old file or the whole new one, never a half.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)  # Opening a link of that name would write where it leads.
    try:
        yield temporary
        with temporary.open("r+b") as file:  # Windows syncs only what is open for writing.
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all; names that are not UTF-8 as escapes."""
    with atomic_write(path) as temporary:
        # In JSON the escape of a name that is no UTF-8 reads back as that name.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes json whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Writes a csv file whole or not at all; none of its fields is a formula to a spreadsheet.

    Args:
        path: The file.
        columns: Their names.
        rows: Texts and numbers; texts that look like a formula get a mark, see :func:`escape`.
    """
    with (
        atomic_write(path) as temporary,
        # A name that is not UTF-8 is written with escapes.
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        csv.writer(file).writerows([escape_row(columns), *map(escape_row, rows)])


def read_csv(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str | None, Any]]]:
    """Reads a csv file that a person wrote.

    Args:
        path: The file; UTF-8, with or without a byte order mark.
        columns: Their names, which may stand in any order.

    Returns:
        Line number and fields of each row, as ``csv.DictReader`` gives them: those beyond the last
        column under None, and None where fields are missing.

    Raises:
        BookclsError: If it cannot be read or has other columns; the message does not name it.
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
            f"its columns are {','.join(found) or 'none'}; needed are {','.join(columns)}"
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
        raise BookclsError(f"{path} holds no json object.")
    return value


def refuse_links(folder: Path, root: Path | None = None) -> None:
    """Refuses a folder in which anything leads out of it, before it is read or written.

    Links to places inside are let pass, and so is one by which the folder itself is reached. No
    link is followed; each file and folder is looked at once.

    Args:
        folder: A run folder, or one of sweeps, tuning or results; it may be missing.
        root: What nothing may lead out of, the folder itself included; None for ``folder``.

    Raises:
        BookclsError: If a link or junction does, or if there is a pipe, a socket or a device.
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
            # On Windows, Python 3.11 takes a junction for a folder.
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
                    "reading it could wait for ever: remove it."
                )


def _real(path: Path) -> Path:
    """Where a path leads; unlike ``Path.resolve`` also for links that lead in a circle."""
    return Path(os.path.realpath(path))


def _refuse_outside(path: Path, real: Path, home: Path) -> None:
    """Raises if ``real``, where a path leads, is not in ``home``."""
    if not real.is_relative_to(home):
        raise BookclsError(
            f"{path} is a link to {real}, outside of {home}: files there could be read, changed or "
            "deleted in the name of this folder. Remove the link, or put a copy of what it points "
            "to in its place."
        )


def refuse_hard_links(folder: Path) -> None:
    """Refuses a folder whose files, where they are written in place, have a second name elsewhere.

    Raises:
        BookclsError: If one is a hard link.
    """
    for pattern in IN_PLACE:
        for path in folder.glob(pattern):
            if path.lstat().st_nlink > 1:
                raise BookclsError(
                    f"{path} has another name elsewhere (a hard link), and what is written here "
                    "would change that file too: put a copy in its place."
                )


class BusyError(BookclsError):
    """Another process writes into a run folder."""


@contextmanager
def locked(run: Path, beside: Path | None = None) -> Iterator[None]:
    """Keeps other processes out of a run folder; the lock dies with the process.

    Args:
        run: The folder.
        beside: The lock's file, for a folder that is yet to come; None for one in it.

    Raises:
        BusyError: If another process has it.
        BookclsError: If anything in it leads elsewhere, see :func:`refuse_links`.
    """
    if not is_first_process():
        yield
        return
    if beside is None:
        refuse_links(run)
        refuse_hard_links(run)
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
