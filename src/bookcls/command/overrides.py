"""Rewrites command-line overrides before Hydra parses them."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from bookcls.config import full_path
from bookcls.errors import BookclsError
from bookcls.runs import CONFIG
from bookcls.storage.folders import refuse_links


def expand_resume(
    argv: list[str], *, allowed: Sequence[str], is_finished: Callable[[Path], bool]
) -> list[str]:
    """Makes ``resume=RUN`` write to RUN, and refuses other settings that would change the run.

    Args:
        argv: The overrides.
        allowed: Settings that may be given together with ``resume``.
        is_finished: Returns whether a run folder is finished.

    Returns:
        The overrides to pass to Hydra.

    Raises:
        BookclsError: If there is no such unfinished run, or it contains links to outside.
    """
    given = [arg for arg in argv if arg.startswith("resume=") and arg != "resume=null"]
    # Lightning starts further processes with the overrides that are returned below.
    if not given or "hydra.output_subdir=null" in argv:
        return argv
    value = given[0].removeprefix("resume=").strip("'\"")
    run = full_path("resume", value)
    kept = [arg for arg in argv if arg.partition("=")[0] in allowed]
    others = [arg for arg in argv if arg not in given + kept]
    if others:
        raise BookclsError(
            f"resume={value} continues a run with its own settings; leave out {' '.join(others)} "
            f"(only {'=..., '.join(allowed)}=... may be given with it), or start a new run."
        )
    if not (run / CONFIG).is_file():
        raise BookclsError(f"resume={value}: {run} is not a run folder (it contains no {CONFIG}).")
    refuse_links(run)
    if is_finished(run):
        raise BookclsError(f"resume={value}: this run is finished; its results are in {run}.")
    folder = quote(str(run))
    return [f"resume={folder}", f"hydra.run.dir={folder}", "hydra.output_subdir=null", *kept]


def quote_overrides(argv: list[str]) -> list[str]:
    """Quotes values that Hydra's grammar would reject or split.

    Hydra treats spaces, accents, kanji, commas, brackets and ``~`` as syntax. A value is quoted if
    the parser rejects it, if it names an existing file or folder, or if it is a path with commas
    outside a multirun.

    Raises:
        BookclsError: For an argument that is neither a setting nor an option.
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
        except (HydraException, OSError, RuntimeError):  # RuntimeError: ~user without such a user
            plain = False
        quoted.append(arg if plain else f"{key}={quote(value)}")
    return quoted


def quote(value: str) -> str:
    """Quotes a value as a Hydra string that is parsed back as ``value``."""
    value = re.sub(r'(\\*)"', r'\1\1\\"', value)
    value = re.sub(r"(\\+)$", r"\1\1", value)
    return '"' + value.replace("${", "\\${") + '"'
