"""Composes settings with Hydra without a command line, and restores Hydra's global state."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.version import VersionBase
from omegaconf import open_dict
from omegaconf.basecontainer import BaseContainer
from omegaconf.errors import OmegaConfBaseException

from bookcls.command.messages import explain_error
from bookcls.config import conf_dir, full_path, register_resolvers, to_dataclass
from bookcls.errors import BookclsError

T = TypeVar("T")


def compose(name: str, schema: type[T], overrides: Sequence[str]) -> tuple[T, Path]:
    """Reads conf/<name>.yaml with overrides, as the verb of that name does.

    Args:
        name: Name of the verb.
        schema: Dataclass that mirrors the configuration.
        overrides: In Hydra's grammar, see :func:`bookcls.command.overrides.quote_overrides`.

    Returns:
        The settings, and the output folder that they specify.

    Raises:
        BookclsError: For an unknown setting, a wrong type or a value out of range.
    """
    with isolated_hydra():
        register_resolvers()
        try:
            with initialize_config_dir(str(conf_dir(name)), version_base="1.3"):
                cfg = hydra_compose(name, list(overrides), return_hydra_config=True)
                output = full_path("hydra.run.dir", str(cfg.hydra.run.dir))
                with open_dict(cfg):
                    del cfg["hydra"]
                return to_dataclass(cfg, schema), output
        except (HydraException, OmegaConfBaseException) as error:
            raise BookclsError(explain_error(error, name)) from error


@contextmanager
def isolated_hydra() -> Iterator[None]:
    """Isolates the block from a Hydra that is already initialised, such as an application's."""
    outer, base = GlobalHydra.instance(), VersionBase.instance().getbase()
    hydra, resolvers = outer.hydra, dict(BaseContainer._resolvers)
    outer.clear()
    try:
        yield
    finally:
        # Hydra itself would restore a copy.
        GlobalHydra.set_instance(outer)
        outer.hydra = hydra
        VersionBase.instance().version_base = base
        # An application may have registered other resolvers under the same names.
        BaseContainer._resolvers = resolvers
