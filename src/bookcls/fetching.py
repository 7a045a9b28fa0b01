"""From a repository's files, near or far, to checked and resized ones in a folder."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.progress import Progress

from bookcls.books.manifest import Entry, blob_sha1, listed
from bookcls.books.source import UnreachableError, open_source, verified
from bookcls.data.images import ImageError, load_image
from bookcls.errors import BookclsError
from bookcls.files import read_json, replacing, write_json
from bookcls.settings import between

SHOWN = 10
"""After so many failed files the others are not tried."""
RECORD = "fetched.json"


@dataclass
class FetchConfig:
    """conf/fetch.yaml as a whole."""

    source: str
    manifest: str | None
    output: str
    size: int | str
    jobs: int

    def __post_init__(self) -> None:
        if not self.output.strip():
            raise BookclsError("output is empty: give the dataset's folder.")
        if isinstance(self.size, int):
            between("size", self.size, 32, 16384)
        elif self.size != "full":
            raise BookclsError(f"size={self.size}: give a long side in pixels, or full.")
        between("jobs", self.jobs, 1, 32)


@dataclass
class Record:
    """What a dataset's folder holds, finished or not; kept in it as fetched.json.

    Attributes:
        folder: The folder.
        settings: What the stored files depend on.
        files: Path in the dataset -> git hash of the stored file.
    """

    folder: Path
    settings: dict[str, Any]
    files: dict[str, str] = field(default_factory=dict)

    def load(self) -> "Record":
        """Reads what is there; an empty or missing folder is an empty record.

        Raises:
            BookclsError: If anything else is there, or a fetch with other settings.
        """
        if not self.folder.exists() or (self.folder.is_dir() and not any(self.folder.iterdir())):
            return self
        if not (self.folder / RECORD).is_file():
            raise BookclsError(
                f"{self.folder} exists and was not made by bookcls.fetch: move it away, or give "
                "output=DIR."
            )
        saved = read_json(self.folder / RECORD)
        files = saved.pop("files", None)
        if saved != self.settings or not isinstance(files, dict):
            raise BookclsError(
                f"{self.folder} was fetched with size={saved.get('size')} or by another manifest: "
                "fetch with the same settings, delete it, or give output=DIR."
            )
        self.files = files
        return self

    def lacks(self, entries: list[Entry]) -> list[Entry]:
        """Files that are missing or are not what was stored."""

        def right(name: str) -> bool:
            path = self.folder / name
            return path.is_file() and blob_sha1(path.read_bytes()) == self.files.get(name)

        return [e for e in entries if not right(e.stored)]

    def save(self) -> None:
        """Writes the record."""
        write_json(self.folder / RECORD, {**self.settings, "files": self.files})


def store(content: bytes, target: Path, size: int | str) -> str:
    """Writes one file, a photo no larger than ``size``.

    Returns:
        The git hash of what was written.

    Raises:
        ImageError: If a photo is none.
    """
    with replacing(target) as temporary:
        temporary.write_bytes(content)
        if isinstance(size, int) and target.name != "LICENSE":
            image = load_image(temporary)
            if max(image.size) > size:
                image.thumbnail((size, size), Image.Resampling.LANCZOS)
                resized = BytesIO()  # Straight to a file, Pillow would hide that a disk is full.
                image.save(resized, "JPEG", quality=92)
                content = resized.getvalue()
                temporary.write_bytes(content)
    return blob_sha1(content)


@contextmanager
def progress(total: int) -> Iterator[Callable[[], None]]:
    """Yields what to call after each file: a bar on a terminal, else a line per quarter."""
    console = Console()
    if console.is_terminal:
        with Progress(console=console) as bar:
            task = bar.add_task("fetching", total=total)
            yield lambda: bar.advance(task)
        return
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if done * 4 // total > (done - 1) * 4 // total:
            print(f"fetched {done} of {total} files", flush=True)

    yield step


def fetch_files(record: Record, left: list[Entry], config: FetchConfig) -> None:
    """Fetches files, several at a time, and records each one that is stored.

    Args:
        record: Of the folder in which the dataset is built.
        left: The files that it lacks.
        config: Where from, what size and how many at a time.

    Raises:
        BookclsError: If a file could not be had; what is stored stays.
        KeyboardInterrupt: After the downloads on their way have ended.
    """
    stop = threading.Event()
    failures: list[str] = []
    unreachable: list[UnreachableError] = []
    futures: dict[Future[str], str] = {}
    for entry in left:
        record.files.pop(entry.stored, None)

    def fetch_one(entry: Entry) -> str:
        try:
            content = verified(read, entry, stop)
            return store(content, record.folder / entry.stored, config.size)
        except UnreachableError as error:
            unreachable.append(error)
            stop.set()
            raise
        except ImageError as error:
            raise BookclsError(f"{entry.path}: {error}") from error

    with open_source(config.source, left, config.jobs, stop) as read, progress(len(left)) as step:
        record.save()
        executor = ThreadPoolExecutor(config.jobs)
        try:
            futures.update({executor.submit(fetch_one, e): e.stored for e in left})
            for future in as_completed(futures):
                try:
                    record.files[futures[future]] = future.result()
                except BookclsError as error:
                    failures.append(str(error))
                    if unreachable or len(failures) == SHOWN:
                        break
                else:
                    record.save()
                    step()
        finally:
            stop.set()
            executor.shutdown(cancel_futures=True)
            for future, name in futures.items():
                if not future.cancelled() and future.exception() is None:
                    record.files[name] = future.result()
            with suppress(OSError):  # The full disk, perhaps, that is being reported.
                record.save()
    if unreachable:
        raise unreachable[0]
    if failures:
        untried = sum(e.stored not in record.files for e in left) - len(failures)
        more = [f"{untried} more were not tried to the end"] if untried else []
        raise BookclsError(
            f"{len(failures)} file(s) could not be fetched:{listed(sorted(failures) + more)}\n"
            "The others stay; the same command goes on from there."
        )
