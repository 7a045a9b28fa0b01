"""Running a cell in one of several parallel joblib workers."""

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from bookcls.sweeping.cells import Cell, format_accuracies

OUTPUT = "output.txt"
"""In a cell's folder: what it printed, where cells run side by side."""


def worker_number() -> int | None:
    """The number of this process among joblib's workers, from 1; None for any other process."""
    name, _, number = multiprocessing.current_process().name.rpartition("-")
    return int(number) if name == "LokyProcess" and number.isdigit() else None


@contextmanager
def run_in_worker(cell: Cell) -> Iterator[None]:
    """In a joblib worker, assigns the cell a GPU and redirects its output to a file."""
    worker = worker_number()
    if worker is None:
        yield
        return
    share_devices(worker)
    path = cell.run / OUTPUT
    with (
        path.open("a", buffering=1, encoding="utf-8", errors="backslashreplace") as file,
        redirect_stdout(file),
    ):
        yield
    print(f"{cell}: {format_accuracies(cell.run)}", flush=True)


def share_devices(worker: int) -> None:
    """Restricts a worker to one GPU, round-robin."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        import torch

        visible = ",".join(map(str, range(torch.cuda.device_count())))
    if visible:
        devices = visible.split(",")
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[(worker - 1) % len(devices)]
