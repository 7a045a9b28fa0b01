"""Tests a classifier on every test split, and shows and stores what came out."""

from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException

from bookcls.classifier import Classifier
from bookcls.datamodule import PhotoDataModule
from bookcls.errors import BookclsError
from bookcls.scores import floor


@dataclass(frozen=True)
class TestResult:
    """Metrics by key (``test/<split>_<score>``), and each photo's probabilities by split."""

    __test__ = False  # not a test case

    metrics: dict[str, float]
    probs: dict[str, list[list[float]]]


def run_tests(
    classifier: Classifier,
    datamodule: PhotoDataModule,
    *,
    accelerator: str = "auto",
) -> TestResult:
    """Tests on one device in float32; no photo is padded or counted twice.

    Args:
        classifier: The model.
        datamodule: Its ``tests`` are the splits; their photos are decoded.
        accelerator: Lightning's name of the device.

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
    trainer.test(classifier, datamodule=datamodule, verbose=False)
    metrics = dict(classifier.test_metrics)
    for name, samples in datamodule.tests.items():
        metrics[f"test/{name}_floor"] = floor(samples)
    probs = {name: torch.cat(rows).tolist() for name, rows in classifier.test_probs.items()}
    return TestResult(dict(sorted(metrics.items())), probs)
