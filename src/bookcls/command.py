"""What every verb shares: its command line, and errors that a person can read."""

import difflib
import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bookcls.config import conf_dir, register_resolvers, typed
from bookcls.errors import BookclsError

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
    traceback_wanted = os.environ.get("BOOKCLS_TRACEBACK") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its errors over instead of printing them.
    failed: list[Exception] = []

    def job(cfg: DictConfig) -> None:
        hydra_config = HydraConfig.get()
        if hydra_config.mode == RunMode.MULTIRUN:
            overrides = " ".join(hydra_config.overrides.task)
            print(f"\njob {hydra_config.job.num}: {overrides}", flush=True)
        try:
            body(typed(cfg, schema), Path(hydra_config.runtime.output_dir))
        except (BookclsError, OmegaConfBaseException, OSError) as error:
            if traceback_wanted:
                raise
            failed.append(error)
            complain(explained(error, name))

    try:
        register_resolvers()
        sys.argv[1:] = prepare(quote_overrides(sys.argv[1:]))
        hydra.main(version_base="1.3", config_path=str(conf_dir(name)), config_name=name)(job)()
    except (BookclsError, HydraException, OmegaConfBaseException, OSError) as error:
        if traceback_wanted:
            raise
        failed.append(error)
        complain(explained(error, name))
    except KeyboardInterrupt:
        sys.exit(130)
    if failed:
        sys.exit(1)


def complain(error: Exception | str) -> None:
    """Prints an error for a person."""
    print(f"bookcls: error: {str(error).strip()}", file=sys.stderr, flush=True)


def explained(error: Exception, name: str) -> str:
    """An error's message in a person's words, with the choices that there are."""
    text = str(error).strip()
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
        known = sorted(flat_keys(hydra.compose(name)))
    known += [path.name for path in conf_dir(name).iterdir() if path.is_dir()]
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
    multirun = bool({"-m", "--multirun"} & set(argv))
    quoted = []
    for before, arg in zip(["", *argv], argv, strict=False):
        if "=" not in arg and not arg.startswith(("-", "+", "~")) and not before.startswith("-"):
            raise BookclsError(f"{arg}: settings are given as name=value; --help lists the names.")
        key, equals, value = arg.partition("=")
        if arg.startswith("-") or not equals or value[:1] in ("'", '"'):
            quoted.append(arg)
            continue
        try:
            override = parser.parse_override(arg)
            path_list = override.is_sweep_override() and "/" in value and not multirun
            named = re.search(r"[,~\[\](){}$]", value) and Path(value).expanduser().exists()
            plain = not (named or path_list or "\\" in value)
        except (HydraException, OSError):
            plain = False
        quoted.append(arg if plain else f"{key}={quote(value)}")
    return quoted


def quote(value: str) -> str:
    """A double-quoted Hydra string that reads back as ``value``."""
    value = re.sub(r'(\\*)"', r'\1\1\\"', value)
    value = re.sub(r"(\\+)$", r"\1\1", value)
    return '"' + value.replace("${", "\\${") + '"'
