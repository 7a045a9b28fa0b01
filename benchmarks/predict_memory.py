"""The memory of predict while it answers 2,000 photos of 12 megapixels: it must not grow.

Twenty photos are made, the others are links to them, which are decoded all the same. One in fifty
is cut off in the middle: it must get its reason, and all others an answer.
"""

import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.children import environ, memory_mb
from benchmarks.record import options, record
from benchmarks.setting import make_folder
from bookcls import runs
from bookcls.data.images import SUFFIXES

CUT = 50
SHARES = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
"""Where memory is noted, as shares of all photos."""
FLAT = 1.10
"""Bar: at most so many times the peak of the first tenth."""
WAIT = 0.2
"""Seconds between two looks at the process."""


def make_photos(folder: Path, number: int) -> tuple[int, set[str]]:
    """Makes photos of 12 megapixels, every fiftieth of which is cut off.

    Args:
        folder: A folder that is not there yet.
        number: Photos in all, rounded up to a multiple of the sample's classes.

    Returns:
        Photos in all, and the names of those that are cut off.
    """
    make_folder(folder, number, phone=True)
    paths = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES)
    cut = folder.with_name("cut.jpg")
    whole = paths[0].read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    bad = paths[CUT - 1 :: CUT]
    for path in bad:
        path.unlink()
        os.link(cut, path)
    return len(paths), {path.relative_to(folder).as_posix() for path in bad}


def num_answered(table: Path) -> int:
    """Rows of a table that grows, or is whole."""
    files = [*table.parent.glob(f"{table.name}*")]
    return max((path.read_bytes().count(b"\n") - 1 for path in files), default=0)


def watched(run: Path, photos: Path, table: Path, number: int) -> list[dict[str, Any]]:
    """Runs predict and notes time and memory as its table grows.

    Raises:
        SystemExit: If it fails.
    """
    words = [f"ckpt={run}", f"images={photos}", f"output={table}", "trainer.accelerator=cpu"]
    command = [sys.executable, "-m", "bookcls.predict", *words]
    points = [max(1, int(share * number)) for share in SHARES]
    rows: list[dict[str, Any]] = []
    began, held = time.monotonic(), (0.0, 0.0)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environ()) as process:
        running = True
        while running:
            time.sleep(WAIT)
            running = process.poll() is None
            held = (memory_mb(process.pid) if running else None) or held
            answered = num_answered(table)
            while len(rows) < len(points) and answered >= points[len(rows)]:
                seconds = time.monotonic() - began
                rows.append({"answered": answered, "s": seconds, "MB": held[0], "peak MB": held[1]})
    if process.returncode:
        raise SystemExit(f"predict failed with code {process.returncode}")
    first = rows[SHARES.index(0.1)]["peak MB"]
    for row in rows:
        ratio = row["peak MB"] / first
        row |= {
            "ratio": ratio,
            "bar": f"<= {FLAT:g}",
            "verdict": "met" if ratio <= FLAT else "missed",
        }
    return rows


def main() -> None:
    """One run of predict, watched from outside."""
    started = time.monotonic()
    given = options(
        "predict_memory",
        __doc__,
        run={"type": Path, "help": "run folder or checkpoint; default the latest run"},
        photos={"type": int, "default": 2000},
    )
    run = runs.open_run(str(given.run) if given.run else None).ckpt.resolve()
    with tempfile.TemporaryDirectory() as home:
        photos, table = Path(home) / "photos", Path(home) / "predictions.csv"
        number, bad = make_photos(photos, 100 if given.toy else given.photos)
        rows = watched(run, photos, table, number)
        with table.open(encoding="utf-8", newline="") as file:
            found = {row["file"]: bool(row["answer"]) for row in csv.DictReader(file)}
    if len(found) != number or {name for name, answered in found.items() if not answered} != bad:
        raise SystemExit("the photos without an answer are others than those that were cut off")
    title = f"{number} photos of 12 megapixels, {len(bad)} of them unreadable, all others answered"
    record(given, title, rows, started, unreadable=len(bad))


if __name__ == "__main__":
    main()
