"""Memory of a training step against freeze_to: frozen layers keep no activations."""

import json
import sys
import time
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from benchmarks.children import measured, peak_mb, reset_peak
from benchmarks.record import options, record
from benchmarks.setting import narrow, settings
from benchmarks.step import BareStep
from bookcls.models.precision import choose_precision
from bookcls.training.recipe import build
from bookcls.training.run import choose_start

POINTS = ("null", "block2_conv1", "block3_conv1", "block4_conv1", "block5_conv1", "head")


def saved_mb(step: BareStep, *, frozen: bool) -> float:
    """What autograd keeps for the backward pass besides the weights, in 10^6 bytes.

    Args:
        step: Its model and batch.
        frozen: Count what the frozen layers keep, else the whole model.
    """
    weights = {p.data_ptr() for p in step.model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    model = step.model
    counted = model.features[: model.first_trained] if frozen else model
    with (
        saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast(step.device.type, torch.bfloat16, enabled=step.bf16),
    ):
        # Held until the count is done, so that no storage's address is used again.
        held = counted(step.images)
    del held
    return sum(kept.values()) / 1e6


def child(freeze_to: str, image_size: str, toy: str) -> dict[str, Any]:
    """One point, in a process of its own so that its peak is its own."""
    if toy == "toy":
        narrow()
    config = settings(f"model.freeze_to={freeze_to}", f"data.image_size={image_size}")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    classifier = build(
        config, [str(i) for i in range(6)], start=choose_start(config), probe_epochs=0
    )
    step = BareStep(classifier.to(device), config, choose_precision("auto"))
    step()  # allocates what stays: the optimizer's averages, the libraries' workspaces
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated() / 1e6
    else:
        reset_peak()
        before = peak_mb()
    step()
    peak = (torch.cuda.max_memory_allocated() / 1e6 if device == "cuda" else peak_mb()) - before
    return {
        "peak": peak,
        "frozen": saved_mb(step, frozen=True),
        "saved": saved_mb(step, frozen=False),
    }


def main() -> None:
    """A child for each point."""
    started = time.monotonic()
    given = options(
        "memory", __doc__, image_size={"type": int, "default": 128},
        points={"nargs": "+", "default": list(POINTS)},
    )  # fmt: skip
    size = 32 if given.toy else given.image_size
    points = ["null", "block4_conv1", "head"] if given.toy else given.points
    toy = "toy" if given.toy else "whole"
    # Once each: what autograd keeps is counted, not timed, and does not vary.
    found = {p: measured("benchmarks.memory", "child", p, str(size), toy) for p in points}
    first = found[points[0]]["saved"]
    rows = [
        {
            "freeze_to": point,
            "px": size,
            "kept by frozen layers, MB": numbers["frozen"],
            "kept for backward, MB": numbers["saved"],
            f"of {points[0]}": numbers["saved"] / first,
            "peak of a step beyond what it finds, MB": numbers["peak"],
            "bar": "frozen layers keep 0",
            "verdict": "met" if numbers["frozen"] == 0 else "missed",
        }
        for point, numbers in found.items()
    ]
    record(given, "memory of a training step, batch 16", rows, started, turns=found)


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        print(json.dumps(child(*sys.argv[2:])))
    else:
        main()
