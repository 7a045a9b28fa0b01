"""What every verb shares: its command line, and errors that a person can read."""

import difflib
import io
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import TypeVar

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bookcls import cells
from bookcls.config import conf_dir, full_path, register_resolvers, typed
from bookcls.errors import BookclsError
from bookcls.runs import CONFIG, is_first_process
from bookcls.usage import usage

T = TypeVar("T")
PLUGINS = "hydra_plugins"
LAUNCHERS = (PLUGINS, "joblib", "submitit")
"""Packages that start the processes of a sweep."""
DEATHS = ("TerminatedWorkerError", "UncompletedJobError")
"""Their exceptions that say that such a process is gone."""
IN_WORKER = re.compile(r"Caught \w+ in DataLoader worker process.*^[\w.]+Error: ", re.S | re.M)
"""What torch puts before the message of an error of a loading process."""


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
    traceback_wanted = os.environ.get("BOOKCLS_TRACEBACK") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its errors over instead of printing them.
    began = time.time()
    failed: list[str] = []

    def job(cfg: DictConfig) -> str | None:
        register_resolvers()  # once more, since a launcher may have started another process
        hydra_config = HydraConfig.get()
        output = Path(hydra_config.runtime.output_dir)
        multirun, place = hydra_config.mode == RunMode.MULTIRUN, ""
        if cells.current:
            place = f"{cells.current}: "
        elif multirun:
            overrides = " ".join(hydra_config.overrides.task)
            print(f"\njob {hydra_config.job.num}: {overrides}", flush=True)
        try:
            body(typed(cfg, schema), output)
        except (BookclsError, OmegaConfBaseException, OSError) as error:
            if traceback_wanted:
                raise
            failed.append(explained(error, name))
        except Exception as error:
            if traceback_wanted or not multirun:
                raise
            path = output / f"traceback_{hydra_config.job.num}.txt"
            path.write_text(traceback.format_exc(), encoding="utf-8")
            said = str(error).strip().partition("\n")[0]
            failed.append(f"{type(error).__name__}: {said} (see {path})")
        else:
            return None
        finally:
            remove_empty(output, began)
        complain(place + failed[-1])
        return failed[-1]

    try:
        register_resolvers()
        sys.argv[1:] = prepare(quote_overrides(sys.argv[1:]))
        options = {word for word in sys.argv[1:] if word.startswith("-")}
        if options and options <= {"--help", "-h"}:
            print(usage(name, [word for word in sys.argv[1:] if word not in options]))
            return
        with terminable():
            hydra.main(version_base="1.3", config_path=str(conf_dir(name)), config_name=name)(job)()
    except (BookclsError, HydraException, OmegaConfBaseException, OSError) as error:
        if traceback_wanted:
            raise
        failed.append(explained(error, name))
        complain(failed[-1])
    except KeyboardInterrupt:
        print("bookcls: stopped", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        launcher = launcher_of(error)
        if traceback_wanted or (launcher is None and not of_hydra(error, job.__code__)):
            raise
        said = explained(error, name).partition("\n")[0]
        if launcher is None:
            said = f"the settings cannot be put together: {said}"
        elif type(error).__name__ in DEATHS:
            said = f"a process of the sweep died ({said}); the same command goes on with it."
        else:
            said = f"the launcher {launcher} says: {said}"
        failed.append(said)
        complain(said)
    if failed:
        sys.exit(1)


@contextmanager
def terminable() -> Iterator[None]:
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


def of_hydra(error: Exception, job: CodeType) -> bool:
    """Whether Hydra raised an error before the job; it has classes of its own for some only."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    root = str(frames[-1].f_globals.get("__name__")).partition(".")[0] if frames else ""
    return root in ("hydra", "omegaconf", "antlr4") and job not in (
        frame.f_code for frame in frames
    )


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


def resumed(
    argv: list[str], *, beside: Sequence[str], is_finished: Callable[[Path], bool]
) -> list[str]:
    """Makes ``resume=RUN`` write into RUN, and refuses it beside settings that would change it.

    Args:
        argv: The overrides.
        beside: Settings that may be given all the same.
        is_finished: Whether there is nothing left to do in a run folder.

    Raises:
        BookclsError: If there is no such unfinished run.
    """
    given = [arg for arg in argv if arg.startswith("resume=") and arg != "resume=null"]
    # Lightning starts further processes with the overrides that are made below.
    if not given or "hydra.output_subdir=null" in argv:
        return argv
    value = given[0].removeprefix("resume=").strip("'\"")
    run = full_path("resume", value)
    allowed = [arg for arg in argv if arg.partition("=")[0] in beside]
    others = [arg for arg in argv if arg not in given + allowed]
    if others:
        raise BookclsError(
            f"resume={value} continues a run as it was set; leave out {' '.join(others)} (only "
            f"{'=..., '.join(beside)}=... may stand beside it), or start a new run."
        )
    if not (run / CONFIG).is_file():
        raise BookclsError(f"resume={value}: there is no run in {run} (a run holds {CONFIG}).")
    if is_finished(run):
        raise BookclsError(f"resume={value}: this run is finished; look into {run}.")
    folder = quote(str(run))
    return [f"resume={folder}", f"hydra.run.dir={folder}", "hydra.output_subdir=null", *allowed]


def say_loading() -> None:
    """Says what the seconds before torch's first import are; call it just before that."""
    if "torch" not in sys.modules and is_first_process():
        print("loading torch", flush=True)


def complain(error: Exception | str) -> None:
    """Prints an error for a person."""
    print(f"bookcls: error: {str(error).strip()}", file=sys.stderr, flush=True)


def launcher_of(error: Exception) -> str | None:
    """The launcher of a sweep that raised an error itself; None if none did."""
    frames = traceback.walk_tb(error.__traceback__)
    modules = [str(frame.f_globals.get("__name__")).split(".") for frame, _ in frames]
    plugins = [module[1] for module in modules if module[0] == PLUGINS]
    raised = {type(error).__module__.partition(".")[0], *(module[0] for module in modules[-1:])}
    if not plugins or raised.isdisjoint(LAUNCHERS):
        return None
    return plugins[0].removeprefix("hydra_").removesuffix("_launcher")


def explained(error: Exception, name: str) -> str:
    """An error's message in a person's words, with the choices that there are."""
    text = IN_WORKER.sub("", str(error).strip()) or type(error).__name__
    if isinstance(error, OmegaConfBaseException) and error.full_key:
        return f"{error.full_key}: {text.splitlines()[0]}"
    if isinstance(error, MissingConfigException) and error.options:
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        return f"{group}={option}: choose one of {', '.join(error.options)}."
    unknown = re.search(r"Could not override '([^']+)'", text)
    if not isinstance(error, ConfigCompositionException) or unknown is None:
        return text
    key = unknown.group(1)
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(conf_dir(name)), version_base="1.3"):
        cfg = hydra.compose(name, return_hydra_config=True)
    groups = [group for group in cfg.hydra.runtime.choices if not group.startswith("hydra/")]
    known = sorted(k for k in flat_keys(cfg) if not k.startswith("hydra.")) + groups
    near = difflib.get_close_matches(key, known, n=3)
    if near:
        return f"{key} is not a setting. Did you mean {' or '.join(near)}? --help lists all."
    group = key.split(".")[0]
    beside = [k for k in known if k.split(".")[0] == group] or known
    return f"{key} is not a setting; there are {', '.join(beside)}."


