"""Latency and memory of serve under load, alone and beside clients that are slow on purpose."""

import http.client
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.children import environ, memory_mb
from benchmarks.record import options, record

CLIENTS = 8
PREDICTIONS = 500
BAR = 3.0
"""How much longer the 95th percentile may take beside an attacker."""
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
HALF = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nhalf"
ATTACKS: dict[str, tuple[int, bytes]] = {
    "63 that do not read": (63, 200 * GET),
    "9 half-sent photos": (9, HALF),
    "64 silent": (64, b""),
}
"""Name -> number of connections, and what each sends before it stops."""


def make_photo(folder: Path) -> bytes:
    """A JPEG of 12 megapixels, as a phone sends it."""
    small = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    path = folder / "photo.jpg"
    Image.fromarray(small).resize((4000, 3000)).save(path, quality=85)
    return path.read_bytes()


@contextmanager
def served(run: Path | None) -> Iterator[tuple[int, int]]:
    """A server in a process of its own.

    Yields:
        Its process and its port.
    """
    words = ["port=0", "trainer.accelerator=cpu", *([f"ckpt={run}"] if run else [])]
    command = [sys.executable, "-m", "bookcls.serve", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ()) as process:
        assert process.stdout is not None
        try:
            port = 0
            for line in process.stdout:
                if line.startswith("page"):
                    port = int(line.rsplit(":", 1)[1])
                if "Ctrl+C" in line:
                    break
            if not port:
                raise SystemExit("serve did not start; what it printed says why")
            yield process.pid, port
        finally:
            process.terminate()


def predict(port: int, photo: bytes) -> float:
    """Seconds until a photo is classified, retries included where the server is too busy."""
    began = time.perf_counter()
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        try:
            connection.request("POST", "/predict", photo)
            response = connection.getresponse()
            response.read()
            if response.status == 200:
                return time.perf_counter() - began
        except OSError:
            pass
        finally:
            connection.close()
        if time.perf_counter() - began > 300:
            raise SystemExit("a photo was not classified within five minutes")
        time.sleep(0.1)


def load(port: int, photo: bytes, number: int) -> tuple[list[float], float]:
    """Lets clients predict at the same time.

    Returns:
        Seconds of each prediction, and of all.
    """
    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        taken = list(pool.map(lambda _: predict(port, photo), range(number)))
    return taken, time.perf_counter() - began


@contextmanager
def attacked(port: int, connections: int, sent: bytes) -> Iterator[Callable[[], int]]:
    """Keeps so many connections open that send and then stop; those that are closed come again.

    Yields:
        Returns how many there have been.
    """
    stop, opened = threading.Event(), count()
    total = [0]

    def hold() -> None:
        while not stop.is_set():
            with suppress(OSError), socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.settimeout(0.5)
                client.connect(("127.0.0.1", port))
                total[0] = next(opened) + 1
                client.sendall(sent)
                while not stop.wait(0.2):
                    # Looks whether it was closed, and takes nothing.
                    with suppress(TimeoutError):
                        if not client.recv(1, socket.MSG_PEEK):
                            break

    threads = [threading.Thread(target=hold, daemon=True) for _ in range(connections)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    try:
        yield lambda: total[0]
    finally:
        stop.set()
        for thread in threads:
            thread.join(5)


def main() -> None:
    """One load alone, then one beside each attack, on the same server."""
    started = time.monotonic()
    run = {"type": Path, "help": "run folder or checkpoint; default the latest run"}
    given = options("serving_load", __doc__, run=run)
    number = 16 if given.toy else PREDICTIONS
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, served(given.run) as (pid, port):
        photo = make_photo(Path(folder))
        load(port, photo, CLIENTS)
        for name, (connections, sent) in {"alone": (0, b""), **ATTACKS}.items():
            before = memory_mb(pid)
            with attacked(port, connections, sent) as opened:
                taken, seconds = load(port, photo, number)
                after, tried = memory_mb(pid), opened()
            p50, p95 = np.percentile(taken, [50, 95])
            row = {"beside": name, "p50 s": p50, "p95 s": p95, "per s": number / seconds}
            row |= {"MB before": before and before[0], "MB after": after and after[0]}
            row |= {"connections": tried}
            if rows:
                ratio = p95 / rows[0]["p95 s"]
                row |= {"ratio": ratio, "bar": f"<= {BAR:g}"}
                row |= {"verdict": "met" if ratio <= BAR else "missed"}
            rows.append(row)
    title = f"{number} predictions of 12 megapixels by {CLIENTS} clients"
    record(given, title, rows, started)


if __name__ == "__main__":
    main()
