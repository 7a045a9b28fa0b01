"""Downloads files of weights."""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import uuid4

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

ANSWER_SECONDS = 4.0
"""How long a server may take to answer before ``auto`` looks elsewhere."""
STALL_SECONDS = 60.0
"""How long a download may stall before it is aborted."""
CHUNK = 1 << 17


@cache
def check_url(url: str) -> str:
    """Checks whether a server has a file; each URL is requested once per process.

    Returns:
        Why there was no answer within ``ANSWER_SECONDS``; empty if there was one.
    """
    why = [f"no answer within {ANSWER_SECONDS:g} s"]

    def ask() -> None:
        try:
            with urlopen(Request(url, method="HEAD"), timeout=ANSWER_SECONDS):
                why[0] = ""
        except (OSError, HTTPException, ValueError) as error:
            why[0] = describe_error(error)

    # A thread, since a DNS lookup has no timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS + 1)
    return why[0]


@cache
def download(url: str, path: Path, checksum: str) -> str:
    """Downloads a file atomically; there is no time limit while data keeps arriving.

    Each file is tried once per process, so that all jobs of a sweep get the same weights. A
    progress bar goes to stderr where that is a terminal.

    Args:
        url: URL of the file.
        path: Destination.
        checksum: ``sha256:`` or ``md5:`` and the first digits of the expected hash.

    Returns:
        Why it failed; empty if it succeeded.
    """
    print(f"weights  downloading {url} into {path}", flush=True)
    try:
        with partial_file(path) as part:
            return _receive(url, part, checksum)
    except (OSError, HTTPException, ValueError) as error:
        return describe_error(error)


def _receive(url: str, part: Path, checksum: str) -> str:
    """Downloads to ``part``, and deletes it if its size or hash is wrong."""
    algorithm, _, digits = checksum.partition(":")
    digest = hashlib.new(algorithm, usedforsecurity=False)
    received = 0
    request = Request(url, headers={"User-Agent": "bookcls"})
    # The timeout is per read, not for the whole download.
    with (
        urlopen(request, timeout=STALL_SECONDS) as answer,
        part.open("xb") as file,
        _progress_bar() as bar,
    ):
        total = answer.length
        task = bar.add_task("", total=total)
        while chunk := answer.read(CHUNK):
            file.write(chunk)
            digest.update(chunk)
            received += len(chunk)
            bar.update(task, completed=received)
    why = ""
    if total is not None and received < total:
        why = f"the connection ended after {received / 1e6:.1f} of {total / 1e6:.1f} MB"
    elif not digest.hexdigest().startswith(digits):
        why = f"what came is another file: its {algorithm} does not begin with {digits}"
    if why:
        part.unlink()
    return why


def _progress_bar() -> Progress:
    console = Console(stderr=True)
    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def partial_file(path: Path) -> Iterator[Path]:
    """Yields a unique path in the same folder that replaces ``path`` at the end.

    If the block fails, or creates no such file, ``path`` is left unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        yield part
        if part.is_file():
            with part.open("r+b") as file:  # Windows syncs only what is open for writing.
                os.fsync(file.fileno())
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def describe_error(error: Exception) -> str:
    """Describes a failed request in one line."""
    if isinstance(error, HTTPError):
        return f"the server answers {error.code}"
    said = str(getattr(error, "reason", error)).strip().partition("\n")[0][:120]
    if isinstance(error, HTTPException):
        return f"the answer is garbled: {said or type(error).__name__}"
    return said or type(error).__name__