def flat_keys(cfg: DictConfig, prefix: str = "") -> list[str]:
    """Dotted names of all values of a configuration."""
    keys: list[str] = []
    for key in map(str, cfg):
        value = None if OmegaConf.is_missing(cfg, key) else cfg[key]
        if isinstance(value, DictConfig):
            keys += flat_keys(value, f"{prefix}{key}.")
        else:
            keys.append(f"{prefix}{key}")
    return keys


def quote_overrides(argv: list[str]) -> list[str]:
    """Quotes values that Hydra's grammar would refuse or take apart.

    Hydra reads spaces, accents, kanji, commas, brackets and ``~`` as its own syntax. A value that
    its parser refuses, or that names an existing file or folder, is meant as plain text; so is a
    path with commas where no multirun is asked for.

    Raises:
        BookclsError: For a word that is neither a setting nor an option.
    """
    parser = OverridesParser.create()
    named_sweep = any(arg.startswith("sweep=") for arg in argv)
    multirun = named_sweep or bool({"-m", "--multirun"} & set(argv))
    quoted = []
    for before, arg in zip(["", *argv], argv, strict=False):
        if "=" not in arg and not arg.startswith(("-", "+", "~")) and not before.startswith("-"):
            raise BookclsError(f"{arg}: settings are given as name=value; --help lists the names.")
        key, equals, value = arg.partition("=")
        if arg.startswith("-") or not equals or value[:1] in ("'", '"'):
            quoted.append(arg)
            continue
        if key in ("experiment", "sweep") and value in ("", "null"):
            raise BookclsError(f"{arg}: name one of those that --help lists, or write ~{key}.")
        try:
            override = parser.parse_override(arg)
            path_list = override.is_sweep_override() and "/" in value and not multirun
            named = re.search(r"[,~\[\](){}$]", value) and Path(value).expanduser().exists()
            plain = not (named or path_list or "\\" in value)
        except (HydraException, OSError, RuntimeError):  # the last: ~user, and no such user
            plain = False
        quoted.append(arg if plain else f"{key}={quote(value)}")
    return quoted


def quote(value: str) -> str:
    """A double-quoted Hydra string that reads back as ``value``."""
    value = re.sub(r'(\\*)"', r'\1\1\\"', value)
    value = re.sub(r"(\\+)$", r"\1\1", value)
    return '"' + value.replace("${", "\\${") + '"'
