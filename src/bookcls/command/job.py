"""Runs a verb from the command line, with readable error messages."""

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
    WORKER_DEATH_ERRORS,
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
from bookcls.storage.files import write_text

T = TypeVar("T")


def verb(
    name: str,
    schema: type[T],
    body: Callable[[T, Path], None],
    prepare: Callable[[list[str]], list[str]] = lambda argv: argv,
) -> None:
    """Runs a verb from the command line: conf/<name>.yaml -> ``schema`` -> ``body``.

    Args:
        name: Name of the verb and of its primary configuration.
        schema: Dataclass that mirrors the configuration.
        body: Called with the typed configuration and the output folder. A BookclsError ends the
            job with a one-line message; the other jobs of a multirun continue.
        prepare: Rewrites the overrides before Hydra sees them.

    Raises:
        SystemExit: With code 1 after an error, 130 after Ctrl+C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # On a console that cannot show kanji, print escapes instead of failing.
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
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors instead of printing them.
    created_after = time.time()
    failed: list[str] = []

    def job(cfg: DictConfig) -> str | None:
        register_resolvers()  # again, since a launcher may have started another process
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
            message = str(error).strip().partition("\n")[0]
            failed.append(f"{type(error).__name__}: {message} (see {path})")
        else:
            return None
        finally:
            remove_empty(output, created_after)
        print_error(failed[-1])
        return failed[-1]

    try:
        register_resolvers()
        sys.argv[1:] = prepare(quote_overrides(sys.argv[1:], schema))
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
        message = explain_error(error, name).partition("\n")[0]
        if launcher is None:
            message = f"the settings cannot be composed: {message}"
        elif type(error).__name__ in WORKER_DEATH_ERRORS:
            message = (
                f"a process of the sweep died ({message}); run the same command again to resume it."
            )
        else:
            message = f"the launcher {launcher} failed: {message}"
        failed.append(message)
        print_error(message)
    if failed:
        sys.exit(1)


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Turns SIGTERM, with which Slurm and cloud machines stop a job, into an orderly exit.

    Raises:
        SystemExit: With code 143 (128 plus the signal number), on SIGTERM.
    """

    def stop(number: int, _: FrameType | None) -> None:
        print("bookcls: stopped by SIGTERM", file=sys.stderr, flush=True)
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield  # Only the main thread may set a handler.
        return
    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def remove_empty(folder: Path, created_after: float) -> None:
    """Removes an output folder that Hydra created and that is still empty.

    Args:
        folder: The folder.
        created_after: An older folder is kept; in seconds since 1970.
    """
    try:
        ours = folder != Path.cwd() and folder.stat().st_mtime >= created_after
        if ours and is_first_process():
            folder.rmdir()
            if re.fullmatch(r"\d{4}-\d\d-\d\d", folder.parent.name):
                folder.parent.rmdir()
    except OSError:
        return  # it is not empty
