"""What only a GPU is fast enough for, in parts that can be resumed; nothing is downloaded.

``python -m benchmarks.gpu`` works for --minutes, then stops; run it again to resume it, until each
part is done. The photos are the real books where they were fetched, else the sample; the weights
are those that ship.
"""

import json
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.children import environ
from benchmarks.measuring import alternate, now, ratio
from benchmarks.record import options, record, row
from benchmarks.setting import narrow, photos, settings
from benchmarks.step import BareStep
from bookcls import runs
from bookcls.environment import git_commit
from bookcls.storage.files import read_json, write_json
from bookcls.sweeping.jobs import read_records
from bookcls.training.recipe import build
from bookcls.training.run import choose_start

PARTS = ("throughput", "step", "article", "ablation", "freeze")
SEEDS = "seed=0,1,2,3,4"
ARTICLE = ("experiment=article", "model.weights=rendered")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


Part = Callable[[Namespace, float], list[dict[str, Any]]]
"""Takes the options and the deadline (time.monotonic), returns rows."""


class NotDoneError(Exception):
    """The part needs another call."""


def matmul(side: int, times: int) -> Callable[[], float]:
    """Seconds per FLOP of square bf16 products: the machine's roofline."""
    a, b = (torch.randn(side, side, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))

    def turn() -> float:
        began = now(DEVICE)
        for _ in range(times):
            a @ b
        return (now(DEVICE) - began) / (times * 2 * side**3)

    return turn


def graphed(step: BareStep) -> Callable[[], None]:
    """The step as one CUDA graph."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def throughput(given: Namespace) -> list[dict[str, Any]]:
    """Share of the roofline that a training step reaches: eager, compiled, as a CUDA graph."""
    rows = []
    cells = [(32, 8)] if given.toy else [(224, 16), (224, 128), (128, 16), (128, 128)]
    for size, batch in cells:
        config = settings(f"data.image_size={size}", f"data.batch_size={batch}")
        classifier = build(
            config, [str(i) for i in range(6)], start=choose_start(config), probe_epochs=0
        )
        classifier.to(DEVICE)
        eager = BareStep(classifier, config, "bf16-mixed")
        with FlopCounterMode(display=False) as counter:
            eager()
        flop = counter.get_total_flops()
        steps: dict[str, Callable[[], None]] = {"eager": eager}
        if DEVICE == "cuda":
            compiled = BareStep(classifier, config, "bf16-mixed")
            compiled.model.compile()
            steps["torch.compile"] = compiled
            steps["CUDA graph"] = graphed(
                BareStep(classifier, config, "bf16-mixed", capturable=True)
            )
        times = 1 if given.toy else max(10, 4000 // batch)

        def side(step: Callable[[], None], times: int, flop: int) -> Callable[[], float]:
            def turn() -> float:
                began = now(DEVICE)
                for _ in range(times):
                    step()
                return (now(DEVICE) - began) / (times * flop)

            return turn

        roof = {"roofline": matmul(256 if given.toy else 8192, 1 if given.toy else 100)}
        sides = roof | {name: side(step, times, flop) for name, step in steps.items()}
        taken = alternate(sides, given.repeats)
        for name in steps:
            seconds = sorted(taken[name])[len(taken[name]) // 2] * flop
            compared = ratio(taken["roofline"], taken[name])
            rows.append(row(compared, px=size, batch=batch, what=f"{name} / roofline",
                            value=f"{batch / seconds:.0f} images/s"))  # fmt: skip
    return rows


def within(deadline: float, *command: str) -> None:
    """Runs a Python command that can be resumed, for the time that is left.

    Raises:
        NotDoneError: If time ran out; the command was stopped as Ctrl+C stops it.
        subprocess.CalledProcessError: If it failed.
    """
    process = subprocess.Popen([sys.executable, *command], env=environ())
    try:
        code = process.wait(timeout=max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise NotDoneError from None
    if code:
        raise subprocess.CalledProcessError(code, command)


def words(given: Namespace, *more: str) -> list[str]:
    """Overrides of a run of the study's size; those that follow win."""
    toy = ["data.image_size=32", "trainer=smoke", "trainer.accelerator=cpu"]
    device = toy if given.toy else ["trainer=gpu"]
    return [f"data.root={photos()}", *ARTICLE, *more, *device]


def step(given: Namespace, deadline: float) -> list[dict[str, Any]]:
    """The bare step against our loop; see benchmarks/step.py."""
    output = given.output.with_name("step_gpu.json")
    toy = ["--toy"] if given.toy else []
    within(deadline, "-m", "benchmarks.step", "--output", str(output), *toy)
    found = read_json(output)["rows"]
    return [
        {
            "what": f"our loop / bare step, {line['freeze_to']}, cached views {line['cached']}",
            "batch": 16,
        }
        | {k: line[k] for k in ("px", "ratio", "low", "high", "bar", "verdict")}
        for line in found
    ]


