"""What is known of one photo, and its columns in predictions.csv."""

from dataclasses import dataclass, field

COLUMNS = ["file", "answer", "probability", "unsure", "error"]
"""The first ones; a column prob_<class> for each class follows."""


@dataclass(frozen=True)
class Prediction:
    """The answer to one photo.

    Attributes:
        file: The photo's name; for an image in memory its place among the photos asked about.
        answer: The most probable class; None where the photo could not be read.
        probability: Its probability; None likewise.
        probs: Class -> probability; empty likewise.
        unsure: Whether the probability is below the threshold; True where there is no answer.
        error: Why there is no answer, or "".
    """

    file: str
    answer: str | None = None
    probability: float | None = None
    probs: dict[str, float] = field(default_factory=dict)
    unsure: bool = True
    error: str = ""
