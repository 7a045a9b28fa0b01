"""All that is known of one photo after a model has been asked about it."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bookcls.data.samples import Sample
from bookcls.explaining.audit import Audit
from bookcls.explaining.maps import Heat
from bookcls.explaining.numbers import Numbers


@dataclass(frozen=True)
class Explained:
    """All that is known of one photo.

    Attributes:
        split: Folder of its split ("test_easy"), or "images".
        sample: The photo.
        probs: float32 (C,), at the size of training.
        features: float32 (256,), its place in the model's eyes: the head's hidden units.
        correct: Whether the answer is accepted; None without a label.
        flag: A plain word, see :func:`bookcls.explaining.numbers.flag`.
        reason: Why.
        heats: Class -> its map; that of the answer is always there.
        numbers: Class -> what its map scored; None where no mask shows the class.
        shown: The classes that figures show.
        audit: Answers to changed photos.
        road: ROAD of the answer's map, and of a random one; None where it was not asked for.
        photo: uint8 (SHOWN, SHOWN, 3), for figures.
    """

    split: str
    sample: Sample
    probs: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    correct: bool | None
    flag: str
    reason: str
    heats: dict[int, Heat]
    numbers: dict[int, Numbers | None]
    shown: list[int]
    audit: Audit
    road: tuple[float, float] | None
    photo: npt.NDArray[np.uint8]

    @property
    def pred(self) -> int:
        """The class answered."""
        return int(self.probs.argmax())


def seed_of(sample: Sample) -> int:
    """A seed from the photo's name, the same in every run."""
    return int.from_bytes(
        hashlib.sha256(sample.name.encode("utf-8", "backslashreplace")).digest()[:4], "big"
    )
