"""Finds the photos of the run that still exist, to show them next to predictions."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from bookcls.data.dataset import read_folder, read_tests
from bookcls.data.samples import Sample
from bookcls.errors import BookclsError

T = TypeVar("T")
EXAMPLES = 12
MAX_COMPARED = 1000
"""Maximum number of training photos compared: each costs a forward pass at the start."""


@dataclass
class RunPhotos:
    """The photos of a run.

    Attributes:
        train: Training photos, at most ``MAX_COMPARED``.
        tests: Examples of the test splits.
        left_out: What is not shown and why, one sentence each.
    """

    train: list[Sample] = field(default_factory=list)
    tests: list[Sample] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def find_photos(root: Path | None, class_names: list[str]) -> RunPhotos:
    """Lists the available photos without decoding any.

    Args:
        root: Folder of the dataset, or None if it no longer exists.
        class_names: The classes of the model.
    """
    photos = RunPhotos()
    if root is None:
        photos.left_out.append(
            "The run's photos no longer exist, so no training or test photos are shown; give "
            "data.root=DIR if they have moved."
        )
        return photos
    try:
        train = read_folder(root, on_bad="skip", with_tests=False)
    except BookclsError:  # The message contains paths, which visitors of the page should not see.
        photos.left_out.append(
            "Training photos are not shown: the folder cannot be used; run check to see why."
        )
    else:
        if train.class_names == class_names:
            photos.train = take_evenly(train.train, MAX_COMPARED)
        else:
            names = ", ".join(train.class_names)
            photos.left_out.append(
                f"Training photos are not shown: the folder has the classes {names}."
            )
        if 0 < len(photos.train) < len(train.train):
            photos.left_out.append(
                f"Only {len(photos.train)} of the {len(train.train)} training photos are compared."
            )
    splits = read_tests(root, class_names, [])
    tests = [sample for samples in splits.values() for sample in samples]
    photos.tests = take_evenly(tests, EXAMPLES)
    if not tests:
        photos.left_out.append("There are no test photos to try.")
    return photos


def take_evenly(items: list[T], limit: int) -> list[T]:
    """Takes at most ``limit`` items, evenly spaced over the list.

    Example:
        >>> take_evenly([1, 2, 3, 4, 5], 3)
        [1, 2, 4]
    """
    return [items[i * len(items) // limit] for i in range(limit)] if len(items) > limit else items
