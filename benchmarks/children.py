"""Other processes: our commands, timed by their lines, and children that measure themselves."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bookcls.config import CHECKOUT


def environ() -> dict[str, str]:
    """This process's environment, lines at once, bytecode kept as on a user's machine."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    path = os.pathsep.join(filter(None, [str(CHECKOUT), kept.get("PYTHONPATH", "")]))
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": path}


def python(*arguments: str) -> float:
    """Seconds from start to end of a Python process.

    Raises:
        subprocess.CalledProcessError: If it fails.
    """
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environ())
    return time.perf_counter() - began


def timed_lines(arguments: Sequence[str]) -> tuple[list[tuple[float, str]], float]:
    """Runs a Python process and notes when it printed what.

    Returns:
        Seconds since the start and the line, for each line; seconds of the whole.

    Raises:
        subprocess.CalledProcessError: If it fails.
    """
    began = time.perf_counter()
    lines = []
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, text=True, env=environ()
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append((time.perf_counter() - began, line.rstrip()))
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(arguments))
    return lines, time.perf_counter() - began


def measured(module: str, *arguments: str) -> dict[str, Any]:
    """What a child process of a benchmark prints as its last line, json.

    Raises:
        subprocess.CalledProcessError: If it fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        check=True, stdout=subprocess.PIPE, text=True, env=environ(),
    )  # fmt: skip
    value: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return value


def reset_peak() -> None:
    """Lets the peak begin at what the process holds now, where Linux allows it."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> float:
    """The most memory that this process has held, in 10^6 bytes."""
    held = memory_mb(os.getpid())
    assert held is not None
    return held[1]


def memory_mb(pid: int) -> tuple[float, float] | None:
    """The memory that a process holds and the most that it has held, in 10^6 bytes.

    Elsewhere than on Linux the second is known of this process only, and the first stands for it.
    None if the process is gone.
    """
    if Path("/proc/self/status").exists():
        # Linux lets a child's ru_maxrss begin with its parent's.
        try:
            text = Path(f"/proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        lines = dict(line.split(":", 1) for line in text.splitlines())
        if "VmRSS" not in lines:  # it has just ended
            return None
        now, peak = (int(lines[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))
        return now, peak
    done = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True)
    if not done.stdout.strip():
        return None
    now = int(done.stdout) * 1024 / 1e6
    if pid != os.getpid():
        return now, now
    import resource  # Unix only

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return now, peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
