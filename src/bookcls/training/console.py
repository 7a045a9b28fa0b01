"""Prints the plan before training, and the scores after it."""

import logging
import math
import shlex
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bookcls.data.samples import PhotoFolder, Sample, list_visible
from bookcls.environment import python_command
from bookcls.models.vgg16 import count_parameters
from bookcls.scoring.statistics import LEVEL
from bookcls.settings import TrainConfig
from bookcls.training.classifier import Classifier


def print_plan(
    config: TrainConfig,
    folder: PhotoFolder,
    split: tuple[list[Sample], list[Sample]],
    classifier: Classifier,
    num_drawn: int,
    stages: tuple[int, int],
    *,
    warning: str = "",
) -> None:
    """Prints a summary of the photos, the model, the weights and the training budget.

    Args:
        config: The settings.
        folder: The dataset.
        split: Its training part and its validation part.
        classifier: The model.
        num_drawn: Images per epoch.
        stages: Epochs of the probe stage and of fine-tuning.
        warning: A warning about the weights, or "".
    """
    num_train, num_val = map(len, split)
    for path in unused_folders(folder.root):
        print(f"warning: {path} is not used; test photos belong in test/ or test_<name>/.")
    if skipped := str(folder.leavings):
        print(f"skipped  {skipped}")
    for path, why in folder.skipped:
        print(f"left out  {path.relative_to(folder.root)}: {why}")
    tests = ", ".join(f"{name} {len(samples)}" for name, samples in folder.tests.items())
    print(
        f"photos   {folder.root}: {len(folder.class_names)} classes, {num_train} to train, "
        f"{num_val} to validate, test: {tests or 'none'}"
    )
    model = classifier.model
    num_trainable = count_parameters(model, trainable_only=True) / 1e6
    probe, tune = stages
    if probe + tune:
        print(
            f"model    VGG16, {'fine-tuned' if config.model.pretrained else 'from scratch'}, "
            f"{num_trainable:.1f} of {count_parameters(model) / 1e6:.1f} "
            f"M parameters are trained, {config.data.image_size} px"
        )
    else:
        print(f"model    VGG16, frozen, and a linear classifier, {config.data.image_size} px")
    print(f"weights  {classifier.hparams['weights']}")
    if warning:
        print(f"warning: {warning}")
        print("         (model.weights=rendered selects these weights, model.weights=keras others)")
    probed = f"{probe} epochs of the head only, then " if probe else ""
    if probe + tune:
        print(f"budget   {probed}{tune} epochs of {num_drawn} images")
    if not config.model.pretrained and model.first_trained:
        print(
            f"warning: model.freeze_to={config.model.freeze_to} freezes randomly initialised "
            "layers, since model.pretrained=false."
        )
    if config.data.batch_size > num_drawn:
        print(
            f"warning: data.batch_size={config.data.batch_size} is larger than an epoch's "
            f"{num_drawn} images, so each step sees all of them."
        )
    if not num_val:
        print("note: no photos are held out; the last weights are kept.")
        if config.optim.patience is not None:
            print("warning: optim.patience needs held-out photos and has no effect.")


def unused_folders(root: Path) -> list[Path]:
    """Finds folders whose name suggests that they were meant for testing or validation."""
    return [
        path
        for path in list_visible(root)
        if path.is_dir()
        and path.name.lower().startswith(("test", "val"))
        and path.name != "test"
        and not path.name.startswith("test_")
    ]


def print_scores(
    metrics: Mapping[str, float], splits: Sequence[str], title: str, *, warning: str = ""
) -> None:
    """Prints a table with one row per test split: counts, accuracy with its interval, floor, NLL.

    Args:
        metrics: Scores by key, ``test/<split>_<score>``.
        splits: Names of the test splits, in the order of the rows.
        title: Title of the table.
        warning: A warning to print below it, or "".
    """
    console = Console(highlight=False)
    if not splits:
        console.print(
            "No test photos: nothing is known about the accuracy on photos that the classifier has "
            "not seen. Put labelled photos into test/<class>/ and run evaluate."
        )
        return
    table = Table(title=escape(title), title_justify="left", caption_justify="left")
    table.add_column("test split")
    for column in ("correct", "accuracy", "95 % interval", "floor", "NLL", "strict"):
        table.add_column(column, justify="right")
    probed = False
    for name in splits:
        for kind, label in (("test", escape(name)), ("probe", "  probe")):
            scores = {
                key.removeprefix(f"{kind}/{name}_"): value
                for key, value in metrics.items()
                if key.startswith(f"{kind}/{name}_")
            }
            if scores:
                probed |= kind == "probe"
                table.add_row(label, *format_scores(scores))
    table.caption = (
        "correct: predictions that are one of the photo's accepted classes\n"
        "floor: accuracy of the best constant prediction\n"
        "strict: only photos with a dominant class, and only that class"
    )
    if probed:
        table.caption += "\nprobe: a linear model on the same features before any training"
    if warning:
        table.caption += f"\nwarning: {escape(warning)}"
    console.print(table)


def format_scores(scores: Mapping[str, float]) -> list[str]:
    """Formats the scores of a split, for the columns after its name."""
    strict = scores.get("strict_acc", math.nan)
    return [
        f"{scores['correct']}/{scores['n']}",
        f"{scores['acc']:.2f}",
        f"{scores['ci_low']:.2f} - {scores['ci_high']:.2f}",
        f"{scores['floor']:.2f}",
        f"{scores['nll']:.2f}",
        "-" if math.isnan(strict) else f"{strict:.2f} of {scores['strict_n']}",
    ]


def compare_with_probe(metrics: Mapping[str, float], splits: Sequence[str]) -> list[str]:
    """Describes, for each test split, whether fine-tuning improved on the probe (paired test).

    Args:
        metrics: Scores by key, including those of the probe, if any.
        splits: Names of the test splits.
    """
    lines = []
    for name in splits:
        if f"probe/{name}_p" not in metrics:
            continue
        model, probe, p = (
            metrics[f"probe/{name}_{key}"] for key in ("only_model", "only_probe", "p")
        )
        if model == probe:
            verdict = "gets as many photos right as the probe"
        elif model > probe:
            verdict = "gets more photos right than the probe"
        else:
            verdict = "gets fewer photos right than the probe"
        clear = "" if p < LEVEL or model == probe else "; could be due to chance"
        lines.append(
            f"{name}: the fine-tuned model {verdict} ({model:.0f} that the probe gets wrong, "
            f"against {probe:.0f} the other way round; p = {p:.2g}{clear})"
        )
    return lines


def print_next_steps(run: Path) -> None:
    """Prints what can be done with a finished run."""
    quoted = shlex.quote(str(run))
    print(f"run folder     {run}")
    print(f"explain it     {python_command()} -m bookcls.cam ckpt={quoted}")
    print(f"use it         {python_command()} -m bookcls.predict ckpt={quoted} images=DIR")
    print(f"test again     {python_command()} -m bookcls.evaluate ckpt={quoted}")


def silence_lightning() -> None:
    """Silences Lightning's messages that are of no use to users of these commands."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    # Photos are already in memory: on a CPU, workers would only take cores from the convolutions.
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    # With data.val_fraction=0 there are no validation photos.
    warnings.filterwarnings("ignore", "Total length of `list` across ranks is zero")
    # A deprecated torch API inside Lightning's tree handling.
    warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)
