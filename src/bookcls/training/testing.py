"""Tests a classifier on every test split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException

from bookcls.data.photos import Decoded
from bookcls.data.samples import Sample
from bookcls.errors import BookclsError
from bookcls.scoring.evaluation import Evaluation
from bookcls.scoring.scores import floor_accuracy, score_predictions
from bookcls.training.classifier import Classifier
from bookcls.training.datamodule import PhotoDataModule


@dataclass(frozen=True)
class TestResult:
    """Metrics by key (``test/<split>_<score>``), and each photo's probabilities by split."""

    __test__ = False  # not a test case

    metrics: dict[str, float]
    probs: dict[str, list[list[float]]]


def make_tests(
    classifier: Classifier,
    images: Decoded,
    tests: dict[str, list[Sample]],
    batch_size: int,
) -> PhotoDataModule:
    """Creates a data module with the test photos of a classifier and no training photos.

    Args:
        classifier: The model.
        images: The photos, decoded to its input size.
        tests: Test split name -> photos.
        batch_size: Photos per batch.
    """
    preprocessing = classifier.preprocessing
    return PhotoDataModule(
        classifier.class_names,
        images,
        tests=tests,
        mean=preprocessing.mean,
        std=preprocessing.std,
        batch_size=batch_size,
    )


def run_tests(
    classifier: Classifier,
    datamodule: PhotoDataModule,
    *,
    accelerator: str = "auto",
    rotations: int = 1,
) -> TestResult:
    """Tests a classifier on one device in float32; no photo is padded or counted twice.

    Args:
        classifier: The model.
        datamodule: Has the splits in ``tests``; their photos are decoded.
        accelerator: Lightning's name of the device.
        rotations: See :meth:`bookcls.training.classifier.Classifier.probs`.

    Returns:
        Scores and probabilities; empty if there is no test split.
    """
    if not datamodule.tests:
        return TestResult({}, {})
    try:
        trainer = pl.Trainer(
            accelerator=accelerator,
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
    except MisconfigurationException as error:
        raise BookclsError(f"trainer.accelerator={accelerator}: {error}") from error
    evaluation = Evaluation(
        list(datamodule.tests), len(classifier.class_names), rotations=rotations
    )
    classifier.evaluation = evaluation
    trainer.test(classifier, datamodule=datamodule, verbose=False)
    probs = {split: values.tolist() for split, values in evaluation.probs().items()}
    return TestResult(_with_floors(evaluation.compute(), datamodule.tests), probs)


def mean_of_answers(
    results: Sequence[TestResult], tests: Mapping[str, Sequence[Sample]]
) -> TestResult:
    """Scores the mean of several classifiers' probabilities.

    Args:
        results: The result of each classifier, on the same photos.
        tests: Test split name -> photos.
    """
    metrics: dict[str, float] = {}
    probs: dict[str, list[list[float]]] = {}
    for name, samples in tests.items():
        mean = torch.tensor([result.probs[name] for result in results]).mean(dim=0)
        scores = score_predictions(samples, mean)
        metrics |= {f"test/{name}_{key}": value for key, value in scores.items()}
        probs[name] = mean.tolist()
    return TestResult(dict(sorted(metrics.items())), probs)


def _with_floors(
    metrics: Mapping[str, float], tests: Mapping[str, Sequence[Sample]]
) -> dict[str, float]:
    floors = {f"test/{name}_floor": floor_accuracy(samples) for name, samples in tests.items()}
    return dict(sorted((dict(metrics) | floors).items()))
