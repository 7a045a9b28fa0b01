"""Finds conf/, and converts a composed configuration to dataclasses."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from omegaconf import DictConfig, OmegaConf

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


def read_config(path: Path) -> DictConfig:
    """Reads a run's config.yaml.

    Raises:
        BookclsError: If it is damaged.
    """
    try:
        cfg = OmegaConf.load(path)
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise BookclsError(f"{path} is damaged ({' '.join(str(error).split())[:120]}).") from error
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
