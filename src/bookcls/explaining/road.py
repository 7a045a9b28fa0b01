"""ROAD: whether the pixels that a map highlights matter to the model; needs no mask."""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from pytorch_grad_cam.metrics.road import ROADCombined
from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget
from torch import Tensor

from bookcls.explaining.audit import rank_pixels
from bookcls.explaining.maps import Map
from bookcls.models.vgg16 import VGG16

PERCENTILES = (20, 40, 60, 80)


def road(
    model: VGG16, images: Tensor, maps: Sequence[Map], classes: Sequence[int], seed: int
) -> list[float]:
    """Measures how much more the prediction suffers from losing a map's top than its bottom.

    Rong et al., arXiv 2202.00449: removed pixels are filled in from their neighbours, so that the
    holes themselves tell nothing. Above 0 the map ranks pixels better than chance.

    Args:
        model: In evaluation mode.
        images: float32 (N, 3, H, W), normalised.
        maps: N maps, none of them empty.
        classes: For each image the class explained.
        seed: Decides the noise, which the library draws without one.

    Returns:
        (change on losing the least relevant - change on losing the most relevant) / 2 of the
        class's probability, averaged over 20 to 80 % of the pixels; in [-1, 1].
    """
    size = images.shape[-1]
    # By rank: a ReLU leaves many zeros, and at such a tie the library would remove every pixel.
    ranks = [rank_pixels(m, size) for m in maps]
    targets = [ClassifierOutputSoftmaxTarget(k) for k in classes]
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # The library (1.5.7) hands tensors to numpy functions.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.manual_seed(seed)
        scores = ROADCombined(percentiles=list(PERCENTILES))(
            images, np.stack(ranks), targets, model
        )
    return [float(s) for s in scores]
