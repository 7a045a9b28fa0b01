"""70, 700 and 7,000 photos through reading and augmentation: time per photo, memory."""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.children import measured, peak_mb
from benchmarks.measuring import alternate, ratio
from benchmarks.record import options, record, row
from benchmarks.setting import make_folder, settings
from bookcls.data.dataset import read_folder
from bookcls.data.photos import Decoded, decode_folder
from bookcls.data.sampler import OverSampler
from bookcls.data.samples import PhotoFolder
from bookcls.settings import TrainConfig
from bookcls.training.recipe import make_datamodule

NUMBERS = (70, 700, 7000)
FLAT = 1.10
"""Bar: time per photo at most so many times that of the smallest folder."""
TIGHT_MB = 50.0


def load(config: TrainConfig, root: Path, cache_mb: float) -> tuple[PhotoFolder, Decoded]:
    """Hashes and decodes a folder, as each run does once."""
    data = config.data
    return decode_folder(read_folder(root), data.image_size, data.fit, data.on_bad, cache_mb)


def draw(config: TrainConfig, folder: PhotoFolder, images: Decoded, epochs: int) -> int:
    """Draws epochs of augmented batches; returns the number of images."""
    datamodule = make_datamodule(config, folder, images, train=folder.train)
    loader = datamodule.train_dataloader()
    drawn = 0
    for epoch in range(epochs):
        assert isinstance(loader.sampler, OverSampler)
        loader.sampler.set_epoch(epoch)
        drawn += sum(len(target) for _, target in loader)
    return drawn


def child(root: str, image_size: str, cache_mb: str) -> dict[str, Any]:
    """The memory that a folder takes, in a process of its own."""
    config = settings(f"data.image_size={image_size}", "aug=all", "data.num_workers=0")
    before = peak_mb()
    folder, images = load(config, Path(root), float(cache_mb))
    began = time.perf_counter()
    drawn = draw(config, folder, images, 1)
    return {"MB": peak_mb() - before, "ms": 1e3 * (time.perf_counter() - began) / drawn}


def main() -> None:
    """Times by turns in this process, memory in children."""
    started = time.monotonic()
    given = options("growth", __doc__, image_size={"type": int, "default": 128})
    numbers = (14, 70, 140) if given.toy else NUMBERS
    size = 32 if given.toy else given.image_size
    config = settings(f"data.image_size={size}", "aug=all", "data.num_workers=0")
    rows: list[dict[str, Any]] = []
    # Small folders are gone through several times a turn, so that a turn can be measured.
    share = numbers[-1] // 5
    with tempfile.TemporaryDirectory() as home:
        roots = {n: make_folder(Path(home) / str(n), n) for n in numbers}
        loaded = {n: load(config, root, 2000) for n, root in roots.items()}

        def reading(n: int) -> Callable[[], float]:
            def turn() -> float:
                began, passes = time.perf_counter(), max(1, share // n)
                photos = sum(len(load(config, roots[n], 2000)[1]) for _ in range(passes))
                return (time.perf_counter() - began) / photos

            return turn

        def augmenting(n: int) -> Callable[[], float]:
            def turn() -> float:
                began = time.perf_counter()
                drawn = draw(config, *loaded[n], max(1, share // n))
                return (time.perf_counter() - began) / drawn

            return turn

        turns = {}
        for what, side in (("reading", reading), ("augmentation", augmenting)):
            taken = alternate({str(n): side(n) for n in numbers}, min(given.repeats, 3))
            turns[what] = taken
            for n in numbers:
                ms = 1e3 * sorted(taken[str(n)])[len(taken[str(n)]) // 2]
                compared = ratio(taken[str(n)], taken[str(numbers[0])])
                line = {"what": f"{what}, ms a photo", "photos": n, "value": ms}
                if n == numbers[0]:
                    rows.append(line)
                else:
                    rows.append(row(compared, FLAT, at_most=True, **line))
        tight = 0.1 if given.toy else TIGHT_MB
        ample = numbers[-1:] if given.toy else numbers
        for n, cache_mb in [*((n, 2000.0) for n in ample), (numbers[-1], tight)]:
            found = measured("benchmarks.growth", "child", str(roots[n]), str(size), str(cache_mb))
            for unit, value in found.items():
                what = f"memory, {unit}" if unit == "MB" else f"augmentation, {unit} a photo"
                what += f" (data.cache_mb={cache_mb:g})"
                rows.append({"what": what, "photos": n, "value": value})
    record(given, "growing folders, per photo, against the smallest", rows, started, turns=turns)


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        print(json.dumps(child(*sys.argv[2:])))
    else:
        main()
