"""Converts a photo to the network's input."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from bookcls.data.images import fit_square, load_image
from bookcls.data.transforms import Transform


@dataclass(frozen=True)
class Preprocessing:
    """Preprocessing that a trained network expects.

    Attributes:
        image_size: Side of the square input in pixels.
        fit: ``letterbox`` or ``squash``, see :func:`bookcls.data.images.fit_square`.
        mean: Mean of RGB in [0, 1].
        std: Standard deviation of RGB in [0, 1].
    """

    image_size: int
    fit: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def from_hparams(cls, hparams: Mapping[str, Any]) -> "Preprocessing":
        """Creates the preprocessing from a checkpoint's hyperparameters."""
        return cls(
            hparams["image_size"], hparams["fit"], tuple(hparams["mean"]), tuple(hparams["std"])
        )

    def with_size(self, image_size: int) -> "Preprocessing":
        """Returns a copy for another input size."""
        return self if image_size == self.image_size else replace(self, image_size=image_size)

    def square(self, photo: Path | Image.Image) -> npt.NDArray[np.uint8]:
        """Loads and resizes a photo, without normalisation.

        Args:
            photo: A file, or an upright RGB image.

        Returns:
            uint8 (image_size, image_size, 3), RGB.

        Raises:
            ImageError: If the file cannot be read.
        """
        if isinstance(photo, Path):
            photo = load_image(photo, size=self.image_size)
        return fit_square(photo, self.image_size, self.fit)

    def __call__(self, photo: Path | Image.Image | npt.NDArray[np.uint8]) -> Tensor:
        """Converts a photo to the network's input.

        Args:
            photo: As in :meth:`square`, or its return value.

        Returns:
            float32 (3, image_size, image_size), normalised, on the CPU.

        Raises:
            ImageError: If the file cannot be read.
        """
        return self._normalise(photo if isinstance(photo, np.ndarray) else self.square(photo))

    @cached_property
    def _normalise(self) -> Transform:
        return Transform(self.mean, self.std)
