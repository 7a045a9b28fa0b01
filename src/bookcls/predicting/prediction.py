"""The prediction for one photo, and its columns in predictions.csv."""

from dataclasses import dataclass, field

COLUMNS = ["file", "answer", "probability", "unsure", "error"]
"""The first columns; a column prob_<class> for each class follows."""


@dataclass(frozen=True)
class Prediction:
    """The prediction for one photo.

    Attributes:
        file: The photo's name; for an image in memory, ``image`` and its index.
        answer: The most probable class; None if the photo could not be read.
        probability: Its probability; None if the photo could not be read.
        probs: Class -> probability; empty if the photo could not be read.
        unsure: Whether the probability is below the threshold; True if there is no answer.
        error: Why there is no answer, or "".
    """

    file: str
    answer: str | None = None
    probability: float | None = None
    probs: dict[str, float] = field(default_factory=dict)
    unsure: bool = True
    error: str = ""
