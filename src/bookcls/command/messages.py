"""Turns errors, including those of Hydra and its launchers, into readable messages."""

import difflib
import re
import sys
import traceback
from types import CodeType

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bookcls.config import conf_dir

PLUGINS = "hydra_plugins"
LAUNCHERS = (PLUGINS, "joblib", "submitit")
"""Packages that launch the processes of a sweep."""
WORKER_DEATH_ERRORS = ("TerminatedWorkerError", "UncompletedJobError")
"""Exceptions of the launchers that mean that a process died."""
IN_WORKER = re.compile(r"Caught \w+ in DataLoader worker process.*^[\w.]+Error: ", re.S | re.M)
"""The text that torch puts before an error message from a DataLoader worker."""
prefix = ""
"""Prefix of the error messages of this process; a sweep sets it to the name of its job."""


def print_error(error: Exception | str) -> None:
    """Prints an error message to stderr."""
    print(f"bookcls: error: {prefix}{str(error).strip()}", file=sys.stderr, flush=True)


def find_launcher(error: Exception) -> str | None:
    """Returns the name of the launcher plugin that raised an error; None if none did."""
    frames = traceback.walk_tb(error.__traceback__)
    modules = [str(frame.f_globals.get("__name__")).split(".") for frame, _ in frames]
    plugins = [module[1] for module in modules if module[0] == PLUGINS]
    raised = {type(error).__module__.partition(".")[0], *(module[0] for module in modules[-1:])}
    if not plugins or raised.isdisjoint(LAUNCHERS):
        return None
    return plugins[0].removeprefix("hydra_").removesuffix("_launcher")


def raised_by_hydra(error: Exception, job: CodeType) -> bool:
    """Whether Hydra raised an error before the job started; not all have a class of Hydra's own."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    root = str(frames[-1].f_globals.get("__name__")).partition(".")[0] if frames else ""
    return root in ("hydra", "omegaconf", "antlr4") and job not in (
        frame.f_code for frame in frames
    )


def explain_error(error: Exception, name: str) -> str:
    """Rewrites an error message for the user, and adds the valid choices."""
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
    siblings = [k for k in known if k.split(".")[0] == group] or known
    return f"{key} is not a setting; choose one of {', '.join(siblings)}."


def flat_keys(cfg: DictConfig, prefix: str = "") -> list[str]:
    """Returns the dotted names of all values of a configuration."""
    keys: list[str] = []
    for key in map(str, cfg):
        value = None if OmegaConf.is_missing(cfg, key) else cfg[key]
        if isinstance(value, DictConfig):
            keys += flat_keys(value, f"{prefix}{key}.")
        else:
            keys.append(f"{prefix}{key}")
    return keys
