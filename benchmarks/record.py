"""What a figure leaves: a table for a person, json with the machine for the record."""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.measuring import Ratio
from bookcls.environment import collect_environment
from bookcls.models.precision import choose_precision
from bookcls.storage.files import write_json

RESULTS = Path(__file__).parent / "results"


def options(figure: str, doc: str | None, **extra: dict[str, Any]) -> argparse.Namespace:
    """Reads the command line of a figure: ``--toy``, ``--repeats``, ``--output`` and its own.

    Args:
        figure: Its name.
        doc: Says what it measures.
        **extra: Further options, name -> what ``add_argument`` takes.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{figure}", description=doc)
    parser.add_argument("--toy", action="store_true", help="seconds; the numbers mean nothing")
    parser.add_argument("--repeats", type=int, help="turns of each side that count")
    parser.add_argument("--output", type=Path, help="json file; default benchmarks/results/")
    for name, kwargs in extra.items():
        parser.add_argument(f"--{name.replace('_', '-')}", **kwargs)
    given = parser.parse_args()
    given.figure = figure
    folder = RESULTS / "toy" if given.toy else RESULTS
    given.output = given.output or folder / f"{figure}.json"
    given.repeats = given.repeats or (1 if given.toy else 5)
    return given


def machine() -> dict[str, Any]:
    """What the figures depend on: processor, cores, memory, load, versions, arithmetic."""
    known = collect_environment()
    del known["command"]  # ours says it without this machine's paths
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return known | {
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "threads": torch.get_num_threads(),
        "memory_gb": memory_gb(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "gpu": gpu,
        "precision": choose_precision("auto"),
    }


def processor() -> str:
    """The processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def memory_gb() -> float | None:
    """Physical memory in 10^9 bytes."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)


def row(
    ratio: Ratio, bar: float | None = None, *, at_most: bool = False, **more: object
) -> dict[str, Any]:
    """A row of a figure: what was compared, the ratio with its range, the bar and the verdict."""
    cells: dict[str, Any] = {**more, "ratio": ratio.median, "low": ratio.low, "high": ratio.high}
    if bar is not None:
        cells |= {"bar": f"{'<=' if at_most else '>='} {bar:g}"}
        cells |= {"verdict": ratio.verdict(bar, at_most=at_most)}
    return cells


def record(
    given: argparse.Namespace,
    title: str,
    rows: Sequence[Mapping[str, Any]],
    started: float,
    **more: object,
) -> None:
    """Prints the table and writes the json.

    Args:
        given: What :func:`options` returned.
        title: What the rows say.
        rows: Column -> value; what a row lacks is shown as ``-``.
        started: ``time.monotonic()`` at the start.
        **more: What else the json holds: each turn's seconds, say.
    """
    about = machine()
    table = Table(title=f"{title}{' (toy: the numbers mean nothing)' if given.toy else ''}")
    table.title_justify = "left"
    columns = list(dict.fromkeys(name for line in rows for name in line))
    for name in columns:
        numbers = all(isinstance(line.get(name, 0), (int, float)) for line in rows)
        table.add_column(name, justify="right" if numbers else "left")
    for line in rows:
        table.add_row(*(shown(line.get(name)) for name in columns))
    terminal = Console().is_terminal
    console = Console(highlight=False, width=None if terminal else 150)
    console.print(table)
    seconds = round(time.monotonic() - started, 1)
    where = f"{about['processor']}, {about['cores']} cores, {about['precision']}"
    load = "unknown" if about["load"] is None else f"{about['load']:.1f}"
    console.print(f"{about['gpu'] or where}; load {load}; {seconds:.0f} s")
    whole = {
        "title": title,
        "command": " ".join(["python -m", f"benchmarks.{given.figure}", *sys.argv[1:]]),
        "toy": given.toy,
        "seconds": seconds,
        "machine": about,
        "rows": list(rows),
        **more,
    }
    write_json(given.output, json.loads(json.dumps(whole, default=str)))


def shown(value: object) -> str:
    """A cell of the table."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
    return str(value)
