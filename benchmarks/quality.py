"""How good the recipes are on folders of photos, against fastai and a plain loop.

Every side trains on each folder with each seed, in a process of its own, and its test photos are
scored once. A peer trains for as many seconds of CPU time as ``experiment=laptop`` took on the same
folder, from start to table, so other work on the machine changes nothing. Finished results are kept
in ``benchmarks/results/quality.csv``, so an interrupted comparison continues where it stopped.
"""

import argparse
import csv
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.children import environ
from benchmarks.record import RESULTS
from bookcls.features.extract import CACHE

RECIPES = {
    "laptop": ["experiment=laptop", "model.weights={weights}"],
    "sample": ["experiment=sample"],
    "best": ["experiment=best", "model.weights={weights}"],
}
"""Ours: what follows ``python -m bookcls.train``."""
PEERS = ("fastai", "plain")
COLUMNS = ("folder", "side", "seed", "split", "n", "floor", "acc", "strict_acc", "nll", "seconds",
           "cpu_seconds")  # fmt: skip


def main() -> None:
    """Measures what is missing, then prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, help="datasets with train/ and test*/")
    parser.add_argument("--weights", default="keras", help="model.weights of all sides")
    parser.add_argument(
        "--sides", nargs="+", default=["laptop", *PEERS], choices=[*RECIPES, *PEERS]
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--cpu-seconds", type=float, help="training time of a peer, if not laptop's"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "quality.csv")
    parser.add_argument("--table", action="store_true", help="print the table of earlier results")
    given = parser.parse_args()
    rows = read(given.output)
    if not given.table:
        done = {(row["folder"], row["side"], int(row["seed"])) for row in rows}
        for seed in given.seeds:
            for folder in given.folders:
                for side in given.sides:
                    if (folder.name, side, seed) not in done:
                        seconds = given.cpu_seconds or time_of("laptop", folder.name, rows)
                        rows += measure(folder, side, seed, given.weights, seconds)
                        write(given.output, rows)
    print_table(rows)


def time_of(side: str, folder: str, rows: Sequence[dict[str, Any]]) -> float:
    """Median CPU seconds of a side on a folder; 0 if it has not been measured."""
    found = [row for row in rows if (row["folder"], row["side"]) == (folder, side)]
    return statistics.median(float(row["cpu_seconds"]) for row in found) if found else 0.0


def measure(
    folder: Path, side: str, seed: int, weights: str, seconds: float
) -> list[dict[str, Any]]:
    """Trains and tests one side; a row for each test split.

    Raises:
        SystemExit: If a peer should train as long as ``laptop``, which has not been measured.
        subprocess.CalledProcessError: If it fails.
    """
    if side in PEERS and not seconds:
        raise SystemExit(f"{folder.name}: measure laptop first, or give --cpu-seconds")
    print(f"{folder.name}, {side}, seed {seed}", flush=True)
    began, cpu_began = time.perf_counter(), children_cpu()
    with tempfile.TemporaryDirectory() as home:
        output = Path(home) / "run"
        if side in RECIPES:
            words = [word.format(weights=weights) for word in RECIPES[side]]
            words += ["data=folder", f"data.root={folder.absolute()}", f"seed={seed}"]
            command = ["bookcls.train", *words, f"hydra.run.dir={output}"]
        else:
            options = [str(folder.absolute()), str(seed), weights, str(seconds), str(output)]
            command = ["benchmarks.quality_sides", side, *options]
        subprocess.run(
            [sys.executable, "-m", *command],
            check=True,
            env=environ() | {CACHE: ""},  # features that an earlier run computed would save it time
            stdout=sys.stderr,
        )
        taken, cpu_taken = time.perf_counter() - began, children_cpu() - cpu_began
        metrics = json.loads((output / "metrics.json").read_text())
    rows = []
    for kind, name in (("test", side), ("probe", f"probe of {side}")):
        splits = [key.removesuffix("_nll") for key in metrics if key.endswith("_nll")]
        for key in splits:
            if key.startswith(f"{kind}/"):
                scores = {column: metrics.get(f"{key}_{column}", "") for column in COLUMNS}
                known = {"folder": folder.name, "side": name, "seed": seed}
                split = key.removeprefix(f"{kind}/")
                times = {"seconds": round(taken, 1), "cpu_seconds": round(cpu_taken, 1)}
                rows.append({**scores, **known, "split": split, **times})
    return rows


def children_cpu() -> float:
    """Seconds of CPU time of all processes that this one has waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def read(path: Path) -> list[dict[str, Any]]:
    """Earlier results; none if there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Replaces the results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Prints, in Markdown, the mean over seeds with each seed's accuracy behind it."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["folder"], row["split"], row["side"]), []).append(row)
    print("\n| folder | split | floor | side | accuracy | seeds | strict | NLL | seconds | CPU |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for (folder, split, side), found in sorted(groups.items()):
        acc, strict, nll, seconds, cpu = (
            [float(row[column]) for row in found if row[column] != ""]
            for column in ("acc", "strict_acc", "nll", "seconds", "cpu_seconds")
        )
        strict_mean = f"{statistics.mean(strict):.2f}" if strict else ""
        print(
            f"| {folder} | {split} | {float(found[0]['floor']):.2f} | {side} "
            f"| {statistics.mean(acc):.3f} | {' '.join(f'{value:.2f}' for value in acc)} "
            f"| {strict_mean} | {statistics.mean(nll):.2f} | {statistics.median(seconds):.0f} "
            f"| {statistics.median(cpu):.0f} |"
        )


if __name__ == "__main__":
    main()
