"""What a classifier said to a test photo, and whether that is right."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bookcls.data.samples import Sample

OR = " or "


@dataclass(frozen=True)
class Answer:
    """The answer to one photo whose class is known.

    Attributes:
        split: Name of the test split ("easy").
        file: Path below the split's folder.
        dominant: The class that leads, or "".
        accepted: Every class that is a fair answer.
        pred: The class answered.
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
        """Probability of the class answered."""
        return self.probs[self.pred]

    @property
    def correct(self) -> bool:
        """Whether the answer is one of the accepted classes."""
        return self.pred in self.accepted

    @property
    def p_accepted(self) -> float:
        """Summed probability of the accepted classes, in [0, 1]."""
        return min(1.0, sum(self.probs.get(name, 0.0) for name in self.accepted))

    @property
    def truth(self) -> str:
        """The dominant class, or every accepted one where none leads."""
        return self.dominant or OR.join(self.accepted)


def make_answers(
    class_names: Sequence[str],
    tests: Mapping[str, Sequence[Sample]],
    probs: Mapping[str, Sequence[Sequence[float]]],
) -> Iterator[Answer]:
    """The most probable class of each test photo; of equal ones the first.

    Args:
        class_names: By index.
        tests: Split -> its photos.
        probs: Split -> a row of class probabilities for each photo, (N, C).
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
