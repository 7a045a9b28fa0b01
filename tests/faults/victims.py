"""Processes to attack, forked from one that has imported everything: a second each, not fifteen.

An attack has two sizes: a part, which belongs to the ordinary tests, and that of ``make faults``.
"""

import hashlib
import json
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HANGS = 300.0
"""Seconds after which a victim counts as hanging, however busy the machine is."""

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="victims are forked")


def sizes(name: str, part: int, full: int) -> pytest.MarkDecorator:
    """Runs an attack ``part`` times, and ``full`` times under the marker faults."""
    whole = pytest.param(full, id="full", marks=pytest.mark.faults)
    return pytest.mark.parametrize(name, [pytest.param(part, id="part"), whole])


def warm() -> None:
    """Imports what the verbs import late, so that no victim has to."""
    import imblearn.over_sampling  # noqa: F401


class Victim:
    """A forked process at work; its output is in a file.

    Attributes:
        pid: Of the process.
        log: What it says, on both streams.
    """

    def __init__(self, work: Callable[[], object], log: Path) -> None:
        """Starts ``work``; what it returns, if it is a number, is the exit code."""
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python 3.12 on: of threads, which rest here
            self.pid = os.fork()
        if self.pid == 0:
            _work(work, log)

    def wait(self, seconds: float = HANGS) -> int:
        """Its exit code, negative for a signal; a failure of the test if it hangs."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.005)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError(f"hangs for {seconds:g} s after:\n{self.said}")

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Sends it a signal."""
        os.kill(self.pid, number)

    @property
    def said(self) -> str:
        """What it has said so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def last_line(self) -> str:
        """The last line of that."""
        return [line for line in self.said.splitlines() if line.strip()][-1]


def _work(work: Callable[[], object], log: Path) -> None:
    """The life of a forked process; no handler or buffer of pytest's takes part in it."""
    code = 70
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        warnings.resetwarnings()
        done = work()
        code = done if isinstance(done, int) else 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def at_epoch(number: int, act: Callable[[], None]) -> None:
    """Does something, from within this process, when the epoch of this number, from 0, begins."""
    from bookcls.training.classifier import Classifier

    start = Classifier.on_train_epoch_start

    def on_train_epoch_start(self: Classifier) -> None:
        if self.current_epoch == number:
            act()
        start(self)

    Classifier.on_train_epoch_start = on_train_epoch_start  # type: ignore[method-assign]


def die() -> None:
    """What a power cut is to a process."""
    os.kill(os.getpid(), signal.SIGKILL)


def save_always() -> None:
    """Lets training write a checkpoint after each epoch, however short."""
    from bookcls.training import callbacks

    callbacks.SAVE_EVERY_SECONDS = 0


def verb(
    main: Callable[[], None], *words: str, cwd: Path, before: Callable[[], None] = lambda: None
) -> Callable[[], None]:
    """A verb with its overrides, in a working directory, as the command line would run it.

    Args:
        main: The verb's.
        words: Its overrides.
        cwd: The working directory.
        before: What to do first, in the victim.
    """

    def work() -> None:
        import torch
        from hydra.core.global_hydra import GlobalHydra

        # A pool of threads does not survive the fork.
        torch.set_num_threads(1)
        GlobalHydra.instance().clear()
        os.environ.pop("HYDRA_FULL_ERROR", None)
        os.environ.pop("BOOKCLS_TRACEBACK", None)
        # What runs in the background may have been told to ignore Ctrl+C.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(cwd)
        sys.argv = ["bookcls", *words]
        before()
        main()

    return work


def outcome(run: Path) -> dict[str, Any]:
    """What a finished run came to, its trained weights included, but for how long it took."""
    import torch

    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256()
    state = torch.load(run / "best.ckpt", weights_only=True)["state_dict"]
    for name, value in sorted(state.items()):
        digest.update(name.encode() + value.numpy().tobytes())
    predictions = run / "predictions.csv"
    return {
        **{key: value for key, value in metrics.items() if key != "seconds"},
        "state_dict": digest.hexdigest(),
        "predictions": predictions.read_text(encoding="utf-8") if predictions.is_file() else "",
    }
