"""Runs one request at a time through a model, however many arrive at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bookcls.data.images import ImageError
from bookcls.data.samples import Sample
from bookcls.errors import BookclsError
from bookcls.explaining.explainer import Explainer
from bookcls.explaining.maps import HeatMap, heat_maps
from bookcls.explaining.settings import CamConfig
from bookcls.predicting.decoding import Square
from bookcls.predicting.prediction import Prediction
from bookcls.predicting.predictor import Predictor
from bookcls.serving.decoder import Decoder
from bookcls.serving.neighbours import Neighbour, Neighbours
from bookcls.settings import EvaluateTrainer

SHOWN = 480
"""Side of the displayed square, in pixels."""


class TooBusyError(BookclsError):
    """Raised when more requests arrive than may wait."""


@dataclass(frozen=True)
class ExplainedPrediction:
    """A prediction, and what the model looked at.

    Attributes:
        found: The prediction.
        photo: uint8 (SHOWN, SHOWN, 3), as the network sees it.
        size: Width and height of the upright photo in pixels, perhaps at a reduced scale.
        heat: The map of the predicted class.
        nearest: The most similar training photos; empty if there are none.
    """

    found: Prediction
    photo: Square
    size: tuple[int, int]
    heat: HeatMap
    nearest: list[Neighbour]


class Answerer:
    """Classifies photos in turn: decoding and the network run for one request at a time.

    Attributes:
        predictor: The model, as ``bookcls.load`` returns it.
        explainer: Explains the predictions of the same model.
        neighbours: The training photos; None until they are given.
    """

    def __init__(
        self, predictor: Predictor, accelerator: str, *, max_waiting: int, timeout: float
    ) -> None:
        """Wraps a model.

        Args:
            predictor: The model.
            accelerator: The accelerator it runs on.
            max_waiting: Number of requests that may wait for their turn.
            timeout: Maximum wait in seconds.
        """
        self.predictor = predictor
        config = CamConfig(trainer=EvaluateTrainer(accelerator))
        self.explainer = Explainer(predictor.ckpt, predictor.classifier, config)
        self.neighbours: Neighbours | None = None
        self._decoder = Decoder(predictor.preprocessing.fit)
        self._places = threading.BoundedSemaphore(max_waiting + 1)
        self._model = threading.Lock()
        self._timeout = timeout

    def compare_with(self, samples: list[Sample]) -> None:
        """Sets the training photos among which the nearest are searched."""
        self.neighbours = Neighbours(self.explainer, samples)

    @contextmanager
    def _wait_for_turn(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise TooBusyError("too many photos are waiting; try again in a few seconds.")
        try:
            if not self._model.acquire(timeout=self._timeout):
                raise TooBusyError(f"no answer within {self._timeout:g} seconds; try again later.")
            try:
                yield
            finally:
                self._model.release()
        finally:
            self._places.release()

    def close(self) -> None:
        """Ends the process that decodes photos."""
        self._decoder.close()

    def predict(self, body: bytes | bytearray) -> Prediction:
        """Classifies a photo, as ``bookcls.load(...).predict`` does.

        Args:
            body: The content of its file.

        Raises:
            TooBusyError: If too many requests are waiting.
            BookclsError: If the device has too little memory.
        """
        with self._wait_for_turn():
            try:
                return self._predict(body)
            except ImageError as error:
                return Prediction("", error=str(error))

    def _predict(self, body: bytes | bytearray) -> Prediction:
        (square,) = self._decoder.decode(body, [self.predictor.preprocessing.image_size]).squares
        return self.predictor.predict(square)[0]

    def explain(self, body: bytes | bytearray) -> ExplainedPrediction:
        """Classifies and explains a photo.

        Args:
            body: The content of its file.

        Raises:
            ImageError: If it cannot be used.
            TooBusyError: If too many requests are waiting.
            BookclsError: If the device has too little memory.
        """
        with self._wait_for_turn():
            found = self._predict(body)
            assert found.answer is not None
            explainer, preprocessing = self.explainer, self.explainer.preprocessing
            sides = [explainer.size, preprocessing.image_size, SHOWN]
            decoded = self._decoder.decode(body, sides)
            large, usual, shown = decoded.squares
            method, layers = explainer.config.method, explainer.config.layers
            answer = explainer.class_names.index(found.answer)
            device = self.predictor.classifier.device
            (heat,) = heat_maps(
                explainer.model, preprocessing.with_size(explainer.size)(large)[None].to(device),
                [answer], method, layers,
            )  # fmt: skip
            nearest = []
            if self.neighbours:
                _, features = explainer.answers(preprocessing(usual)[None])
                nearest = self.neighbours.nearest(features[0])
            return ExplainedPrediction(found, shown, decoded.size, heat, nearest)
