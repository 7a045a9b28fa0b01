"""What every verb shares: its command line, and errors that a person can read."""

import io
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TypeVar

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from bookcls.command import messages
from bookcls.command.messages import (
    DEATHS,
    explain_error,
    find_launcher,
    print_error,
    raised_by_hydra,
)
from bookcls.command.overrides import quote_overrides
from bookcls.command.terminal import escape_output
from bookcls.command.usage import usage
from bookcls.config import conf_dir, register_resolvers, to_dataclass
from bookcls.environment import is_first_process
from bookcls.errors import BookclsError
from bookcls.files import write_text

T = TypeVar("T")


def verb(
    name: str,
    schema: type[T],
    body: Callable[[T, Path], None],
    prepare: Callable[[list[str]], list[str]] = lambda argv: argv,
) -> None:
    """Runs a verb from the command line: conf/<name>.yaml -> ``schema`` -> ``body``.

    Args:
        name: The verb, which names its primary configuration.
        schema: Dataclass that mirrors the configuration.
        body: What to do with the typed configuration and the folder for its results. A
            BookclsError ends the job with one line; the other jobs of a multirun go on.
        prepare: Rewrites the overrides before Hydra sees them.

    Raises:
        SystemExit: With code 1 after an error of the user's.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A console that cannot show kanji shows escapes instead of failing.
            stream.reconfigure(errors="backslashreplace")
    with escape_output():
        _run(name, schema, body, prepare)


def _run(
    name: str,
    schema: type[T],
    body: Callable[[T, Path], None],
    prepare: Callable[[list[str]], list[str]],
) -> None:
    """Runs a verb, see :func:`verb`.

    Raises:
        SystemExit: With code 1 after an error of the user's.
    """
    traceback_wanted = os.environ.get("BOOKCLS_TRACEBACK") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its errors over instead of printing them.
    began = time.time()
    failed: list[str] = []

    def job(cfg: DictConfig) -> str | None:
        register_resolvers()  # once more, since a launcher may have started another process
        hydra_config = HydraConfig.get()
        output = Path(hydra_config.runtime.output_dir)
        multirun = hydra_config.mode == RunMode.MULTIRUN
        if multirun and not messages.prefix:
            overrides = " ".join(hydra_config.overrides.task)
            print(f"\njob {hydra_config.job.num}: {overrides}", flush=True)
        try:
            body(to_dataclass(cfg, schema), output)
        except (BookclsError, OmegaConfBaseException, OSError) as error:
            if traceback_wanted:
                raise
            failed.append(explain_error(error, name))
        except Exception as error:
            if traceback_wanted or not multirun:
                raise
            path = output / f"traceback_{hydra_config.job.num}.txt"
            write_text(path, traceback.format_exc())
            said = str(error).strip().partition("\n")[0]
            failed.append(f"{type(error).__name__}: {said} (see {path})")
        else:
            return None
        finally:
            remove_empty(output, began)
        print_error(failed[-1])
        return failed[-1]

    try:
        register_resolvers()
        sys.argv[1:] = prepare(quote_overrides(sys.argv[1:]))
        options = {word for word in sys.argv[1:] if word.startswith("-")}
        if options and options <= {"--help", "-h"}:
            print(usage(name, [word for word in sys.argv[1:] if word not in options]))
            return
        with exit_on_sigterm():
            hydra.main(version_base="1.3", config_path=str(conf_dir(name)), config_name=name)(job)()
    except (BookclsError, HydraException, OmegaConfBaseException, OSError) as error:
        if traceback_wanted:
            raise
        failed.append(explain_error(error, name))
        print_error(failed[-1])
    except KeyboardInterrupt:
        print("bookcls: stopped", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        launcher = find_launcher(error)
        if traceback_wanted or (launcher is None and not raised_by_hydra(error, job.__code__)):
            raise
        said = explain_error(error, name).partition("\n")[0]
        if launcher is None:
            said = f"the settings cannot be put together: {said}"
        elif type(error).__name__ in DEATHS:
            said = f"a process of the sweep died ({said}); the same command goes on with it."
        else:
            said = f"the launcher {launcher} says: {said}"
        failed.append(said)
        print_error(said)
    if failed:
        sys.exit(1)


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Lets SIGTERM, by which Slurm and rented machines end a job, end it as Ctrl+C does.

    Raises:
        SystemExit: With code 143 (128 and the signal's number), when it comes.
    """

    def stop(number: int, _: FrameType | None) -> None:
        print("bookcls: stopped by SIGTERM", file=sys.stderr, flush=True)
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield  # Only that one may set a handler.
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def remove_empty(folder: Path, began: float) -> None:
    """Removes a folder that Hydra has made since ``began`` and that nothing was written into."""
    try:
        ours = folder != Path.cwd() and folder.stat().st_mtime >= began
        if ours and is_first_process():
            folder.rmdir()
            if re.fullmatch(r"\d{4}-\d\d-\d\d", folder.parent.name):
                folder.parent.rmdir()
    except OSError:
        return  # it holds something
