"""Finds conf/, and converts a composed configuration to dataclasses."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bookcls.errors import BookclsError

T = TypeVar("T")
PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parent.parent
BOOKS = "dataset/books"


def conf_dir(verb: str) -> Path:
    """Finds the folder of configurations: in an installed wheel, or else in the checkout.

    Raises:
        BookclsError: If neither contains ``<verb>.yaml``.
    """
    candidates = (PACKAGE / "conf", CHECKOUT / "conf")
    for folder in candidates:
        if (folder / f"{verb}.yaml").is_file():
            return folder
    places = " or ".join(map(str, candidates))
    raise BookclsError(f"conf/{verb}.yaml is in neither {places}: install bookcls again.")


def project_path(relative: str) -> str:
    """Path of a project file: in the wheel, in the checkout, else below the working directory."""
    if (PACKAGE / relative).exists():
        return str(PACKAGE / relative)
    home = CHECKOUT if (CHECKOUT / "pyproject.toml").is_file() else Path.cwd()
    return str(home / relative)


def expand_home(name: str, value: str) -> Path:
    """The path given by a setting, with ``~`` and ``~user`` expanded; it may be relative.

    Raises:
        BookclsError: If there is no such user, or no home directory.
    """
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        user = Path(value).parts[0]
        raise BookclsError(
            f"{name}={value}: {user} is not the home directory of a user of this machine. Write "
            f"the path in full, or ./{value} for a folder of that name."
        ) from error


def full_path(name: str, value: str) -> Path:
    """The absolute path given by a setting, with ``~`` expanded.

    Raises:
        BookclsError: If there is no such home, or links form a cycle.
    """
    try:
        return expand_home(name, value).resolve()
    except (RuntimeError, OSError, ValueError) as error:
        raise BookclsError(f"{name}={value}: {error}.") from error


def refuse_inside(output: Path, root: Path) -> None:
    """Refuses an output folder among the photos; both paths are absolute.

    Raises:
        BookclsError: If ``output`` is ``root`` or is below it.
    """
    if output.is_relative_to(root):
        raise BookclsError(
            f"output={output} is inside data.root: give a folder outside it, so that your files "
            "are not mixed with new ones."
        )


MAX_YAML = 256 * 2**10
"""Bytes of settings; a run has about four thousand."""
MAX_DEPTH = 20


def check_yaml(path: Path, *, interpolations: bool = False) -> str:
    """Reads settings that a stranger may have written, and refuses what is more than values.

    An alias may stand for a billion values, and an interpolation for a variable of the
    environment. What bookcls writes has neither.

    Args:
        path: A yaml file.
        interpolations: Whether the file may contain them; nothing in it is then resolved.

    Returns:
        Its text.

    Raises:
        BookclsError: If it contains an alias, an anchor or an interpolation, or is too large.
    """
    if path.stat().st_size > MAX_YAML:
        raise BookclsError(
            f"{path} has {path.stat().st_size:,} bytes, more than settings ever have "
            f"({MAX_YAML:,}): it is not from bookcls."
        )
    text, depth = path.read_text(encoding="utf-8"), 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        found = ""
        if isinstance(event, yaml.AliasEvent):
            found = f"the alias *{event.anchor}"
        elif isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            found = f"the anchor &{event.anchor}"
        elif isinstance(event, yaml.ScalarEvent) and "${" in event.value and not interpolations:
            found = f"the interpolation {event.value[:80]}"
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            found = f"settings {depth} levels deep"
        if found:
            raise BookclsError(
                f"{path}, line {event.start_mark.line + 1}: {found} is not allowed, because this "
                "file may be a stranger's. Write the value itself."
            )
    return text


def read_config(path: Path, *, interpolations: bool = False) -> DictConfig:
    """Reads a run's config.yaml.

    Args:
        path: The file.
        interpolations: See :func:`check_yaml`.

    Raises:
        BookclsError: If it is damaged, or contains more than values.
    """
    try:
        cfg = OmegaConf.create(check_yaml(path, interpolations=interpolations))
    except (yaml.YAMLError, OSError, ValueError, OmegaConfBaseException) as error:
        raise BookclsError(f"{path} is damaged ({' '.join(str(error).split())[:120]}).") from error
    except AssertionError:  # OmegaConf's for a lone number
        cfg = None
    if not isinstance(cfg, DictConfig):
        raise BookclsError(f"{path} is damaged: it contains no settings.")
    return cfg


def register_resolvers() -> None:
    """Makes ``${if:condition,a,b}`` and ``${project:path}`` available in conf/."""
    OmegaConf.register_new_resolver("if", lambda cond, a, b: a if cond else b, replace=True)
    OmegaConf.register_new_resolver("project", project_path, replace=True)


def to_yaml(config: object) -> str:
    """Converts a dataclass of settings to yaml."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


HINTS = {
    "data.root": "data.root=DIR, the folder of your photos",
    "ckpt": "ckpt=RUN, a run folder or a .ckpt file",
    "images": "images=DIR, a folder of photos, a photo, or a glob in quotes",
}


def to_dataclass(cfg: DictConfig, schema: type[T]) -> T:
    """Converts a composed configuration to the dataclass that mirrors it.

    Raises:
        BookclsError: For a missing value, a wrong type, or a value outside its range.
    """
    merged = OmegaConf.merge(OmegaConf.structured(schema), cfg)
    missing = sorted(OmegaConf.missing_keys(merged))
    if missing:
        wanted = "; ".join(HINTS.get(key, f"{key}=...") for key in missing)
        raise BookclsError(f"not set: {', '.join(missing)}. Give {wanted}.")
    value: Any = OmegaConf.to_object(merged)
    assert isinstance(value, schema)
    return value
