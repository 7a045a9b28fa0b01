"""Running a job in one of several parallel joblib workers."""

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from bookcls.sweeping.jobs import Job, format_accuracies

OUTPUT = "output.txt"
"""In a job's folder: its output, if jobs run in parallel."""


def worker_number() -> int | None:
    """Returns this process's number among joblib's workers, from 1; None if it is not one."""
    name, _, number = multiprocessing.current_process().name.rpartition("-")
    return int(number) if name == "LokyProcess" and number.isdigit() else None


@contextmanager
def run_in_worker(job: Job) -> Iterator[None]:
    """In a joblib worker, assigns a GPU to the job and redirects its output to a file."""
    worker = worker_number()
    if worker is None:
        yield
        return
    share_devices(worker)
    path = job.run / OUTPUT
    with (
        path.open("a", buffering=1, encoding="utf-8", errors="backslashreplace") as file,
        redirect_stdout(file),
    ):
        yield
    print(f"{job}: {format_accuracies(job.run)}", flush=True)


def share_devices(worker: int) -> None:
    """Restricts a worker to one GPU, round-robin."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        import torch

        visible = ",".join(map(str, range(torch.cuda.device_count())))
    if visible:
        devices = visible.split(",")
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[(worker - 1) % len(devices)]
