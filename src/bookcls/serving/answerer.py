"""One question after another to one model, however many ask at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bookcls.data.images import load_image
from bookcls.data.samples import Sample
from bookcls.errors import BookclsError
from bookcls.explaining.explainer import Explainer
from bookcls.explaining.maps import Heat, heats
from bookcls.explaining.settings import CamConfig
from bookcls.predicting.decoding import Square
from bookcls.predicting.prediction import Prediction
from bookcls.predicting.predictor import Predictor
from bookcls.serving.neighbours import Neighbour, Neighbours
from bookcls.settings import EvaluateTrainer

SHOWN = 480
"""Side of the square that is shown, in pixels."""


class TooBusyError(BookclsError):
    """More ask than can wait."""


@dataclass(frozen=True)
class Seen:
    """An answer, and what the model looked at.

    Attributes:
        found: The answer.
        photo: uint8 (SHOWN, SHOWN, 3), as the network sees it.
        size: Width and height of the upright photo in pixels.
        heat: What spoke for the answer.
        nearest: The training photos that are nearest; empty where there are none.
    """

    found: Prediction
    photo: Square
    size: tuple[int, int]
    heat: Heat
    nearest: list[Neighbour]


class Answerer:
    """Answers in turn: photos are decoded and the network runs for one request at a time.

    Attributes:
        predictor: What ``bookcls.load`` gives.
        explainer: The same model, asked what it looked at.
        neighbours: None until training photos were given.
    """

    def __init__(
        self, predictor: Predictor, accelerator: str, *, max_waiting: int, timeout: float
    ) -> None:
        """Takes a model.

        Args:
            predictor: The model.
            accelerator: Where it lies.
            max_waiting: Requests that may wait for their turn.
            timeout: Seconds that they do so.
        """
        self.predictor = predictor
        config = CamConfig(trainer=EvaluateTrainer(accelerator))
        self.explainer = Explainer(predictor.ckpt, predictor.classifier, config)
        self.neighbours: Neighbours | None = None
        self._places = threading.BoundedSemaphore(max_waiting + 1)
        self._model = threading.Lock()
        self._timeout = timeout

    def compare_with(self, samples: list[Sample]) -> None:
        """Gives the training photos among which the nearest are looked for."""
        self.neighbours = Neighbours(self.explainer, samples)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise TooBusyError("too many photos are waiting; try again in some seconds.")
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
        """The answer to a photo, as ``bookcls.load(...).predict`` gives it.

        Raises:
            TooBusyError: If too many ask.
            BookclsError: If the device has too little memory.
        """
        with self._turn():
            return self._predict(path)

    def _predict(self, path: Path) -> Prediction:
        return self.predictor.predict(path)[0]

    def look(self, path: Path) -> Seen | Prediction:
        """The same with what the model looked at; where there is no answer, that alone.

        Raises: as :meth:`predict`.
        """
        with self._turn():
            found = self._predict(path)
            if found.answer is None:
                return found
            explainer, preprocessing = self.explainer, self.explainer.preprocessing
            image = load_image(path, size=max(SHOWN, explainer.size))
            method, layers = explainer.config.method, explainer.config.layers
            answer = explainer.class_names.index(found.answer)
            device = self.predictor.classifier.device
            (heat,) = heats(
                explainer.model, preprocessing.with_size(explainer.size)(image)[None].to(device),
                [answer], method, layers,
            )  # fmt: skip
            nearest = []
            if self.neighbours:
                _, features = explainer.answers(preprocessing(image)[None])
                nearest = self.neighbours.nearest(features[0])
            shown = preprocessing.with_size(SHOWN).square(image)
            return Seen(found, shown, image.size, heat, nearest)
