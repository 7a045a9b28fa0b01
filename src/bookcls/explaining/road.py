"""The ROAD metric: whether the pixels that a map highlights matter to the model; needs no mask."""

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


def road_scores(
    model: VGG16, images: Tensor, maps: Sequence[Map], classes: Sequence[int], seed: int
) -> list[float]:
    """Computes ROAD (Rong et al., arXiv 2202.00449), which compares removing top and bottom pixels.

    Removed pixels are imputed from their neighbours, so that the shape of the holes reveals
    nothing. Above 0, the map ranks pixels better than chance.

    Args:
        model: In evaluation mode.
        images: float32 (N, 3, H, W), normalised.
        maps: N maps, none of them empty.
        classes: The explained class of each image.
        seed: Seed of the noise, which the library draws from the global state.

    Returns:
        One score per image, in [-1, 1]: half the difference between the changes of the class
        probability when the least and the most relevant pixels are removed, averaged over 20, 40,
        60 and 80 % of the pixels.
    """
    size = images.shape[-1]
    # Use ranks: a ReLU leaves many zeros, and on such ties the library would remove every pixel.
    ranks = [rank_pixels(m, size) for m in maps]
    targets = [ClassifierOutputSoftmaxTarget(k) for k in classes]
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # The library (1.5.7) passes tensors to numpy functions.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.manual_seed(seed)
        scores = ROADCombined(percentiles=list(PERCENTILES))(
            images, np.stack(ranks), targets, model
        )
    return [float(s) for s in scores]
