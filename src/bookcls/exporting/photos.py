"""The photos on which an exported model must agree with the original."""

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
"""Training photos that set the ranges of int8: more only take longer."""


@dataclass(frozen=True)
class Photos:
    """Photos to check on.

    Attributes:
        splits: Split -> its photos.
        images: All of them in that order, float32 (N, 3, H, W), normalised.
        labelled: Whether they are test photos, so that their accuracy counts.
        description: Which photos they are, in words.
    """

    splits: dict[str, list[Sample]]
    images: Array
    labelled: bool
    description: str

    @property
    def samples(self) -> list[Sample]:
        """All photos, as in ``images``."""
        return [sample for samples in self.splits.values() for sample in samples]


def photos_to_check(root: Path | None, classifier: Classifier) -> Photos:
    """Loads the test photos; if there are none, training photos; without a dataset, the sample.

    Args:
        root: Folder of the dataset, or None if it no longer exists.
        classifier: The model, which defines the preprocessing.

    Raises:
        BookclsError: If the folder cannot be used.
    """
    labelled = False
    if root is None:
        sample_folder = Path(project_path(SAMPLE))
        splits = {
            "sample": [
                *list_images(str(sample_folder / "test_easy")),
                *list_images(str(sample_folder / "test_difficult")),
            ]
        }
        description = (
            f"the run's photos no longer exist; the {len(splits['sample'])} test photos of "
            "the sample"
        )
    else:
        problems: list[str] = []
        splits = read_tests(root, classifier.class_names, problems)
        if problems:
            raise problems_error(root, problems)
        labelled = bool(splits)
        description = ", ".join(f"{name} {len(samples)}" for name, samples in splits.items())
        if not labelled:
            splits = {"train": training_photos(root, classifier)}
            description = f"no test photos; {len(splits['train'])} training photos"
        description = f"{root}: {description}"
    samples = [sample for part in splits.values() for sample in part]
    return Photos(splits, prepare(samples, classifier.preprocessing), labelled, description)


def training_photos(root: Path, classifier: Classifier) -> list[Sample]:
    """Selects at most ``CALIBRATION`` readable training photos, evenly from all classes.

    Raises:
        BookclsError: If there are none, or the classes differ from the model's.
    """
    folder = read_folder(root, on_bad="skip", with_tests=False)
    if folder.class_names != classifier.class_names:
        raise BookclsError(
            f"{root / 'train'} has the classes {', '.join(folder.class_names)}; the model knows "
            f"{', '.join(classifier.class_names)}."
        )
    selected = folder.train[:: max(1, -(-len(folder.train) // CALIBRATION))]
    _, bad = decode(selected, classifier.preprocessing.image_size, classifier.preprocessing.fit)
    # As with data.on_bad=skip; a run that stops at such photos does not get this far.
    kept = [sample for sample in selected if sample.path not in bad]
    if not kept:
        raise BookclsError(f"{root / 'train'} contains no readable photo.")
    return kept


def prepare(samples: Sequence[Sample], preprocessing: Preprocessing) -> Array:
    """Loads photos as the network's input, float32 (N, 3, H, W).

    Raises:
        BookclsError: Naming each photo that cannot be read.
    """
    decoded, bad = decode(samples, preprocessing.image_size, preprocessing.fit)
    if bad:
        listed = "".join(f"\n  - {path}: {why}" for path, why in bad.items())
        raise BookclsError(f"these photos cannot be read:{listed}")
    return np.stack([preprocessing(decoded[sample.path]).numpy() for sample in samples])
