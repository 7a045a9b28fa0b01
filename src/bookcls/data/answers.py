"""Predictions for test photos, with the ground truth."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bookcls.data.samples import Sample

OR = " or "


@dataclass(frozen=True)
class Answer:
    """The prediction for one labelled photo.

    Attributes:
        split: Name of the test split ("easy").
        file: Path below the split's folder.
        dominant: The dominant class, or "" if there is none.
        accepted: All classes that count as correct.
        pred: The predicted class.
        probs: Class -> probability, in [0, 1].
    """

    split: str
    file: str
    dominant: str
    accepted: tuple[str, ...]
    pred: str
    probs: dict[str, float]

    @property
    def prob(self) -> float:
        """Probability of the predicted class, in [0, 1]."""
        return self.probs[self.pred]

    @property
    def correct(self) -> bool:
        """Whether the predicted class is one of the accepted classes."""
        return self.pred in self.accepted

    @property
    def p_accepted(self) -> float:
        """Summed probability of the accepted classes, in [0, 1]."""
        return min(1.0, sum(self.probs.get(name, 0.0) for name in self.accepted))

    @property
    def truth(self) -> str:
        """The dominant class; if there is none, all accepted classes."""
        return self.dominant or OR.join(self.accepted)


def make_answers(
    class_names: Sequence[str],
    tests: Mapping[str, Sequence[Sample]],
    probs: Mapping[str, Sequence[Sequence[float]]],
) -> Iterator[Answer]:
    """Yields the prediction for each test photo: the most probable class, on a tie the first.

    Args:
        class_names: Class names, by index.
        tests: Split -> photos.
        probs: Split -> class probabilities, (N, C).
    """
    for split, samples in tests.items():
        for sample, row in zip(samples, probs[split], strict=True):
            yield Answer(
                split,
                sample.name,
                class_names[sample.label] if sample.label >= 0 else "",
                tuple(class_names[k] for k in sample.accepted),
                class_names[max(range(len(row)), key=row.__getitem__)],
                dict(zip(class_names, row, strict=True)),
            )
