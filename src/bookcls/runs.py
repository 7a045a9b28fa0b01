"""The only owner of the run folder's format. No heavy imports."""

import csv
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bookcls.config import expand_home
from bookcls.errors import BookclsError
from bookcls.formulas import safe_row
from bookcls.samples import PhotoFolder, Sample

BEST = "best.ckpt"
LAST = "last.ckpt"
CONFIG = "config.yaml"
METRICS = "metrics.json"
PREDICTIONS = "predictions.csv"
ENVIRONMENT = "environment.json"
CAM = "cam"
CUTOUTS = "cutouts.csv"
SCENES = "scenes.png"
"""Folder of what the model looked at; written later, by another verb."""
CAM_JSON = "cam.json"
MEMBERS = "members"
"""Of an ensemble: a run folder for each member, MEMBERS/1 and so on."""
LOCK = ".lock"
"""While a process writes into the folder."""
TEMPORARY = re.compile(r"\..+\.\d+")
"""What :func:`replacing` calls a file until it is whole."""
LOOK_IN = "runs"
"""Where the latest run is looked for."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary name beside ``path`` that takes its place if the block succeeds.

    A reader sees the old file or the whole new one, never a half.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        with temporary.open("r+b") as file:  # Windows syncs only what is open for writing.
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all; names that are not UTF-8 as escapes."""
    with replacing(path) as temporary:
        # In JSON the escape of a name that is no UTF-8 reads back as that name.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes json whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Reads a json object.

    Raises:
        BookclsError: If it is missing or damaged.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BookclsError(f"{path} cannot be read ({error}).") from error
    if not isinstance(value, dict):
        raise BookclsError(f"{path} holds no json object.")
    return value


def is_finished(run: Path) -> bool:
    """True for a run that ended: metrics.json is written last."""
    return (run / METRICS).is_file()


class BusyError(BookclsError):
    """Another process writes into a run folder."""


@contextmanager
def held(run: Path, beside: Path | None = None) -> Iterator[None]:
    """Keeps other processes out of a run folder; the lock dies with the process.

    Args:
        run: The folder.
        beside: The lock's file, for a folder that is yet to come; None for one in it.

    Raises:
        BusyError: If another process has it.
    """
    if not is_first_process():
        yield
        return
    path = run / LOCK if beside is None else beside
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise BusyError(
            f"{run}: another process is writing into it; wait for its end, or stop it."
        ) from error
    try:
        for left in run.glob(".*"):
            if TEMPORARY.fullmatch(left.name):  # of a process that was killed
                left.unlink()
        yield
    finally:
        with suppress(OSError):  # Windows keeps an open file.
            path.unlink()
        lock.release()


def claim(run: Path, config: str) -> None:
    """Writes config.yaml, and so takes a run folder that nobody else may write into; hold it.

    Raises:
        BookclsError: If another run has it.
    """
    if not is_first_process():
        return
    if (run / CONFIG).exists():
        raise BookclsError(
            f"{run} belongs to another run: resume={run} goes on with it if it was stopped; for a "
            "new one choose another hydra.run.dir."
        )
    write_text(run / CONFIG, config)


def same_photos(run: Path, folder: PhotoFolder) -> None:
    """Refuses to go on with other photos: the split, the schedule and the scores would be others.

    Raises:
        BookclsError: If photos or labels changed since the run began.
    """
    if not (run / ENVIRONMENT).is_file():
        return
    dataset = read_json(run / ENVIRONMENT).get("dataset")
    if not isinstance(dataset, dict) or dataset.get("fingerprint") != folder.fingerprint():
        raise BookclsError(
            f"resume={run}: photos or labels in {folder.root} have changed since this run began. "
            "Put them back, or start a new run."
        )


def is_first_process() -> bool:
    """True but for the helpers of a run with several processes, which the launcher numbers."""
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in ranks)


def python() -> str:
    """The interpreter that runs, as a person here would type it."""
    try:
        executable = Path(sys.executable).relative_to(Path.cwd())
    except ValueError:
        executable = Path(sys.executable)
    return shlex.quote(str(executable))


def find_checkpoint(run_or_file: str) -> Path:
    """The checkpoint that a person means by a run folder or a file.

    Raises:
        BookclsError: If there is none.
    """
    path = expand_home("ckpt", run_or_file)
    if path.is_dir():
        if not (path / BEST).is_file():
            raise BookclsError(
                f"{path} holds no {BEST}: give a run folder that training wrote "
                f"(runs/DATE/TIME), or a .ckpt file."
            )
        return path / BEST
    if not path.is_file():
        raise BookclsError(f"ckpt={run_or_file}: there is no such run folder or file.")
    return path


def latest_run(folder: Path = Path(LOOK_IN)) -> Path:
    """The run below ``folder`` that finished last.

    Raises:
        BookclsError: If there is none.
    """
    finished = [path for path in folder.rglob(METRICS) if (path.parent / BEST).is_file()]
    if not finished:
        raise BookclsError(
            f"{folder} holds no finished run: train one (python -m bookcls.train), or give "
            "ckpt=RUN, a run folder or a .ckpt file."
        )
    return max(finished, key=lambda path: (path.stat().st_mtime, str(path))).parent


def write_predictions(
    path: Path,
    class_names: Sequence[str],
    tests: Mapping[str, Sequence[Sample]],
    probs: Mapping[str, Sequence[Sequence[float]]],
) -> None:
    """Writes one row per test photo.

    Args:
        path: The csv file.
        class_names: Sorted class names.
        tests: Split -> photos.
        probs: Split -> one row of class probabilities per photo.
    """
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file)
        header = ["split", "file", "dominant", "accepted", "pred", "correct"]
        writer.writerow([*header, *(f"prob_{name}" for name in class_names)])
        for split, samples in tests.items():
            for sample, row in zip(samples, probs[split], strict=True):
                pred = max(range(len(row)), key=row.__getitem__)
                about = [
                    f"test_{split}",
                    sample.name,
                    class_names[sample.label] if sample.label >= 0 else "",
                    ";".join(class_names[a] for a in sample.accepted),
                    class_names[pred],
                    int(pred in sample.accepted),
                ]
                writer.writerow([*safe_row(about), *(f"{p:.6f}" for p in row)])
