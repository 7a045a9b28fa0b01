"""The prediction for one photo, and everything that explains it."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bookcls.data.samples import Sample
from bookcls.explaining.audit import Audit
from bookcls.explaining.map_scores import MapScores
from bookcls.explaining.maps import HeatMap


@dataclass(frozen=True)
class Explanation:
    """The prediction for one photo, and everything that explains it.

    Attributes:
        split: Folder of its split ("test_easy"), or "images".
        sample: The photo.
        probs: float32 (C,), class probabilities at the training size.
        features: float32 (256 or 512,), the inputs of the head's last layer.
        correct: Whether the prediction is correct; None without a label.
        flag: A verdict, see :func:`bookcls.explaining.map_scores.flag`.
        reason: The reason for the flag.
        heat_maps: Class -> its map; always includes the predicted class.
        numbers: Class -> scores of its map; None if no mask contains the class.
        shown: The classes shown in figures.
        audit: Predictions on changed photos.
        road: ROAD of the predicted class's map, and of a random map; None if not computed.
        photo: uint8 (SHOWN, SHOWN, 3), for figures.
    """

    split: str
    sample: Sample
    probs: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    correct: bool | None
    flag: str
    reason: str
    heat_maps: dict[int, HeatMap]
    numbers: dict[int, MapScores | None]
    shown: list[int]
    audit: Audit
    road: tuple[float, float] | None
    photo: npt.NDArray[np.uint8]

    @property
    def pred(self) -> int:
        """Index of the predicted class."""
        return int(self.probs.argmax())


def derive_seed(sample: Sample) -> int:
    """Derives a seed from the photo's name, the same in every run."""
    return int.from_bytes(
        hashlib.sha256(sample.name.encode("utf-8", "backslashreplace")).digest()[:4], "big"
    )
