"""Training from Python: the same as the verb, without Hydra's job and command line."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bookcls.command.compose import compose
from bookcls.command.fallback import apply_fallback
from bookcls.command.job import remove_empty
from bookcls.command.overrides import quote_overrides
from bookcls.command.words import quote
from bookcls.config import full_path
from bookcls.errors import BookclsError
from bookcls.settings import TrainConfig
from bookcls.storage.folders import locked
from bookcls.training.inputs import read_inputs
from bookcls.training.run import run


def fit(
    root: str | os.PathLike[str],
    experiment: str | None,
    overrides: Sequence[str],
    output: str | os.PathLike[str] | None,
) -> Path:
    """Trains and tests in this process.

    Args: as :func:`bookcls.fit`.

    Returns:
        The run folder.

    Raises:
        BookclsError: For anything that the user can fix.
        KeyboardInterrupt: If it was interrupted; the command that resumes it has been printed.
    """
    started, created_after = time.monotonic(), time.time()
    hydra_overrides = [f"experiment={experiment}"] if experiment is not None else []
    hydra_overrides += ["data=folder", f"data.root={quote(os.fspath(root))}", *_checked(overrides)]
    config, folder = compose("train", TrainConfig, hydra_overrides)
    if config.trainer.is_distributed:
        raise BookclsError(
            f"trainer.devices={config.trainer.devices}, trainer.num_nodes="
            f"{config.trainer.num_nodes}: fit trains on one device; for several use "
            "python -m bookcls.train."
        )
    if output is not None:
        folder = full_path("output", os.fspath(output))
    config, photos = read_inputs(config, hydra_overrides)
    config, start = apply_fallback(config, hydra_overrides, photos)
    existed = folder.is_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BookclsError(f"output={folder} cannot be used as a folder ({error}).") from error
    try:
        with interruptible(), locked(folder):
            run(
                config,
                photos,
                folder,
                origin={"overrides": hydra_overrides},
                started=started,
                start=start,
            )
    finally:
        if not existed:
            remove_empty(folder, created_after)
    return folder


def _checked(overrides: Sequence[str]) -> list[str]:
    """Quotes overrides for Hydra's grammar.

    Raises:
        BookclsError: If one is not a setting of a single run.
    """
    if isinstance(overrides, str):
        raise BookclsError(f"overrides={overrides!r}: give a list, such as [{overrides!r}].")
    for word in overrides:
        if word.startswith("-") or word.partition("=")[0].lstrip("+~") in ("resume", "sweep"):
            raise BookclsError(
                f"overrides: {word} is for the command line: python -m bookcls.train {word}."
            )
        if word.lstrip("+~").startswith("data.root="):
            raise BookclsError(f"overrides: {word}: give the folder as root, the first argument.")
    return quote_overrides(list(overrides), TrainConfig)


@contextmanager
def interruptible() -> Iterator[None]:
    """Restores the Ctrl+C handler, and lets an interrupted training not end the whole program.

    Raises:
        KeyboardInterrupt: Instead of SystemExit.
    """
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:
        raise KeyboardInterrupt from stop
    finally:
        if in_main:
            signal.signal(signal.SIGINT, handler)
