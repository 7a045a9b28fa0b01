"""Downloads the repository's files with pooch, or copies them from a local folder."""

import re
from concurrent.futures import ThreadPoolExecutor, as_completed
from io import BytesIO
from pathlib import Path
from threading import Event
from urllib.parse import quote, urlsplit

import pooch
import requests
from PIL import Image
from rich.progress import Progress

from bookcls.config import full_path
from bookcls.data.images import ImageError, load_image
from bookcls.errors import BookclsError
from bookcls.fetching.manifest import Entry, blob_sha1, format_list
from bookcls.storage.files import atomic_write

TIMEOUT = 20.0
"""Timeout of a request, in seconds."""
RETRIES = 3
"""Further tries of a file; pooch waits 1, 2 and 3 seconds before them."""
MAX_FAILURES = 10
"""Maximum number of failed files, after which no others are tried."""


def locate(source: str, entries: list[Entry]) -> str:
    """The URL, or the absolute path of the folder, that contains the files.

    Raises:
        BookclsError: If there is no such folder, or naming the files that it lacks.
    """
    if re.match("https?://", source):
        return source.rstrip("/")
    folder = full_path("source", source)
    if not folder.is_dir():
        raise BookclsError(f"source={source} is neither an http(s) address nor a folder.")
    missing = [e.path for e in entries if not (folder / e.path).is_file()]
    if missing:
        raise BookclsError(f"source={source} lacks {len(missing)} file(s):{format_list(missing)}")
    return str(folder)


def fetch_files(
    entries: list[Entry], source: str, folder: Path, size: int | str, jobs: int
) -> None:
    """Downloads files to a folder in parallel; each is verified and written atomically.

    Args:
        entries: The files.
        source: Where from, as :func:`locate` returns it.
        folder: Where to.
        size: Long side of the stored photos in pixels, or "full".
        jobs: How many at a time.

    Raises:
        BookclsError: If a file cannot be downloaded or does not match the manifest; the others
            are kept.
        KeyboardInterrupt: After running downloads have finished.
    """
    pooch.get_logger().setLevel("WARNING")
    remote = source.startswith("http")
    pup = pooch.create(
        folder,
        "",
        registry={e.stored: None for e in entries},  # pooch does not know git's hashes.
        urls={e.stored: f"{source}/{quote(e.path) if remote else e.path}" for e in entries},
        retry_if_failed=RETRIES if remote else 0,
    )
    stop = Event()

    def fetch(entry: Entry) -> None:
        def download(url: str, output_file: str, _: object) -> None:
            if stop.is_set():
                raise BookclsError("stopped")
            content = read_url(url) if remote else Path(url).read_bytes()
            sha1 = blob_sha1(content)
            if sha1 != entry.sha1:  # pooch tries again after a ValueError.
                raise ValueError(f"expected git hash {entry.sha1}, got {sha1}")
            store(content, Path(output_file), "full" if entry.path == "LICENSE" else size)

        # pooch's threads would race to create it.
        (folder / entry.stored).parent.mkdir(parents=True, exist_ok=True)
        pup.fetch(entry.stored, downloader=download)

    failures: list[str] = []
    executor = ThreadPoolExecutor(jobs)
    try:
        futures = {executor.submit(fetch, entry): entry.path for entry in entries}
        with Progress() as progress:
            done = as_completed(futures)
            for future in progress.track(done, total=len(futures), description="Fetching"):
                try:
                    future.result()
                except (requests.ConnectionError, requests.Timeout) as error:
                    raise BookclsError(
                        f"{urlsplit(source).netloc} cannot be reached ({error}); "
                        f"{futures[future]} was tried {RETRIES + 1} times. Check the network and "
                        "the proxy settings, or give source=ADDRESS of a mirror or source=DIR, a "
                        "local copy of the repository."
                    ) from error
                except (requests.RequestException, ValueError, ImageError) as error:
                    failures.append(f"{futures[future]}: {error}")
                    if len(failures) == MAX_FAILURES:
                        break
    finally:
        stop.set()
        executor.shutdown(cancel_futures=True)
    if failures:
        raise BookclsError(
            f"{len(failures)} file(s) could not be fetched:{format_list(sorted(failures))}\n"
            "The others are kept; run the same command again to continue."
        )


def read_url(url: str) -> bytes:
    """Downloads a URL to memory."""
    body = BytesIO()
    # Without stream=False pooch leaves the connection of a failed download open.
    pooch.HTTPDownloader(timeout=TIMEOUT, stream=False)(url, body, None)
    return body.getvalue()


def store(content: bytes, target: Path, size: int | str) -> None:
    """Writes one file, a photo no larger than ``size``.

    Args:
        content: The file's bytes.
        target: Destination.
        size: Long side in pixels; "full" keeps the bytes as they are.

    Raises:
        ImageError: If a photo is to be resized and cannot be read.
    """
    with atomic_write(target) as temporary:
        temporary.write_bytes(content)
        if isinstance(size, int):
            image = load_image(temporary)
            if max(image.size) > size:
                image.thumbnail((size, size), Image.Resampling.LANCZOS)
                resized = BytesIO()  # Straight to a file, Pillow would hide that a disk is full.
                image.save(resized, "JPEG", quality=92)
                temporary.write_bytes(resized.getvalue())
