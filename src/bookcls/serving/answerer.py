"""Runs one request at a time through a model, however many arrive at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bookcls.data.images import load_image
from bookcls.data.samples import Sample
from bookcls.errors import BookclsError
from bookcls.explaining.explainer import Explainer
from bookcls.explaining.maps import HeatMap, heat_maps
from bookcls.explaining.settings import CamConfig
from bookcls.predicting.decoding import Square
from bookcls.predicting.prediction import Prediction
from bookcls.predicting.predictor import Predictor
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
        size: Width and height of the upright photo in pixels.
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

    def predict(self, path: Path) -> Prediction:
        """Classifies a photo, as ``bookcls.load(...).predict`` does.

        Raises:
            TooBusyError: If too many requests are waiting.
            BookclsError: If the device has too little memory.
        """
        with self._wait_for_turn():
            return self._predict(path)

    def _predict(self, path: Path) -> Prediction:
        return self.predictor.predict(path)[0]

    def explain(self, path: Path) -> ExplainedPrediction | Prediction:
        """Classifies and explains a photo; returns only the prediction if it is unreadable.

        Raises: as :meth:`predict`.
        """
        with self._wait_for_turn():
            found = self._predict(path)
            if found.answer is None:
                return found
            explainer, preprocessing = self.explainer, self.explainer.preprocessing
            image = load_image(path, size=max(SHOWN, explainer.size))
            method, layers = explainer.config.method, explainer.config.layers
            answer = explainer.class_names.index(found.answer)
            device = self.predictor.classifier.device
            (heat,) = heat_maps(
                explainer.model, preprocessing.with_size(explainer.size)(image)[None].to(device),
                [answer], method, layers,
            )  # fmt: skip
            nearest = []
            if self.neighbours:
                _, features = explainer.answers(preprocessing(image)[None])
                nearest = self.neighbours.nearest(features[0])
            shown = preprocessing.with_size(SHOWN).square(image)
            return ExplainedPrediction(found, shown, image.size, heat, nearest)
