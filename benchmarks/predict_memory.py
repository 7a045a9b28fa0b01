"""Peak memory of predict against the number of photos: it must not grow.

    python benchmarks/predict_memory.py RUN [100 500 2000]

Each photo is a link to one 12-megapixel JPEG; one in fifty is cut off in the middle.
"""

import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (4032, 3024)
CUT = 50


def make_photos(folder: Path, num: int) -> None:
    """Links ``num`` photos into a new folder."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (63, 84, 3), np.uint8))
    whole, cut = folder.parent / "whole.jpg", folder.parent / "cut.jpg"
    small.resize(SIZE, Image.Resampling.BICUBIC).save(whole, quality=90)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    folder.mkdir()
    for i in range(num):
        (folder / f"{i:06d}.jpg").hardlink_to(cut if i % CUT == CUT - 1 else whole)


def measure(run: Path, num: int) -> str:
    """One line: photos, unreadable ones, seconds, and the peak of the resident set."""
    with tempfile.TemporaryDirectory() as place:
        photos, table = Path(place) / "photos", Path(place) / "predictions.csv"
        make_photos(photos, num)
        words = [f"ckpt={run}", f"images={photos}", f"output={table}", "trainer.accelerator=cpu"]
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "bookcls.predict", *words], stdout=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"predict failed with code {process.returncode}")
        with table.open(encoding="utf-8", newline="") as file:
            bad = [row["file"] for row in csv.DictReader(file) if row["error"]]
        assert len(bad) == num // CUT, bad
        seconds = time.monotonic() - began
        # Kilobytes on Linux, bytes on macOS.
        peak = usage.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
        return f"{num:6d}  {len(bad):10d}  {seconds:7.0f}  {peak:8.0f}"


def main() -> None:
    """Measures each number of photos in a process of its own."""
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    print("photos  unreadable  seconds  peak MB", flush=True)
    for num in map(int, sys.argv[2:] or ("100", "500", "2000")):
        print(measure(Path(sys.argv[1]).resolve(), num), flush=True)


if __name__ == "__main__":
    main()
