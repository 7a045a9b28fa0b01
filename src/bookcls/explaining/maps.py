"""Class activation maps of VGG16 with pytorch-grad-cam, including their energy before scaling."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytorch_grad_cam as library
import torch
from pytorch_grad_cam import ablation_cam, score_cam
from pytorch_grad_cam.utils.model_targets import (
    ClassifierOutputSoftmaxTarget,
    ClassifierOutputTarget,
)
from torch import Tensor, nn

from bookcls.models.layers import CONV_INDEX, POOL_INDEX
from bookcls.models.vgg16 import VGG16

Map = npt.NDArray[np.float32]
NOTHING = 1e-6
"""A map is empty if its peak is below this value, or below ``AGAINST`` times the strongest evidence
against the class: scaled to the full range, it would only show rounding errors."""
AGAINST = 0.01

LIBRARY: dict[str, type[Any]] = {
    "gradcam": library.GradCAM,
    "gradcam++": library.GradCAMPlusPlus,
    "layercam": library.LayerCAM,
    "hirescam": library.HiResCAM,
    "xgradcam": library.XGradCAM,
    "elementwise": library.GradCAMElementWise,
    "eigencam": library.EigenCAM,
    "eigengradcam": library.EigenGradCAM,
    "scorecam": library.ScoreCAM,
    "ablationcam": library.AblationCAM,
}

for module in (ablation_cam, score_cam):
    # Their progress bars, one per photo, would disrupt ours.
    vars(module)["tqdm"] = SimpleNamespace(tqdm=iter)


@dataclass(frozen=True)
class HeatMap:
    """The evidence for a class in a photo.

    Attributes:
        map: float32 (size, size) in [0, 1]: the strongest evidence is 1; all 0 if there is none.
        energy: Sum of the positive raw values over the grid of the deepest layer.
        grid: Rows and columns of that grid.
        prob: Probability of the class at the map's input size, which may differ from training.
        empty: Whether there was no evidence.
    """

    map: Map
    energy: float
    grid: tuple[int, int]
    prob: float
    empty: bool


class _Raw:
    """Returns each layer's signed map before the library clips, scales and enlarges it."""

    def compute_cam_per_layer(
        self: Any,
        input_tensor: Tensor,
        targets: list[Any],
        eigen_smooth: bool,
    ) -> list[Map]:
        store = self.activations_and_grads
        activations = [a.numpy() for a in store.activations[: len(self.target_layers)]]
        grads = [g.numpy() for g in store.gradients] or [np.zeros_like(a) for a in activations]
        return [
            np.asarray(self.get_cam_image(input_tensor, layer, targets, a, g, eigen_smooth))
            for layer, a, g in zip(self.target_layers, activations, grads, strict=True)
        ]

    def aggregate_multi_layers(self, maps: list[Map]) -> list[Map]:
        return maps


def find_module(model: VGG16, layer: str) -> nn.Module:
    """Finds the module that computes a layer's output.

    For a convolution, this is its ReLU: in Keras, the two are one layer.
    """
    if layer in POOL_INDEX:
        return model.features[POOL_INDEX[layer]]
    return model.features[CONV_INDEX[layer] + 1]


def raw_maps(
    model: VGG16, images: Tensor, classes: Sequence[int], method: str, layers: Sequence[str]
) -> tuple[list[Map], Tensor]:
    """Computes signed maps, before any scaling.

    Args:
        model: In evaluation mode; no parameter needs to be trainable, and none gets a gradient.
        images: float32 (N, 3, H, W), normalised, on the model's device.
        classes: The class to explain for each image.
        method: One of :data:`bookcls.explaining.settings.METHODS`.
        layers: Names of layers.

    Returns:
        For each layer, from input to output, float32 (N, h, w); and the logits, float32 (N, C).
    """
    indices = {**CONV_INDEX, **POOL_INDEX}
    modules = [find_module(model, name) for name in sorted(layers, key=indices.__getitem__)]
    model.requires_grad_(False)
    # The gradient has to reach the layers even if every parameter is frozen.
    images = images.detach().contiguous(memory_format=torch.channels_last).requires_grad_(True)
    # Ablation-CAM divides by the score: a negative logit would invert the map.
    target = ClassifierOutputSoftmaxTarget if method == "ablationcam" else ClassifierOutputTarget
    cam = type("Raw", (_Raw, LIBRARY[method]), {})(model, modules)
    try:
        with torch.enable_grad():
            maps: list[Map] = cam(images, [target(k) for k in classes])
    finally:
        cam.activations_and_grads.release()
    if method in ("eigencam", "eigengradcam"):
        # The sign of a principal component is arbitrary: the larger peak is taken for the object.
        maps = [np.stack([m if m.max() >= -m.min() else -m for m in layer]) for layer in maps]
    logits = cam.outputs.detach().float().cpu()
    return [np.nan_to_num(layer).astype(np.float32) for layer in maps], logits


def heat_maps(
    model: VGG16, images: Tensor, classes: Sequence[int], method: str, layers: Sequence[str]
) -> list[HeatMap]:
    """Computes maps at the size of the images; those of several layers are normalised and averaged.

    Args: as :func:`raw_maps`.

    Returns:
        One map per image.
    """
    size = images.shape[-1]
    raw, logits = raw_maps(model, images, classes, method, layers)
    probs = logits.softmax(dim=1)
    return [
        blend([layer[i] for layer in raw], size, float(probs[i, k])) for i, k in enumerate(classes)
    ]


def blend(grids: Sequence[Map], size: int, prob: float) -> HeatMap:
    """Combines the signed grids of several layers, the deepest last, into one map."""
    deepest = grids[-1]
    peak = float(deepest.max(initial=0.0))
    energy = float(np.maximum(deepest, 0).sum())
    grid = (deepest.shape[0], deepest.shape[1])
    if peak < max(NOTHING, AGAINST * -float(deepest.min(initial=0.0))):
        return HeatMap(np.zeros((size, size), np.float32), energy, grid, prob, empty=True)
    total = np.mean([enlarge(np.maximum(g, 0), size) for g in grids], axis=0)
    return HeatMap(np.asarray(total / total.max(), np.float32), energy, grid, prob, empty=False)


def enlarge(grid: Map, size: int) -> Map:
    """Resizes a non-negative grid to a map, float32 (size, size), with peak 1 (or all 0)."""
    large = cv2.resize(np.ascontiguousarray(grid), (size, size), interpolation=cv2.INTER_LINEAR)
    peak = float(large.max())
    return np.asarray(large / peak if peak > 0 else large, np.float32)
