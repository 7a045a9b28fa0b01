"""Photos on which an exported model must answer as the original does."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bookcls.config import project_path
from bookcls.data.dataset import read_folder, read_tests
from bookcls.data.photos import decode
from bookcls.data.preprocessing import Preprocessing
from bookcls.data.samples import Sample, problems_error
from bookcls.data.sources import list_images
from bookcls.errors import BookclsError
from bookcls.training.classifier import Classifier

Array = npt.NDArray[np.float32]
SAMPLE = "dataset/sample"
CALIBRATION = 100
"""Training photos that set the ranges of int8: more change nothing but the wait."""


@dataclass(frozen=True)
class Photos:
    """Photos to check on.

    Attributes:
        splits: Split -> its photos.
        images: All of them in that order, float32 (N, 3, H, W), normalised.
        labelled: Whether their accuracy is that of a test.
        said: Which they are, for a person.
    """

    splits: dict[str, list[Sample]]
    images: Array
    labelled: bool
    said: str

    @property
    def samples(self) -> list[Sample]:
        """All photos, as in ``images``."""
        return [sample for samples in self.splits.values() for sample in samples]


def photos_to_check(root: Path | None, classifier: Classifier) -> Photos:
    """The test photos; training photos where there are none; else those of the sample.

    Args:
        root: Folder of the dataset, or None where it is gone.
        classifier: Says how a photo becomes an input.

    Raises:
        BookclsError: If the folder cannot be used.
    """
    labelled = False
    if root is None:
        home = Path(project_path(SAMPLE))
        splits = {
            "sample": [
                *list_images(str(home / "test_easy")),
                *list_images(str(home / "test_difficult")),
            ]
        }
        said = f"the run's photos are gone; the {len(splits['sample'])} test photos of the sample"
    else:
        problems: list[str] = []
        splits = read_tests(root, classifier.class_names, problems)
        if problems:
            raise problems_error(root, problems)
        labelled = bool(splits)
        said = ", ".join(f"{name} {len(samples)}" for name, samples in splits.items())
        if not labelled:
            splits = {"train": training_photos(root, classifier)}
            said = f"no test photos; {len(splits['train'])} training photos"
        said = f"{root}: {said}"
    samples = [sample for part in splits.values() for sample in part]
    return Photos(splits, prepare(samples, classifier.preprocessing), labelled, said)


def training_photos(root: Path, classifier: Classifier) -> list[Sample]:
    """At most ``CALIBRATION`` training photos that can be read, from all classes alike.

    Raises:
        BookclsError: If there are none, or of other classes.
    """
    folder = read_folder(root, on_bad="skip", with_tests=False)
    if folder.class_names != classifier.class_names:
        raise BookclsError(
            f"{root / 'train'} has the classes {', '.join(folder.class_names)}; the model knows "
            f"{', '.join(classifier.class_names)}."
        )
    chosen = folder.train[:: max(1, -(-len(folder.train) // CALIBRATION))]
    _, bad = decode(chosen, classifier.preprocessing.image_size, classifier.preprocessing.fit)
    # As data.on_bad=skip trains; a run that stops at such photos does not get this far.
    kept = [sample for sample in chosen if sample.path not in bad]
    if not kept:
        raise BookclsError(f"{root / 'train'} holds no photo that can be read.")
    return kept


def prepare(samples: Sequence[Sample], preprocessing: Preprocessing) -> Array:
    """Photos as the network's input, float32 (N, 3, H, W).

    Raises:
        BookclsError: Naming each photo that cannot be read.
    """
    decoded, bad = decode(samples, preprocessing.image_size, preprocessing.fit)
    if bad:
        listed = "".join(f"\n  - {path}: {why}" for path, why in bad.items())
        raise BookclsError(f"these photos cannot be read:{listed}")
    return np.stack([preprocessing(decoded[sample.path]).numpy() for sample in samples])
