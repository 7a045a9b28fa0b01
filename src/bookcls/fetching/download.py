"""Downloads the repository's files with pooch, or copies them from a local folder."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from threading import Event
from urllib.parse import quote, urlsplit

import pooch
import requests
from PIL import Image
from rich.progress import Progress

from bookcls.config import full_path
from bookcls.errors import BookclsError
from bookcls.fetching.manifest import Entry, blob_sha1, listed
from bookcls.fetching.settings import FetchConfig
from bookcls.images import ImageError, load_image
from bookcls.runs import replacing

TIMEOUT = 20.0
"""Seconds that a server may stay silent."""
RETRIES = 3
"""Further tries of a file; pooch waits 1, 2 and 3 seconds before them."""
MAX_FAILURES = 10
"""After this many failed files the others are not tried."""


class UnreachableError(BookclsError):
    """The server does not answer, so there is no point in trying the next file."""


class StoppedError(BookclsError):
    """The user, or the failure of another file, ended the download."""


class Body(BytesIO):
    """Receives a download, and ends it between two chunks once ``stop`` is set."""

    def __init__(self, stop: Event) -> None:
        super().__init__()
        self.stop = stop

    def write(self, chunk: bytes) -> int:  # type: ignore[override]
        """Appends a chunk.

        Raises:
            StoppedError: If ``stop`` is set.
        """
        if self.stop.is_set():
            raise StoppedError("stopped")
        return super().write(chunk)


def is_url(source: str) -> bool:
    """Whether a source is an http(s) address."""
    try:
        parts = urlsplit(source)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def local_folder(source: str, entries: list[Entry]) -> Path:
    """A local copy of the repository.

    Raises:
        BookclsError: If there is no such folder, or naming the files that it lacks.
    """
    folder = full_path("source", source)
    if not folder.is_dir():
        raise BookclsError(f"source={source} is neither an http(s) address nor a folder.")
    missing = [e.path for e in entries if not (folder / e.path).is_file()]
    if missing:
        raise BookclsError(f"source={source} lacks {len(missing)} file(s):{listed(missing)}")
    return folder


def read_url(url: str, stop: Event) -> bytes:
    """The body behind an address.

    Raises:
        BookclsError: If the server refuses the file for good.
        requests.RequestException: If another try may help.
    """
    body = Body(stop)
    with ExitStack() as responses:  # pooch leaves the connection of a failed download open.
        hooks = {"response": lambda response, **_: responses.enter_context(response)}
        try:
            pooch.HTTPDownloader(timeout=TIMEOUT, hooks=hooks)(url, body, None)
        except requests.HTTPError as error:
            status = getattr(error.response, "status_code", 500)
            if status < 500 and status != 429:  # 429: too many requests
                raise BookclsError(str(error)) from error
            raise
    return body.getvalue()


def store(content: bytes, target: Path, size: int | str) -> None:
    """Writes one file, a photo no larger than ``size``.

    Args:
        content: The file's bytes.
        target: Where to.
        size: Long side in pixels; "full" keeps the bytes as they are.

    Raises:
        ImageError: If a photo is to be resized and cannot be read.
    """
    with replacing(target) as temporary:
        temporary.write_bytes(content)
        if isinstance(size, int):
            image = load_image(temporary)
            if max(image.size) > size:
                image.thumbnail((size, size), Image.Resampling.LANCZOS)
                resized = BytesIO()  # Straight to a file, Pillow would hide that a disk is full.
                image.save(resized, "JPEG", quality=92)
                temporary.write_bytes(resized.getvalue())


@dataclass
class Fetcher:
    """Gets files into a folder, each of them checked, and whole or not at all.

    Attributes:
        pup: Knows each file's address, retries, and moves what arrived into place.
        read: Reads an address.
        size: Long side of the stored photos in pixels, or "full".
        stop: Ends all downloads.
    """

    pup: pooch.Pooch
    read: Callable[[str, Event], bytes]
    size: int | str
    stop: Event = field(default_factory=Event)

    def fetch(self, entry: Entry) -> None:
        """Gets one file.

        Raises:
            UnreachableError: If there is no connection.
            BookclsError: If the file cannot be had, or is not the one in the manifest.
        """

        def download(url: str, output_file: str, _: object) -> None:
            if self.stop.is_set():
                raise StoppedError("stopped")
            content = self.read(url, self.stop)
            sha1 = blob_sha1(content)
            if sha1 != entry.sha1:  # Checked here, since pooch does not know git's hashes.
                raise ValueError(
                    f"expected git hash {entry.sha1}, got {sha1} ({len(content)} bytes)"
                )
            store(content, Path(output_file), "full" if entry.path == "LICENSE" else self.size)

        try:
            self.pup.fetch(entry.stored, downloader=download)
        except (requests.ConnectionError, requests.Timeout) as error:
            why = getattr(error.args[0], "reason", error) if error.args else error
            raise UnreachableError(
                f"{urlsplit(self.pup.base_url).netloc} cannot be reached ({why}); {entry.path} was "
                f"tried {RETRIES + 1} times. Check the network and the proxy settings, or give "
                "source=ADDRESS of a mirror or source=DIR, a local copy of the repository."
            ) from error
        except (requests.RequestException, ValueError, ImageError) as error:
            raise BookclsError(f"{entry.path}: {error}") from error


def fetch_files(entries: list[Entry], folder: Path, config: FetchConfig) -> None:
    """Gets files into a folder, several at a time, with a progress bar.

    Args:
        entries: The files.
        folder: Where to.
        config: Where from, what size and how many at a time.

    Raises:
        BookclsError: If a file cannot be had; those that can be are stored.
        KeyboardInterrupt: After the downloads on their way have ended.
    """
    pooch.get_logger().setLevel("WARNING")
    remote = is_url(config.source)
    base = config.source if remote else str(local_folder(config.source, entries))
    for entry in entries:  # pooch's threads would get into each other's way.
        (folder / entry.stored).parent.mkdir(parents=True, exist_ok=True)
    pup = pooch.create(
        folder,
        base,
        registry={e.stored: None for e in entries},
        urls={
            e.stored: f"{base.rstrip('/')}/{quote(e.path) if remote else e.path}" for e in entries
        },
        retry_if_failed=RETRIES if remote else 0,
    )
    read = read_url if remote else lambda path, _: Path(path).read_bytes()
    fetcher = Fetcher(pup, read, config.size)
    failures: list[str] = []
    executor = ThreadPoolExecutor(config.jobs)
    try:
        futures = [executor.submit(fetcher.fetch, entry) for entry in entries]
        with Progress() as progress:
            done = as_completed(futures)
            for future in progress.track(done, total=len(futures), description="Fetching"):
                try:
                    future.result()
                except UnreachableError:
                    raise
                except BookclsError as error:
                    failures.append(str(error))
                    if len(failures) == MAX_FAILURES:
                        break
    finally:
        fetcher.stop.set()
        executor.shutdown(cancel_futures=True)
    if failures:
        raise BookclsError(
            f"{len(failures)} file(s) could not be fetched:{listed(sorted(failures))}\n"
            "The others are kept; the same command goes on from there."
        )
