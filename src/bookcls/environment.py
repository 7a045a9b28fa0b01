"""Versions, machine and code: what environment.json says besides the settings."""

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
"""What decides a result: a commit of anything else leaves a run comparable."""


def collect_environment() -> dict[str, Any]:
    """Versions, machine and code that a result depends on."""
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
    """True but for the helpers of a run with several processes, which the launcher numbers."""
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in ranks)


def python_command() -> str:
    """The interpreter that runs, as a person here would type it."""
    try:
        executable = Path(sys.executable).relative_to(Path.cwd())
    except ValueError:
        executable = Path(sys.executable)
    return shlex.quote(str(executable))


def print_loading() -> None:
    """Says what the seconds before torch's first import are; call it just before that."""
    if "torch" not in sys.modules and is_first_process():
        print("loading torch", flush=True)