def article(given: Namespace, deadline: float) -> list[dict[str, Any]]:
    """The study's run: 15 epochs of the head, 100 of fine-tuning, 224 px."""
    run = given.runs / "article"
    if not runs.is_finished(run):
        if (run / runs.LAST).is_file():
            within(deadline, "-m", "bookcls.train", f"resume={run}")
        else:
            if run.exists():  # stopped before its first checkpoint
                run.rename(run.with_name(f"article_stopped_{int(time.time())}"))
            more = words(given, "aug=all", "model.pretrained=true", f"hydra.run.dir={run}")
            within(deadline, "-m", "bookcls.train", *more)
    metrics = read_json(run / runs.METRICS)
    shown = {k: v for k, v in metrics.items() if k.endswith("_acc") or k == "seconds"}
    return [{"what": f"article run, {key}", "value": value} for key, value in shown.items()]


def sweep(name: str) -> Part:
    """A part that is a sweep; its report lies in its folder."""

    def part(given: Namespace, deadline: float) -> list[dict[str, Any]]:
        folder = given.runs / name
        few = ["model.pretrained=false", "aug=none,all", "seed=0"]
        if name == "freeze":
            few = ["model.freeze_to=block5_conv3,head", "seed=0", "aug=all"]
        more = few if given.toy else [SEEDS, *(["aug=all"] if name == "freeze" else [])]
        within(deadline, "-m", "bookcls.train", f"sweep={name}", f"hydra.sweep.dir={folder}",
               *words(given, *more))  # fmt: skip
        within(deadline, "-m", "bookcls.report", f"runs={folder}")
        ran = [line for line in read_records(folder) if line["outcome"] == "ran"]
        jobs = len({line["key"] for line in ran})
        seconds = sum(line["seconds"] for line in ran) / jobs
        return [{"what": f"{name}, {jobs} jobs, seconds a job", "value": seconds}]

    return part


def read_parts(path: Path, origin: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The parts that were done in the same way: rows by name.

    Args:
        path: Where they are kept, each with its origin.
        origin: Commit, device and arguments of this call.
    """
    kept = read_json(path) if path.is_file() else {}
    same = {name: part["rows"] for name, part in kept.items() if part.get("origin") == origin}
    for name in kept.keys() - same.keys():
        print(f"{name} is of another commit, device or arguments: done again")
    return same


def main() -> None:
    """Goes on with the first part that is not done."""
    started = time.monotonic()
    given = options(
        "gpu", __doc__,
        parts={"nargs": "+", "choices": PARTS, "default": list(PARTS)},
        minutes={"type": float, "default": 8.5, "help": "stop after so many: %(default)s"},
        runs={"type": Path, "default": Path("runs/gpu"), "help": "folder of the trained runs"},
    )  # fmt: skip
    given.runs = (given.runs / "toy" if given.toy else given.runs).absolute()
    if DEVICE == "cpu" and not given.toy:
        sys.exit("no CUDA device: --toy tries the script on the CPU")
    if given.toy:
        narrow()
    deadline = started + 60 * given.minutes
    parts = given.output.with_name(f"{given.output.stem}_parts.json")
    origin = {
        "commit": git_commit(),
        "device": torch.cuda.get_device_name() if DEVICE == "cuda" else DEVICE,
        "toy": given.toy,
        "repeats": given.repeats,
        "runs": str(given.runs),
    }
    done = read_parts(parts, origin)
    does: dict[str, Part] = {
        "throughput": lambda given, _: throughput(given),
        "step": step,
        "article": article,
        "ablation": sweep("ablation"),
        "freeze": sweep("freeze"),
    }
    for name in given.parts:
        if name in done:
            continue
        if time.monotonic() > deadline - 30:
            break
        print(f"{name} ...", flush=True)
        try:
            done[name] = does[name](given, deadline)
        except NotDoneError:
            print(f"{name} is not done; run the same command again to resume it")
            break
        kept = {name: {"origin": origin, "rows": rows} for name, rows in done.items()}
        write_json(parts, json.loads(json.dumps(kept)))
    left = [name for name in given.parts if name not in done]
    rows = [{"part": name} | line for name, lines in done.items() for line in lines]
    record(given, "on a GPU", rows, started, left=left)
    print(
        f"left: {', '.join(left)}; run the same command again to resume"
        if left
        else "all parts are done"
    )


if __name__ == "__main__":
    main()
