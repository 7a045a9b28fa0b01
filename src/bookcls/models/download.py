"""Files of weights from a server: asked quickly, downloaded whole or not at all."""

import socket
import threading
from functools import cache
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import torch

ANSWER_SECONDS = 4.0
"""How long a server may take to answer before ``auto`` looks elsewhere."""
STALL_SECONDS = 60.0
"""How long a download may bring nothing before it is given up."""


@cache
def probe(url: str) -> str:
    """Asks a server whether it has a file; each address is asked once per process.

    Returns:
        Why there was none within ``ANSWER_SECONDS``; empty if there was one.
    """
    why = [f"no answer within {ANSWER_SECONDS:g} s"]

    def ask() -> None:
        try:
            with urlopen(Request(url, method="HEAD"), timeout=ANSWER_SECONDS):
                why[0] = ""
        except (OSError, HTTPException, ValueError) as error:
            why[0] = _reason(error)

    # A thread, since looking up a name knows no timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS + 1)
    return why[0]


@cache
def download(url: str, path: Path, sha256_prefix: str) -> str:
    """Downloads a file whole or not at all, however long it takes while data keeps coming.

    Each file is tried once per process, so that all cells of a sweep get the same weights.

    Args:
        url: Where from.
        path: Where to.
        sha256_prefix: The first digits of its sha256.

    Returns:
        Why it failed; empty if it did not.
    """
    print(f"weights  downloading {url} into {path}", flush=True)
    before = socket.getdefaulttimeout()
    # torch.hub sets none of its own; this one is for each read, not for the whole.
    socket.setdefaulttimeout(STALL_SECONDS)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=sha256_prefix)
    except RuntimeError:
        return f"what came is another file: its sha256 does not begin with {sha256_prefix}"
    except (OSError, HTTPException, ValueError) as error:
        return _reason(error)
    finally:
        socket.setdefaulttimeout(before)
    return ""


def _reason(error: Exception) -> str:
    """What a failed request says, in one line."""
    if isinstance(error, HTTPError):
        return f"the server answers {error.code}"
    said = str(getattr(error, "reason", error)).strip().partition("\n")[0][:120]
    if isinstance(error, HTTPException):
        return f"the answer is garbled: {said or type(error).__name__}"
    return said or type(error).__name__
