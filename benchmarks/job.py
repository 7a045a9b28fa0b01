"""The whole job: --help and a run's start beside their imports, and the share of training.

A run's start is from the command to the lines that say what will be trained: imports, reading,
hashing and decoding the photos, building the model.
"""

import tempfile
import time
from typing import Any

from benchmarks.children import python, timed_lines
from benchmarks.measuring import alternate, ratio
from benchmarks.record import options, record, row

STACK = "import torch, torchvision, pytorch_lightning, albumentations, torchmetrics"
READY = f"{STACK}; print('ready')"
"""Timed by its line, as ours is: the end of a process that holds torch takes a while too."""
HELP_SECONDS = 0.5
START = 1.15


def stages(lines: list[tuple[float, str]], total: float) -> dict[str, float]:
    """Seconds of start, training and the rest, by what a run printed when."""
    begun = next(at for at, line in lines if line.startswith("budget"))
    epochs = [at for at, line in lines if line.startswith("epoch")]
    return {"start": begun, "training": epochs[-1] - begun, "rest": total - epochs[-1]}


def run(*words: str) -> dict[str, float]:
    """Stages of a training run with these words."""
    with tempfile.TemporaryDirectory() as home:
        lines, total = timed_lines(["-m", "bookcls.train", *words, f"hydra.run.dir={home}/run"])
    return stages(lines, total) | {"whole": total}


def main() -> None:
    """Alternates commands and bare imports; then one whole job."""
    started = time.monotonic()
    given = options(
        "job", __doc__,
        words={"nargs": "*", "default": ["experiment=sample"], "help": "the whole job"},
    )  # fmt: skip
    words = ["trainer=smoke", "data.image_size=32"] if given.toy else given.words
    helps = alternate(
        {
            "hydra": lambda: python("-c", "import hydra"),
            "help": lambda: python("-m", "bookcls.train", "--help"),
        },
        given.repeats,
    )
    more = [a - b for a, b in zip(helps["help"], helps["hydra"], strict=True)]
    middle = sorted(more)[len(more) // 2]
    starts = alternate(
        {
            "imports": lambda: timed_lines(["-c", READY])[0][-1][0],
            "start": lambda: run("trainer=smoke", "data.image_size=64")["start"],
        },
        given.repeats,
    )
    rows: list[dict[str, Any]] = [
        row(ratio(helps["help"], helps["hydra"]), what="--help / import hydra")
        | {
            "seconds": f"+{middle:.2f}",
            "bar": f"<= +{HELP_SECONDS} s",
            "verdict": "met" if middle <= HELP_SECONDS else "missed",
        },
        row(ratio(starts["start"], starts["imports"]), START, at_most=True,
            what="a run's start / its imports")
        | {"seconds": f"{sorted(starts['start'])[given.repeats // 2]:.2f}"},
    ]  # fmt: skip
    whole = run(*words)
    for name in ("start", "training", "rest"):
        share = whole[name] / whole["whole"]
        rows.append({"what": f"{' '.join(words)}: {name}, share of the whole", "ratio": share,
                     "seconds": f"{whole[name]:.1f}"})  # fmt: skip
    record(given, "whole jobs", rows, started, help=helps, start=starts, whole=whole)


if __name__ == "__main__":
    main()
