"""Tests a classifier on every test split, and shows and stores what came out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException

from bookcls.data.photos import Decoded
from bookcls.data.samples import Sample
from bookcls.errors import BookclsError
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
    """Test photos as a classifier wants them, without any that train.

    Args:
        classifier: The model.
        images: The photos, decoded at its size.
        tests: Test split name -> photos.
        batch_size: Photos a step.
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
    """Tests on one device in float32; no photo is padded or counted twice.

    Args:
        classifier: The model.
        datamodule: Its ``tests`` are the splits; their photos are decoded.
        accelerator: Lightning's name of the device.
        rotations: See :meth:`bookcls.training.classifier.Classifier.probs`.

    Returns:
        Scores and probabilities; nothing where there is no test split.
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
    classifier.test_rotations = rotations
    trainer.test(classifier, datamodule=datamodule, verbose=False)
    probs = {name: torch.cat(rows).tolist() for name, rows in classifier.test_probs.items()}
    return TestResult(_with_floors(classifier.test_metrics, datamodule.tests), probs)


def mean_of_answers(
    results: Sequence[TestResult], tests: Mapping[str, Sequence[Sample]]
) -> TestResult:
    """What several classifiers would have scored together, each photo by their mean answer.

    Args:
        results: Of one classifier each, on the same photos.
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
