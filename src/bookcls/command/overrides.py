"""Rewrites command-line overrides before Hydra parses them."""

from collections.abc import Callable, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from bookcls.command.words import QUOTES, Typed, find_hint, quote, unquote
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
    value = unquote(given[0].removeprefix("resume="))
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


def quote_overrides(argv: list[str], schema: type) -> list[str]:
    """Quotes values that Hydra's grammar would reject, split or read as something else.

    Text stays as it was typed: the type of a setting says whether it is text, see
    :class:`bookcls.command.words.Typed`. Other values are quoted if the parser rejects them.

    Args:
        argv: The arguments, as typed.
        schema: The dataclass that mirrors the configuration.

    Raises:
        BookclsError: For an argument that is neither a setting nor an option.
    """
    parser = OverridesParser.create()
    multirun = any(arg.startswith(("sweep=", "hydra.mode=MULTIRUN")) for arg in argv)
    multirun |= bool({"-m", "--multirun"} & set(argv))
    quoted = []
    for before, arg in zip(["", *argv], argv, strict=False):
        if "=" not in arg and not arg.startswith(("-", "+", "~")) and not before.startswith("-"):
            raise BookclsError(f"{arg}: settings are given as name=value; --help lists the names.")
        key, equals, value = arg.partition("=")
        if arg.startswith("-") or not equals:
            quoted.append(arg)
            continue
        if key in ("experiment", "sweep") and value in ("", "null"):
            raise BookclsError(f"{arg}: name one of those that --help lists, or write ~{key}.")
        name = key.lstrip("+")
        typed = Typed(find_hint(schema, name))
        if typed.is_text and value == "???":
            raise BookclsError(
                f"{arg}: ??? stands for a value that is not set; write ./??? for files or a folder "
                "of that name."
            )
        if typed.is_text or typed.is_texts:
            in_sweep = multirun and not name.startswith("hydra.")
            quoted.append(f"{key}={typed.rewrite(value, multirun=in_sweep)}")
            continue
        try:
            parser.parse_override(arg)
        except (HydraException, RecursionError):
            arg = arg if value[:1] in QUOTES else f"{key}={quote(value)}"
        quoted.append(arg)
    return quoted
