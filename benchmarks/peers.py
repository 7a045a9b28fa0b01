"""Our training loop against those of others: same photos, size, batch, frozen layers, precision.

Sides take turns of one pass over 11 photos of each class, each in a process of its own. Each
decodes as it goes, but ours, which decodes once: "once" is what a side does before its first pass,
and "20 passes" counts it in.
"""

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.children import environ
from benchmarks.measuring import alternate, ratio
from benchmarks.record import options, record, row
from benchmarks.setting import make_folder, photos
from bookcls.data.samples import list_visible

SIDES = ("ours", "plain", "timm_loop", "fastai_learner")
EACH = 11
PASSES = 20


class Process:
    """A side that waits in its own process."""

    def __init__(self, side: str, setting: dict[str, Any]) -> None:
        """Starts it and waits until it is ready."""
        command = [sys.executable, "-m", "benchmarks.peer_sides.worker", side, json.dumps(setting)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ()
        )
        self.side = side
        self.images = 0
        self.once: float = self.answer()["once"]

    def answer(self) -> dict[str, Any]:
        """The next line of the side.

        Raises:
            RuntimeError: If it has died; its own words are on stderr.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the side {self.side} ended; see above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def turn(self) -> float:
        """Seconds per image of one pass."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = self.answer()
        self.images = answer["images"]
        return float(answer["seconds"] / answer["images"])

    def stop(self) -> None:
        """Ends it."""
        self.process.kill()
        self.process.wait()


def bar(side: str, size: str, freeze_to: str) -> float | None:
    """Ours / theirs, at least; for scale only where None."""
    if size == "small":
        return 1.0
    if freeze_to == "null":
        return None
    return 1.4 if side == "fastai_learner" else 1.1


def main() -> None:
    """Measures each cell: which layers are frozen, which photos."""
    started = time.monotonic()
    given = options(
        "peers", __doc__,
        cells={"nargs": "+", "help": "FREEZE_TO:small or FREEZE_TO:phone, default %(default)s",
               "default": ["block4_conv1:small", "block4_conv1:phone", "null:small"]},
        sides={"nargs": "+", "default": list(SIDES), "choices": SIDES},
        image_size={"type": int, "default": 128},
        workers={"type": int, "default": 2, "help": "of the peers' data loaders"},
        precision={"default": "32-true", "help": "auto: ours as it comes, peers in float32"},
    )  # fmt: skip
    rows: list[dict[str, Any]] = []
    turns: dict[str, Any] = {}
    classes = sum(path.is_dir() for path in list_visible(photos() / "train"))
    with tempfile.TemporaryDirectory() as home:
        for cell in given.cells[:2] if given.toy else given.cells:
            freeze_to, photo = cell.split(":")
            root = Path(home) / photo
            if not root.exists():
                each = EACH // 2 if given.toy else EACH
                make_folder(root, each * classes, phone=photo == "phone")
            setting = {
                "root": str(root), "size": 32 if given.toy else given.image_size,
                "freeze_to": freeze_to, "workers": given.workers,
                "precision": given.precision, "toy": given.toy,
            }  # fmt: skip
            rows += compare(given.sides, setting, photo, given.repeats, turns)
    record(given, "ours / theirs, images per second", rows, started, turns=turns)


def compare(
    names: list[str], setting: dict[str, Any], photo: str, repeats: int, turns: dict[str, Any]
) -> list[dict[str, Any]]:
    """All sides in one cell; a row for each besides ours."""
    sides: dict[str, Process] = {}
    try:
        for name in names:
            sides[name] = Process(name, setting)
        taken = alternate({name: side.turn for name, side in sides.items()}, repeats)
        turns[f"{setting['freeze_to']}:{photo}"] = taken
        whole = {
            name: side.once + PASSES * side.images * statistics.median(taken[name])
            for name, side in sides.items()
        }
    finally:
        for side in sides.values():
            side.stop()
    return [
        row(
            ratio(taken[name], taken["ours"]),
            bar(name, photo, setting["freeze_to"]),
            against=name,
            photos=photo,
            freeze_to=setting["freeze_to"],
            theirs=1 / statistics.median(taken[name]),
            ours=1 / statistics.median(taken["ours"]),
        )
        | {f"{PASSES} passes, once included": whole[name] / whole["ours"]}
        for name in itertools.filterfalse("ours".__eq__, names)
    ]


if __name__ == "__main__":
    main()
