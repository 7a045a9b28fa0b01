"""The jobs of a sweep: their keys, their outcomes, and the time left."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from bookcls import __version__
from bookcls.models.layers import CONV_INDEX, NUM_FEATURES, first_trained
from bookcls.runs import METRICS
from bookcls.storage.files import read_json

RECORD = "jobs.jsonl"
"""In the sweep's folder: one line for each job that a command started."""
IGNORED = ("resume", "logger", "data.root", "data.num_workers", "data.cache_mb",
              "model.weights", "model.fallback", "trainer.accelerator")  # fmt: skip
"""Settings left out of the key: they do not affect results, or other parts cover them."""


def job_key(settings: Mapping[str, Any], photos: str, weights: str) -> str:
    """Hashes everything that determines a run's result.

    Args:
        settings: The nested configuration, with every ``auto`` resolved. Values of
            ``model.freeze_to`` that train the same layers give the same key.
        photos: Fingerprint of the dataset.
        weights: Source and hash of the initial weights.

    Returns:
        12 hexadecimal digits.
    """
    deciding: dict[str, Any] = {
        name: {k: v for k, v in value.items() if f"{name}.{k}" not in IGNORED}
        if isinstance(value, Mapping)
        else value
        for name, value in settings.items()
        if name not in IGNORED
    }
    if not deciding["aug"]["scenes"]:
        del deciding["aug"]["scene_unknown"]
    first = first_trained(deciding["model"]["freeze_to"])
    same = (index for index in CONV_INDEX.values() if index >= first)
    deciding["model"]["freeze_to"] = next(same, NUM_FEATURES)
    whole = {"bookcls": __version__, "settings": deciding, "photos": photos, "weights": weights}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:12]


@dataclass
class Job:
    """One job of a sweep: a run that a command has started.

    Attributes:
        folder: The sweep's folder.
        command: Identifies the command that the job belongs to.
        number: Counted from one.
        total: How many jobs the sweep has.
        words: Its overrides, as given on the command line.
        num_parallel: How many jobs run at the same time.
        key: See :func:`job_key`; None until it is known.
        outcome: "ran", "done before", "elsewhere" or "failed".
        started: ``time.monotonic()`` at its start.
    """

    folder: Path
    command: str
    number: int
    total: int
    words: str
    num_parallel: int = 1
    key: str | None = None
    outcome: str = "ran"
    started: float = field(default_factory=time.monotonic)

    @property
    def run(self) -> Path:
        """The job's run folder. Its key must be known."""
        assert self.key is not None
        return self.folder / self.key

    def __str__(self) -> str:
        return f"job {self.number} of {self.total}  {self.words}"


current: Job | None = None
"""The job that this process runs; None outside a sweep."""


def count_jobs(number: int) -> str:
    """Formats a number of jobs, in the singular or the plural."""
    return f"{number} job" if number == 1 else f"{number} jobs"


def append_record(job: Job, error: str | None) -> None:
    """Appends a line to the sweep's record."""
    line = {
        "command": job.command,
        "number": job.number,
        "words": job.words,
        "key": job.key,
        "outcome": job.outcome,
        "seconds": round(time.monotonic() - job.started, 1),
        "error": error,
    }
    path = job.folder / RECORD
    with record_lock(job.folder):
        # A partial line left by a power cut must not merge with this one.
        cut_off = path.is_file() and path.read_bytes()[-1:] not in (b"", b"\n")
        with path.open("a", encoding="utf-8") as file:
            file.write("\n" * cut_off + json.dumps(line) + "\n")


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Reads the lines of the sweep's record and skips damaged ones."""
    path = folder / RECORD
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    found = []
    for line in text.split("\n"):
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def record_lock(folder: Path) -> FileLock:
    """Returns the lock of the sweep's record."""
    return FileLock(folder / f".{RECORD}.lock")


def time_left(job: Job) -> str:
    """Estimates the time for the remaining jobs from those that ran; empty if none did."""
    lines = read_records(job.folder)
    mine = [line for line in lines if line["command"] == job.command]
    ran = [line["seconds"] for line in mine if line["outcome"] == "ran"]
    ran = ran or [line["seconds"] for line in lines if line["outcome"] == "ran"]
    if not ran:
        return ""
    seconds = sum(ran) / len(ran) * (job.total - len(mine)) / job.num_parallel
    if seconds < 90:
        return f"about {seconds:.0f} s left"
    minutes = round(seconds / 60)
    return f"about {minutes} min left" if minutes < 120 else f"about {minutes / 60:.0f} h left"


def format_accuracies(run: Path) -> str:
    """Formats a finished run's accuracy on each test split."""
    metrics = read_json(run / METRICS)
    # Not by "_acc", which also ends "_strict_acc": every split has a floor.
    splits = [key.removesuffix("_floor") for key in metrics if key.endswith("_floor")]
    scores = [
        f"{split.removeprefix('test/')} {metrics[f'{split}_acc']:.2f}"
        for split in splits
        if split.startswith("test/")
    ]
    return ", ".join(scores) or "no test photos"


def summarise(folder: Path, command: str, total: int) -> tuple[str, bool]:
    """Returns the last line that a sweep prints, and whether every job succeeded."""
    mine = [line for line in read_records(folder) if line["command"] == command]
    failed = [line for line in mine if line["outcome"] == "failed"]
    parts = [
        f"{count} {outcome}"
        for outcome in ("ran", "done before", "elsewhere", "failed")
        if (count := sum(line["outcome"] == outcome for line in mine))
    ]
    if failed:
        first = f"{failed[0]['words']}: {failed[0]['error'].splitlines()[0][:100]}"
        more = f", and {len(failed) - 1} more in {folder / RECORD}" if len(failed) > 1 else ""
        parts[-1] += f" ({first}{more})"
    if len(mine) < total:
        parts.append(f"{total - len(mine)} lost")
    return f"{count_jobs(total)}: {', '.join(parts)}", not failed and len(mine) >= total
