"""A command line's words, before Hydra sees them."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from bookcls.config import full_path
from bookcls.errors import BookclsError
from bookcls.files import refuse_links
from bookcls.runs import CONFIG


def resumed(
    argv: list[str], *, beside: Sequence[str], is_finished: Callable[[Path], bool]
) -> list[str]:
    """Makes ``resume=RUN`` write into RUN, and refuses it beside settings that would change it.

    Args:
        argv: The overrides.
        beside: Settings that may be given all the same.
        is_finished: Whether there is nothing left to do in a run folder.

    Raises:
        BookclsError: If there is no such unfinished run, or anything in it leads elsewhere.
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
    refuse_links(run)
    if is_finished(run):
        raise BookclsError(f"resume={value}: this run is finished; look into {run}.")
    folder = quote(str(run))
    return [f"resume={folder}", f"hydra.run.dir={folder}", "hydra.output_subdir=null", *allowed]


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
