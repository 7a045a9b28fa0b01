"""Promise 1: a run is whole or absent, whenever the power fails. See also test_sweep.py."""

import json
import random
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from bookcls import fetch, report, train
from bookcls.config import read_config, to_dataclass
from bookcls.settings import TrainConfig
from conftest import TINY
from test_fetch import check_dataset, upstream  # noqa: F401 - a fixture
from victims import Victim, die, needs_fork, outcome, save_always, sizes, verb, warm

pytestmark = [needs_fork, pytest.mark.usefixtures("narrow")]

CHANGES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir")
"""What Python tells an audit hook of, before it does it, and a folder can be changed by."""


def at_change(folder: Path, act: Callable[[int], None]) -> None:
    """Calls ``act`` with the number of each change below a folder, from now to the end."""
    count = 0
    start = str(folder)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in CHANGES and str(arguments[0]).startswith(start):
            count += 1
            act(count)

    sys.addaudithook(hook)


def die_at(folder: Path, number: int, calls: int) -> None:
    """Dies at a change, or so many calls of functions after it, between open and write perhaps."""
    left = calls

    def step(frame: Any, event: str, argument: object) -> None:
        nonlocal left
        if event in ("call", "c_call"):
            left -= 1
            if left <= 0:
                die()

    def act(count: int) -> None:
        if count == number:
            if not calls:
                die()
            sys.setprofile(step)

    at_change(folder, act)


class Moments:
    """When victims are killed: at random times, and at random changes of their folder.

    The first victim lives, to know how long one takes and how many changes it makes.
    """

    def __init__(self, work: Callable[[Callable[[], None]], Victim], folder: Path) -> None:
        """Takes what starts a victim of ``folder``, given what to do first in it."""
        self.work, self.folder = work, folder
        counted = folder.with_name(f"changes of {folder.name}")
        began = time.monotonic()
        victim = work(lambda: at_change(folder, lambda n: counted.write_text(str(n))))
        assert victim.wait() == 0, victim.said
        self.seconds = time.monotonic() - began
        self.changes = int(counted.read_text())

    def kill(self, rng: random.Random, number: int) -> int:
        """Kills one; of two that follow each other one by the clock. Returns its exit code."""
        if number % 2:
            change, calls = rng.randint(1, self.changes), rng.choice((0, 0, 1, 2, 5, 20))
            return self.work(lambda: die_at(self.folder, change, calls)).wait()
        began = time.monotonic()
        victim = self.work(lambda: None)
        time.sleep(rng.uniform(0, self.seconds))
        victim.kill()
        code = victim.wait()
        if code == 0:  # It was quicker than the first.
            self.seconds = time.monotonic() - began
        return code


def whole(run: Path) -> bool:
    """Whether a run is finished; if it is not, what has its name is whole all the same."""
    names = {path.name for path in run.iterdir()} if run.is_dir() else set()
    if "config.yaml" in names:
        to_dataclass(read_config(run / "config.yaml"), TrainConfig)
    for name in names & {"environment.json", "metrics.json"}:
        json.loads((run / name).read_text(encoding="utf-8"))
    for name in names & {"best.ckpt", "last.ckpt"}:
        assert torch.load(run / name, weights_only=True)["state_dict"]
    if "metrics.json" in names:
        assert {"config.yaml", "environment.json", "best.ckpt", "predictions.csv"} <= names
    return "metrics.json" in names


@sizes("tries", 6, 110)
def test_training(shared_photos, tmp_path, tries):
    warm()
    run = tmp_path / "run"
    words = (f"data.root={shared_photos}", "aug=all", *TINY, f"hydra.run.dir={run}")

    def work(before):
        def first():
            save_always()
            before()

        return Victim(verb(train.main, *words, cwd=tmp_path, before=first), tmp_path / "log")

    moments = Moments(work, run)
    expected = outcome(run)
    rng = random.Random(tries)
    killed = resumed = unfinished = 0
    for number in range(3 * tries):
        shutil.rmtree(run)
        code = moments.kill(rng, number)
        assert code in (0, -9)
        killed += code == -9
        if whole(run):
            assert outcome(run) == expected
            run.mkdir(exist_ok=True)
            continue
        unfinished += 1
        if resumed < max(2, tries // 4):
            again = (f"resume={run}",) if (run / "config.yaml").is_file() else words
            victim = Victim(verb(train.main, *again, cwd=tmp_path), tmp_path / "log")
            assert victim.wait() == 0, victim.said
            assert outcome(run) == expected
            assert not [p.name for p in run.iterdir() if p.name.startswith(".")], "no litter"
            resumed += 1
        run.mkdir(exist_ok=True)
        if killed == tries:
            break
    print(f"{killed} killed, {unfinished} of them unfinished, {resumed} went on")
    assert killed >= tries


@sizes("tries", 2, 25)
def test_report(shared_photos, tmp_path, tries):
    warm()
    run, output = tmp_path / "runs" / "run", tmp_path / "report"
    words = (f"data.root={shared_photos}", *TINY, "optim.epochs=1", f"hydra.run.dir={run}")
    victim = Victim(verb(train.main, *words, cwd=tmp_path), tmp_path / "log")
    assert victim.wait() == 0, victim.said
    words = (f"runs={tmp_path / 'runs'}", f"output={output}")

    def work(before):
        return Victim(verb(report.main, *words, cwd=tmp_path, before=before), tmp_path / "log")

    moments = Moments(work, output)
    expected = {p.name: p.read_bytes() for p in output.iterdir()}
    rng = random.Random(tries)
    for number in range(tries):
        shutil.rmtree(output, ignore_errors=True)
        moments.kill(rng, number)
        for path in output.glob("[!.]*") if output.is_dir() else ():
            if path.suffix == ".png":
                Image.open(path).load()
            elif path.suffix == ".html":
                assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
            else:
                assert path.read_bytes() == expected[path.name]
    assert work(lambda: None).wait() == 0
    assert (output / "results.csv").read_bytes() == expected["results.csv"]


@sizes("tries", 3, 25)
def test_fetch(upstream, tmp_path, tries):  # noqa: F811
    books = tmp_path / "books"
    words = (f"source={upstream}", f"manifest={upstream}/manifest.csv", f"output={books}",
             "size=64", "jobs=2")  # fmt: skip

    def work(before):
        return Victim(verb(fetch.main, *words, cwd=tmp_path, before=before), tmp_path / "log")

    moments = Moments(work, tmp_path / "books")
    expected = {p.relative_to(books): p.read_bytes() for p in books.rglob("*") if p.is_file()}
    rng = random.Random(tries)
    for number in range(tries):
        shutil.rmtree(books, ignore_errors=True)
        shutil.rmtree(tmp_path / "books.partial", ignore_errors=True)
        moments.kill(rng, number)
        if books.exists():
            check_dataset(books)
        victim = work(lambda: None)
        assert victim.wait() == 0, victim.said
        check_dataset(books)
        found = {p.relative_to(books): p.read_bytes() for p in books.rglob("*") if p.is_file()}
        assert {name for name in found if found[name] != expected.get(name)} <= {
            Path("fetched.json")
        }
        assert found.keys() == expected.keys(), "no litter"
