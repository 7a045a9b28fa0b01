"""A trained model that answers: the object behind the verb, and behind ``bookcls.load``."""

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
from bookcls.training.classifier import Classifier, load_classifier
from bookcls.training.devices import device_of, ran_out_of_memory


class Predictor:
    """Answers to photos, in batches, in the float32 that tests run in.

    Attributes:
        ckpt: The checkpoint.
        classifier: The model, on its device.
        class_names: Sorted names.
        preprocessing: How a photo becomes the model's input.
        threshold: Answers with a lower probability are unsure.
        rotations: So many turns of a photo are asked about, and the answers averaged.
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
            threshold: Below which probability an answer is unsure.
            rotations: 1; 2: also upside down; 4: also both quarter turns.
            batch_size: Photos a step.
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
                f"unsure=...: that search was over the classes "
                f"{', '.join(threshold.class_names or ())}; {ckpt} knows "
                f"{', '.join(self.class_names)}. Give a number, or tune on the same photos."
            )
        self.classifier.to(device_of(accelerator))
        self.preprocessing = self.classifier.preprocessing

    def predict(self, photos: Photo | Iterable[Photo]) -> list[Prediction]:
        """Answers to one photo or several, in their order.

        Args:
            photos: Paths, PIL images, or uint8 arrays (H, W, 3), RGB. A JPEG given by its path is
                read at a reduced scale, so the same photo opened before may differ slightly.

        Returns:
            One for each photo; a photo that cannot be read has its ``error``.

        Raises:
            BookclsError: If something else is among them, or the device has too little memory.
        """
        one = isinstance(photos, str | os.PathLike | Image.Image)
        if one or (isinstance(photos, np.ndarray) and photos.ndim < 4):
            photos = [photos]  # type: ignore[list-item]  # narrowed by the line above
        named = ((_name(photo, i), photo) for i, photo in enumerate(photos))  # type: ignore[arg-type]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's on broken EXIF, which only loses EXIF.
            return list(self.stream(named))

    def stream(self, photos: Iterable[tuple[str, Photo | ImageError]]) -> Iterator[Prediction]:
        """Answers one after another; at most three batches of squares are in memory.

        Args:
            photos: Name and photo, or why there is none.

        Yields:
            One for each photo, in order.

        Raises:
            BookclsError: See :meth:`predict`.
        """
        batch: list[tuple[str, Square | ImageError]] = []
        size, fit = self.preprocessing.image_size, self.preprocessing.fit
        for item in decode_ahead(photos, size, fit, 2 * self.batch_size):
            batch.append(item)
            if len(batch) == self.batch_size:
                yield from self._answer(batch)
                batch = []
        yield from self._answer(batch)

    def _answer(self, batch: list[tuple[str, Square | ImageError]]) -> Iterator[Prediction]:
        squares = [square for _, square in batch if not isinstance(square, ImageError)]
        rows = iter(self._ask(squares) if squares else ())
        for name, square in batch:
            if isinstance(square, ImageError):
                yield Prediction(name, error=str(square))
                continue
            probs = dict(zip(self.class_names, next(rows), strict=True))
            answer = max(probs, key=probs.__getitem__)
            unsure = probs[answer] < self.threshold.value
            yield Prediction(name, answer, probs[answer], probs, unsure)

    def _ask(self, squares: list[Square]) -> list[list[float]]:
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
        """Probabilities, float32 (N, C), mean over the rotations.

        Args:
            images: float32 (N, 3, H, W), normalised, on the model's device.
        """
        return self.classifier.probs(images, self.rotations)


def _name(photo: object, index: int) -> str:
    return os.fspath(photo) if isinstance(photo, str | os.PathLike) else f"image {index}"
