"""Tests a classifier on every test split, and shows and stores what came out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.table import Table

from bookcls.classifier import Classifier
from bookcls.datamodule import PhotoDataModule
from bookcls.runs import PREDICTIONS, write_predictions
from bookcls.samples import Sample
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
    """Tests on one device in full precision; no photo is padded or counted twice.

    Args:
        classifier: The model.
        datamodule: Its ``tests`` are the splits; their photos are decoded.
        accelerator: Lightning's name of the device.

    Returns:
        Scores and probabilities; nothing where there is no test split.
    """
    if not datamodule.tests:
        return TestResult({}, {})
    trainer = pl.Trainer(
        accelerator=accelerator,
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    trainer.test(classifier, datamodule=datamodule, verbose=False)
    metrics = dict(classifier.test_metrics)
    for name, samples in datamodule.tests.items():
        metrics[f"test/{name}_floor"] = floor(samples)
    probs = {name: torch.cat(rows).tolist() for name, rows in classifier.test_probs.items()}
    return TestResult(dict(sorted(metrics.items())), probs)


def store(
    folder: Path,
    result: TestResult,
    class_names: Sequence[str],
    tests: Mapping[str, Sequence[Sample]],
) -> None:
    """Writes ``predictions.csv``."""
    if tests:
        write_predictions(folder / PREDICTIONS, class_names, tests, result.probs)


def show(metrics: Mapping[str, float], splits: Sequence[str], title: str) -> None:
    """Prints one row per test split: counts, accuracy with its interval, floor and NLL."""
    console = Console(highlight=False)
    if not splits:
        console.print(
            "No test photos: nothing is known about how well this classifier does on photos that "
            "it has not seen. Put some, labelled, into test/<class>/ and run evaluate."
        )
        return
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.add_column("test split")
    for column in ("correct", "accuracy", "95 % interval", "floor", "NLL", "strict"):
        table.add_column(column, justify="right")
    for name in splits:
        m = {
            key.removeprefix(f"test/{name}_"): value
            for key, value in metrics.items()
            if key.startswith(f"test/{name}_")
        }
        strict = m.get("strict_acc", math.nan)
        table.add_row(
            name,
            f"{m['correct']}/{m['n']}",
            f"{m['acc']:.2f}",
            f"{m['ci_low']:.2f} - {m['ci_high']:.2f}",
            f"{m['floor']:.2f}",
            f"{m['nll']:.2f}",
            "-" if math.isnan(strict) else f"{strict:.2f} of {m['strict_n']}",
        )
    table.caption = (
        "correct: the answer is one of the photo's accepted classes\n"
        "floor: accuracy of the best constant answer\n"
        "strict: only photos where one class leads, and only that class"
    )
    console.print(table)
