"""Writes the network as an ONNX or torch.export file, and runs either."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bookcls.errors import BookclsError
from bookcls.exporting.photos import Array

KEY = "bookcls"
"""Key of the json metadata in the model's properties (ONNX) or extra files (torch)."""
INPUT, OUTPUT = "images", "probs"
BATCH = 4
"""Batch size of a check. A smaller last batch proves that the batch size is dynamic."""


class Probabilities(nn.Module):
    """Normalised images, float32 (N, 3, H, W) -> probabilities, float32 (N, C)."""

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        """Copies a network that returns logits; it stores weights and computes in ``dtype``."""
        super().__init__()
        # With channels_last weights, the exporter would add transpositions to the graph.
        copied = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
        self.model = copied.to(dtype)
        self.dtype = dtype

    def forward(self, images: Tensor) -> Tensor:
        """Computes the probabilities of a batch."""
        logits: Tensor = self.model(images.to(self.dtype))
        return logits.float().softmax(dim=1)


def trace(model: nn.Module, image_size: int, dtype: torch.dtype) -> torch.export.ExportedProgram:
    """Traces the graph from images to probabilities, for any batch size."""
    example = torch.zeros(2, 3, image_size, image_size)
    with torch.no_grad():
        program = torch.export.export(
            Probabilities(model, dtype).eval(),
            (example,),
            dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
        )
    for module in program.graph_module.modules():
        for node in getattr(getattr(module, "graph", None), "nodes", ()):
            node.meta.pop("stack_trace", None)  # contains paths of this machine
    return program


def write_onnx(
    model: nn.Module, path: Path, image_size: int, dtype: torch.dtype = torch.float32
) -> None:
    """Writes an ONNX file, weights included.

    Raises:
        BookclsError: If torch's exporter fails.
    """
    try:
        program = torch.onnx.export(
            trace(model, image_size, dtype),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamo=True,
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:
        message = str(error).strip().partition("\n")[0]
        raise BookclsError(
            f"torch's ONNX exporter failed ({message}). Try another version of torch or "
            "onnxscript; format=torch needs neither onnx nor onnxscript."
        ) from error
    assert program is not None
    program.save(path, external_data=False)


def describe_onnx(source: Path, path: Path, metadata: dict[str, Any]) -> None:
    """Copies an ONNX file, replacing the exporter's metadata with ours."""
    import onnx

    model = onnx.load(source)
    graph = model.graph
    for item in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        item.ClearField("metadata_props")
    graph.ClearField("metadata_props")
    onnx.helper.set_model_props(model, {KEY: json.dumps(metadata)})
    onnx.save(model, path)


def run_onnx(path: Path, images: Array) -> Array:
    """Probabilities (N, C) by onnxruntime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run([OUTPUT], {INPUT: part})[0] for part in batches(images)])


def write_torch(model: nn.Module, path: Path, image_size: int, metadata: dict[str, Any]) -> None:
    """Writes a torch.export file, weights included."""
    program = trace(model, image_size, torch.float32)
    with path.open("wb") as file:  # torch complains about file names with another suffix
        torch.export.save(program, file, extra_files={KEY: json.dumps(metadata)})


def run_torch(path: Path, images: Array) -> Array:
    """Probabilities (N, C) by a torch.export file."""
    with path.open("rb") as file:
        module = torch.export.load(file).module()
    with torch.no_grad():
        return np.concatenate([module(torch.from_numpy(part)).numpy() for part in batches(images)])


@torch.no_grad()
def run_original(model: nn.Module, images: Array) -> Array:
    """Probabilities (N, C) by the network itself, in float32 on the CPU."""
    parts = [model(torch.from_numpy(part)).softmax(dim=1).numpy() for part in batches(images)]
    return np.concatenate(parts)


def batches(images: Array) -> Iterator[Array]:
    """``BATCH`` images at a time."""
    for start in range(0, len(images), BATCH):
        yield images[start : start + BATCH]
