"""The server's side of the process that decodes photos."""

import json
import multiprocessing
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

import numpy as np

from bookcls.data.images import ImageError
from bookcls.errors import BookclsError
from bookcls.predicting.decoding import Square
from bookcls.serving import decoding

DEADLINE = 15.0
"""Seconds for one photo on the clock; on Windows, which limits no CPU time, the only limit."""
START = 60.0
"""Seconds within which the process must start."""
COSTLY = (
    f"not decoded: it crashed the decoder, or takes more than {decoding.SECONDS:g} seconds or "
    f"{decoding.MEMORY / 1e9:g} GB of memory"
)


@dataclass(frozen=True)
class Decoded:
    """A decoded photo.

    Attributes:
        size: Width and height of the upright photo in pixels, perhaps at a reduced scale.
        squares: uint8 (side, side, 3), as the network sees it, one for each side.
    """

    size: tuple[int, int]
    squares: list[Square]


class Decoder:
    """Decodes photos in a process that is replaced when a photo has ended it."""

    def __init__(self, fit: str) -> None:
        """Starts the process.

        Args:
            fit: See :func:`bookcls.data.images.fit_square`.

        Raises:
            BookclsError: If it does not start.
        """
        self.fit = fit
        self._lock = threading.Lock()
        self._start()
        self._wait_until_ready()

    def decode(self, body: bytes | bytearray, sides: list[int]) -> Decoded:
        """Decodes a photo.

        Args:
            body: The content of its file.
            sides: Of the squares, in pixels.

        Raises:
            ImageError: If it cannot be used.
            BookclsError: If the process does not start.
        """
        with self._lock:
            try:
                self._send(body, sides)
            except (EOFError, OSError):  # It died while it had nothing to do.
                self._replace()
                self._send(body, sides)
            try:
                with self._deadline(DEADLINE):
                    return self._receive(sides)
            except (EOFError, OSError, ValueError, TypeError, KeyError) as error:
                self._replace()
                raise ImageError(COSTLY) from error

    def _send(self, body: bytes | bytearray, sides: list[int]) -> None:
        """Hands over a photo, and waits until it has arrived."""
        self._wait_until_ready()
        with self._deadline(DEADLINE):
            self._connection.send_bytes(json.dumps({"fit": self.fit, "sides": sides}).encode())
            self._connection.send_bytes(body)
            self._connection.recv_bytes(10)

    def _receive(self, sides: list[int]) -> Decoded:
        about = json.loads(self._connection.recv_bytes(10_000))
        pixels = self._connection.recv_bytes(sum(3 * side * side for side in sides))
        if "error" in about:
            raise ImageError(str(about["error"]))
        squares = []
        for side in sides:
            square, pixels = pixels[: 3 * side * side], pixels[3 * side * side :]
            squares.append(np.frombuffer(bytearray(square), np.uint8).reshape(side, side, 3))
        width, height = about["size"]
        return Decoded((int(width), int(height)), squares)

    def close(self) -> None:
        """Ends the process."""
        self._connection.close()
        if self._process.pid is not None:  # None if it could not be started
            self._process.kill()
            self._process.join()

    def _start(self) -> None:
        self._ready = False
        # Spawned: a fork would inherit the sockets of clients, and the locks of other threads.
        context = multiprocessing.get_context("spawn")
        self._connection: Connection
        self._connection, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(
            target=decoding.work,
            args=(theirs, decoding.SECONDS, decoding.MEMORY),
            name="bookcls-decoder",
            daemon=True,
        )
        with ctrl_c_held_back():
            self._process.start()
        theirs.close()

    def _replace(self) -> None:
        self.close()
        self._start()

    def _wait_until_ready(self) -> None:
        if self._ready:
            return
        try:
            with self._deadline(START):
                self._connection.recv_bytes(10)
        except (EOFError, OSError) as error:
            self._replace()
            raise BookclsError("the process that decodes photos does not start.") from error
        self._ready = True

    @contextmanager
    def _deadline(self, seconds: float) -> Iterator[None]:
        """Kills the process if the block takes longer; its end of the pipe then closes."""
        timer = threading.Timer(seconds, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


@contextmanager
def ctrl_c_held_back() -> Iterator[None]:
    """A process started in the block never sees Ctrl+C, not even while it starts."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        with suppress(ValueError):
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
