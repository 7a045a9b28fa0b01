"""Checks for links that lead out of a folder, and locks against other processes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from bookcls.environment import is_first_process
from bookcls.errors import BookclsError
from bookcls.storage.files import TEMPORARY

LOCK = ".lock"
"""Lock file; exists while a process writes to the folder."""
IN_PLACE = (LOCK, "study.db", "jobs.jsonl", "output.txt", "multirun.yaml", ".hydra/*.yaml")
"""Files that are written in place; all others are replaced atomically."""


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
    for path in (
        *reversed(folder.parents),
        folder,
    ):  # so that the message names the link itself, not a path below it
        if root is not None and path.is_relative_to(root):
            _refuse_outside(path, _real(path), home)
    pending = [top] if top.is_dir() else []
    seen = set(pending)
    while pending:
        try:
            entries = list(os.scandir(pending.pop()))
        except FileNotFoundError:
            continue  # removed by another process in the meantime
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
                    pending.append(real)
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
