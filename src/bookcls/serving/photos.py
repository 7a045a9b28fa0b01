"""Which of the run's photos are still there to be shown beside answers, and why others are not."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from bookcls.data.dataset import read_folder, read_tests
from bookcls.data.samples import Sample
from bookcls.errors import BookclsError

T = TypeVar("T")
EXAMPLES = 12
MOST = 1000
"""Training photos that are compared with: each costs a forward pass at the start."""


@dataclass
class RunPhotos:
    """The photos of a run.

    Attributes:
        train: Training photos, at most ``MOST``.
        tests: Examples of the test splits.
        left_out: What is not shown and why, a sentence each.
    """

    train: list[Sample] = field(default_factory=list)
    tests: list[Sample] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def find_photos(root: Path | None, class_names: list[str]) -> RunPhotos:
    """Looks what there is; decodes nothing.

    Args:
        root: Folder of the dataset, or None where it is gone.
        class_names: What the model knows.
    """
    photos = RunPhotos()
    if root is None:
        photos.left_out.append(
            "The run's photos are gone, so neither training photos nor test photos are shown; "
            "data.root=DIR says where they are."
        )
        return photos
    try:
        train = read_folder(root, on_bad="skip", with_tests=False)
    except BookclsError:  # Its words name folders; the page is for others too.
        photos.left_out.append(
            "Training photos are not shown: the folder cannot be used, which check explains."
        )
    else:
        if train.class_names == class_names:
            photos.train = spread(train.train, MOST)
        else:
            names = ", ".join(train.class_names)
            photos.left_out.append(
                f"Training photos are not shown: the folder has the classes {names}."
            )
        if 0 < len(photos.train) < len(train.train):
            photos.left_out.append(
                f"Of {len(train.train)} training photos {len(photos.train)} are compared with."
            )
    splits = read_tests(root, class_names, [])
    tests = [sample for samples in splits.values() for sample in samples]
    photos.tests = spread(tests, EXAMPLES)
    if not tests:
        photos.left_out.append("There are no test photos to try.")
    return photos


def spread(items: list[T], most: int) -> list[T]:
    """At most so many, evenly from the whole list.

    Example:
        >>> spread([1, 2, 3, 4, 5], 3)
        [1, 2, 4]
    """
    return [items[i * len(items) // most] for i in range(most)] if len(items) > most else items
