"""Transforms for training and evaluation; the only module that imports albumentations."""

import os
import warnings

# Otherwise albumentations checks online for a newer release.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bookcls.data.images import PAD_RGB


class Transform:
    """Converts a uint8 photo to a normalised float32 tensor; reproducible from a seed."""

    def __init__(
        self,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        *,
        hflip: float = 0.0,
        vflip: float = 0.0,
        rotate: float = 0.0,
        zoom: float = 0.0,
        erase: float = 0.0,
        colour: float = 0.0,
    ) -> None:
        """Creates the transform; by default, it only normalises.

        Args:
            mean: Mean of RGB in [0, 1].
            std: Standard deviation of RGB in [0, 1].
            hflip: Probability of a horizontal flip.
            vflip: Probability of a vertical flip.
            rotate: Maximum rotation in either direction, in degrees.
            zoom: Maximum relative change of scale, which is drawn from [1 - zoom, 1 + zoom].
            erase: Probability of random erasing (Zhong et al., arXiv 1708.04896).
            colour: Maximum relative change of brightness, contrast and saturation; the hue
                changes by a tenth of it.
        """
        steps: list[A.BasicTransform] = []
        with warnings.catch_warnings():
            # A misspelt argument only warns in albumentations 2.0.8.
            warnings.simplefilter("error")
            if hflip:
                steps.append(A.HorizontalFlip(p=hflip))
            if vflip:
                steps.append(A.VerticalFlip(p=vflip))
            if rotate or zoom:
                steps.append(
                    A.Affine(
                        rotate=(-rotate, rotate),
                        scale=(1 - zoom, 1 + zoom),
                        keep_ratio=True,
                        border_mode=cv2.BORDER_CONSTANT,
                        fill=PAD_RGB,
                        p=1.0,
                    )
                )
            if colour:
                steps.append(A.ColorJitter(colour, colour, colour, colour / 10, p=0.8))
            if erase:
                steps.append(
                    A.Erasing(scale=(0.02, 0.33), ratio=(0.3, 3.3), fill="random_uniform", p=erase)
                )
            steps.append(A.Normalize(mean=mean, std=std, max_pixel_value=255.0))
            self._compose = A.Compose(steps)

    def __call__(self, image: npt.NDArray[np.uint8], seed: int | None = None) -> Tensor:
        """Augments and normalises a photo.

        Args:
            image: uint8 (H, W, 3), RGB.
            seed: Seed of the augmentation; None without augmentation.

        Returns:
            float32 (3, H, W), normalised.
        """
        if seed is not None:
            # The random state of albumentations repeats itself across workers and epochs.
            self._compose.set_random_seed(seed)
        array = self._compose(image=image)["image"]
        return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))
