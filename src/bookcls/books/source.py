"""A repository's files over http(s) or from a local folder, each checked by its hash."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3 import PoolManager, ProxyManager, Retry
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from bookcls.books.manifest import Entry, blob_sha1, listed
from bookcls.config import full_path
from bookcls.errors import BookclsError

TIMEOUT = 20.0
"""Seconds that a server may stay silent."""
FILE_SECONDS = 300.0
"""Seconds that a file may take: a server that sends byte by byte is never silent."""
RETRIES = 4
"""Further tries after a refused connection, silence, or a server's error."""
BACKOFF = 0.5
"""Seconds before the second of them; each wait is twice the one before."""
ATTEMPTS = 3
"""How often a file is fetched whose bytes came incomplete or wrong."""

Read = Callable[[str], bytes]


class UnreachableError(BookclsError):
    """Nothing can be had, so that trying the next file is of no use."""


@contextmanager
def open_source(
    source: str, entries: list[Entry], jobs: int, stop: threading.Event
) -> Iterator[Read]:
    """Yields a reader of the repository's files.

    Args:
        source: An http(s) address or a local folder.
        entries: The files that will be read.
        jobs: How many at a time.
        stop: Ends downloads that are on their way.

    Raises:
        BookclsError: If a local folder lacks files, naming all of them.
    """
    parts = urlsplit(source)
    if parts.scheme in ("http", "https") and parts.hostname:
        retries = Retry(
            total=RETRIES,
            backoff_factor=BACKOFF,
            status_forcelist=(429, 500, 502, 503, 504),
            raise_on_status=False,
            # A server may ask for hours, which would look like a hang.
            respect_retry_after_header=False,
        )
        options: dict[str, Any] = {"maxsize": jobs, "timeout": TIMEOUT, "retries": retries}
        proxy = None if proxy_bypass(parts.hostname) else getproxies().get(parts.scheme)
        with ProxyManager(proxy, **options) if proxy else PoolManager(**options) as pool:
            yield lambda path: download(pool, f"{source.rstrip('/')}/{quote(path)}", stop)
        return
    folder = full_path("source", source)
    if not folder.is_dir():
        raise BookclsError(f"source={source} is neither an http(s) address nor a folder.")
    lacking = [e.path for e in entries if not (folder / e.path).is_file()]
    if lacking:
        raise BookclsError(f"source={source} lacks {len(lacking)} file(s):{listed(lacking)}")
    yield lambda path: (folder / path).read_bytes()


def download(pool: PoolManager, url: str, stop: threading.Event) -> bytes:
    """The body behind an address; connections and failing servers are tried again.

    Raises:
        UnreachableError: If there is no connection.
        BookclsError: If the server does not give the file.
        ProtocolError: If the body ends early.
        ReadTimeoutError: If it stalls.
    """
    deadline = time.monotonic() + FILE_SECONDS
    try:
        response = pool.request("GET", url, preload_content=False)
        try:
            if response.status != 200:
                raise BookclsError(f"HTTP {response.status} {response.reason} from {url}")
            chunks = []
            while chunk := response.read1(2**16):
                chunks.append(chunk)
                if stop.is_set() or time.monotonic() > deadline:
                    raise BookclsError(f"not complete after {FILE_SECONDS:g} s from {url}")
            response.release_conn()
            return b"".join(chunks)
        finally:
            response.close()
    except (ProtocolError, ReadTimeoutError):
        raise
    except HTTPError as error:
        why = error.reason if isinstance(error, MaxRetryError) else error
        if isinstance(why, ConnectTimeoutError | NewConnectionError | ProxyError | SSLError):
            raise UnreachableError(
                f"{urlsplit(url).netloc} cannot be reached ({why}); {url} was tried "
                f"{RETRIES + 1} times. Check the network and the proxy settings, or give "
                "source=ADDRESS of a mirror or source=DIR, a local copy of the repository."
            ) from error
        text = str(why)
        if isinstance(why, ReadTimeoutError):
            text = f"no answer within {TIMEOUT:g} s, {RETRIES + 1} times,"
        raise BookclsError(f"{text} from {url}") from error


def verified(read: Read, entry: Entry, stop: threading.Event) -> bytes:
    """A file's bytes, if they are those of the manifest.

    Raises:
        BookclsError: If they cannot be had or stay wrong.
    """
    problem = "stopped"
    for _ in range(ATTEMPTS):
        if stop.is_set():
            break
        try:
            content = read(entry.path)
        except (ProtocolError, ReadTimeoutError) as error:
            problem = f"truncated or stalled ({error})"
            continue
        if blob_sha1(content) == entry.sha1:
            return content
        problem = f"expected git hash {entry.sha1}, got {blob_sha1(content)} ({len(content)} bytes)"
    raise BookclsError(f"{entry.path}: {problem}")
