"""Resolves the checkpoint, the photos and the address. Does not import torch."""

import errno
import ipaddress
import os
import socket
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bookcls import runs
from bookcls.errors import BookclsError
from bookcls.predicting.threshold import Threshold, find_threshold
from bookcls.serving.settings import ServeConfig

NEEDED = ("starlette", "uvicorn", "h11")


@dataclass(frozen=True)
class ResolvedSettings:
    """What to serve, and where.

    Attributes:
        ckpt: Checkpoint file.
        root: Folder of the run's photos, or None if they no longer exist.
        threshold: The probability below which a prediction is unsure.
        listener: A listening socket; connections wait until the model is loaded.
    """

    ckpt: Path
    root: Path | None
    threshold: Threshold
    listener: socket.socket


def resolve_settings(config: ServeConfig) -> ResolvedSettings:
    """Resolves the settings and binds the port.

    Raises:
        BookclsError: If a path does not exist, or the port is in use.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise BookclsError(f"serve needs {' and '.join(missing)}: pip install 'bookcls[serve]'.")
    run = runs.open_run(config.ckpt)
    root = run.root(config.data.root)
    threshold = find_threshold(config.unsure)
    return ResolvedSettings(run.ckpt, root, threshold, listen(config.host, config.port))


def listen(host: str, port: int) -> socket.socket:
    """Binds a port and listens.

    Raises:
        BookclsError: If this machine has no such address, or the port is taken or not allowed.
    """
    try:
        found = socket.getaddrinfo(host or "localhost", port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise BookclsError(f"host={host}: no such address. {HOSTS}") from error
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    if os.name == "posix":
        # Reuses the port of a server that has just stopped; on Windows this would share it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise BookclsError(
                f"port={port} on {host} is in use, perhaps by another serve. Stop it (Ctrl+C), or "
                f"give another port: port={port % 65535 + 1}, or port=0 for any that is free."
            ) from error
        if error.errno == errno.EACCES:
            raise BookclsError(
                f"port={port}: no permission; ports below 1024 are reserved. Give a higher one."
            ) from error
        raise BookclsError(f"host={host}: this machine has no such address. {HOSTS}") from error
    return listener


HOSTS = "Give 127.0.0.1 (this machine only), one of its addresses, or 0.0.0.0 (all of them)."


def is_local(listener: socket.socket) -> bool:
    """Whether a socket is reachable from this machine only."""
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def format_address(host: str, listener: socket.socket) -> str:
    """The URL to open in a browser on this machine."""
    name, port = listener.getsockname()[:2]
    if ipaddress.ip_address(name.partition("%")[0]).is_unspecified:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
