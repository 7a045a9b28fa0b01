"""Versions, machine and code, for environment.json."""

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bookcls import __version__

PACKAGES = (
    "torch",
    "torchvision",
    "pytorch-lightning",
    "torchmetrics",
    "hydra-core",
    "albumentations",
    "imbalanced-learn",
    "opencv-python-headless",
    "pillow",
    "numpy",
)
CODE = ("src/bookcls", "conf")
"""The code that a result depends on; other commits do not affect whether runs compare."""


def collect_environment() -> dict[str, Any]:
    """Collects the versions, machine and code that a result depends on."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "missing"
    return {
        "bookcls": __version__,
        "git_commit": git_commit(),
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "versions": versions,
    }


def git_commit() -> str | None:
    """Last commit of the checkout that touched ``CODE``, with "+changes" if there are any since.

    None outside a checkout.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit, status = (
            subprocess.run(
                ["git", "-C", str(root), *args, "--", *CODE],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            for args in (
                ["log", "-1", "--format=%H"],
                ["status", "--porcelain", "--untracked-files=no"],
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+changes" if status else "") if commit else None


def is_first_process() -> bool:
    """Whether this is the main process; in a distributed run, the one with rank 0."""
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in ranks)


def python_command() -> str:
    """The running interpreter, as the user would type it in this folder."""
    try:
        executable = Path(sys.executable).relative_to(Path.cwd())
    except ValueError:
        executable = Path(sys.executable)
    return shlex.quote(str(executable))


def print_loading() -> None:
    """Prints that torch is loading, which takes seconds; call it just before the first import."""
    if "torch" not in sys.modules and is_first_process():
        print("loading torch", flush=True)
