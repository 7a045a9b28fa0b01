"""A trained model that classifies photos, used by the command and by ``bookcls.load``."""

import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bookcls.data.images import ImageError
from bookcls.errors import BookclsError
from bookcls.predicting.decoding import Photo, Square, decode_ahead
from bookcls.predicting.prediction import Prediction
from bookcls.predicting.threshold import Threshold
from bookcls.training.checkpoint import load_classifier
from bookcls.training.classifier import Classifier
from bookcls.training.devices import ran_out_of_memory, select_device


class Predictor:
    """Classifies photos, in batches and in float32, as tests do.

    Attributes:
        ckpt: The checkpoint.
        classifier: The model, on its device.
        class_names: Sorted names.
        preprocessing: How a photo becomes the model's input.
        threshold: Predictions with a lower probability are unsure.
        rotations: Number of rotations of a photo over which the probabilities are averaged.
    """

    def __init__(
        self,
        ckpt: Path,
        threshold: Threshold,
        *,
        rotations: int = 1,
        batch_size: int = 16,
        accelerator: str = "auto",
    ) -> None:
        """Loads a checkpoint; nothing in the file is executed.

        Args:
            ckpt: A ``.ckpt`` file that training wrote.
            threshold: The probability below which a prediction is unsure.
            rotations: 1; 2: also upside down; 4: also both quarter turns.
            batch_size: Photos per batch.
            accelerator: ``auto``, ``cpu``, ``gpu``, ``cuda`` or ``mps``.

        Raises:
            BookclsError: If the checkpoint, the device or the threshold's classes do not fit.
        """
        self.ckpt, self.threshold = ckpt, threshold
        self.rotations, self.batch_size = rotations, batch_size
        self.classifier: Classifier = load_classifier(ckpt)
        self.class_names: list[str] = self.classifier.class_names
        if threshold.class_names not in (None, self.class_names):
            raise BookclsError(
                f"unsure=...: that search was for the classes "
                f"{', '.join(threshold.class_names or ())}; {ckpt} knows "
                f"{', '.join(self.class_names)}. Give a number, or tune on the same photos."
            )
        self.classifier.to(select_device(accelerator))
        self.preprocessing = self.classifier.preprocessing

    def predict(self, photos: Photo | Iterable[Photo]) -> list[Prediction]:
        """Classifies one photo or several, in order.

        Args:
            photos: Paths, PIL images, or uint8 arrays (H, W, 3), RGB. A JPEG given by its path is
                read at a reduced scale, so its result may differ slightly from that of the opened
                image.

        Returns:
            One prediction per photo; that of an unreadable photo has an ``error``.

        Raises:
            BookclsError: If there is anything else among them, or the device has too little memory.
        """
        one = isinstance(photos, str | os.PathLike | Image.Image)
        if one or (isinstance(photos, np.ndarray) and photos.ndim < 4):
            photos = [photos]  # type: ignore[list-item]  # narrowed by the line above
        named = ((_name(photo, i), photo) for i, photo in enumerate(photos))  # type: ignore[arg-type]
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Pillow warns about broken EXIF; only the EXIF is lost.
            return list(self.stream(named))

    def stream(self, photos: Iterable[tuple[str, Photo | ImageError]]) -> Iterator[Prediction]:
        """Yields predictions one after another; at most three batches of squares are in memory.

        Args:
            photos: Name, and photo or the error that replaces it.

        Yields:
            One prediction per photo, in order.

        Raises:
            BookclsError: See :meth:`predict`.
        """
        batch: list[tuple[str, Square | ImageError]] = []
        size, fit = self.preprocessing.image_size, self.preprocessing.fit
        for item in decode_ahead(photos, size, fit, 2 * self.batch_size):
            batch.append(item)
            if len(batch) == self.batch_size:
                yield from self._predict_batch(batch)
                batch = []
        yield from self._predict_batch(batch)

    def _predict_batch(self, batch: list[tuple[str, Square | ImageError]]) -> Iterator[Prediction]:
        squares = [square for _, square in batch if not isinstance(square, ImageError)]
        rows = iter(self._compute_probs(squares) if squares else ())
        for name, square in batch:
            if isinstance(square, ImageError):
                yield Prediction(name, error=str(square))
                continue
            probs = dict(zip(self.class_names, next(rows), strict=True))
            answer = max(probs, key=probs.__getitem__)
            unsure = probs[answer] < self.threshold.value
            yield Prediction(name, answer, probs[answer], probs, unsure)

    def _compute_probs(self, squares: list[Square]) -> list[list[float]]:
        try:
            images = torch.stack([self.preprocessing(square) for square in squares])
            probs: list[list[float]] = self.probs(images.to(self.classifier.device)).tolist()
        except RuntimeError as error:
            if not ran_out_of_memory(error):
                raise
            raise BookclsError(
                f"the device has too little memory for {self.batch_size} photos of "
                f"{self.preprocessing.image_size} px: give a lower batch_size= or "
                "trainer.accelerator=cpu."
            ) from error
        return probs

    @torch.inference_mode()
    def probs(self, images: Tensor) -> Tensor:
        """Computes probabilities, float32 (N, C), averaged over the rotations.

        Args:
            images: float32 (N, 3, H, W), normalised, on the model's device.
        """
        return self.classifier.probs(images, self.rotations)


def _name(photo: object, index: int) -> str:
    return os.fspath(photo) if isinstance(photo, str | os.PathLike) else f"image {index}"
