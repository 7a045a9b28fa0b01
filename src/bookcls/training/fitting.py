"""One run on checked input: trains, tests the best weights and writes the results."""

import shlex
import sys
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from bookcls import runs
from bookcls.composing.gather import print_scenes
from bookcls.composing.sheet import write_sheet, write_table
from bookcls.data.photos import Decoded
from bookcls.data.samples import PhotoFolder, Sample
from bookcls.environment import collect_environment, python_command
from bookcls.errors import BookclsError
from bookcls.models.start import Start
from bookcls.scoring.advice import advise
from bookcls.settings import TrainConfig
from bookcls.storage.files import write_json
from bookcls.training.baseline import fit_baseline, has_features, save_probe
from bookcls.training.callbacks import (
    EpochBar,
    FineTuningEarlyStopping,
    KeepCheckpoints,
    LineProgress,
)
from bookcls.training.checkpoint import load_classifier
from bookcls.training.console import (
    compare_with_probe,
    print_next_steps,
    print_plan,
    print_scores,
    silence_lightning,
)
from bookcls.training.divergence import DivergedError, suggest_gentler
from bookcls.training.interruptions import report_damaged_checkpoint, report_interruptions
from bookcls.training.recipe import build, make_datamodule, make_trainer, num_epochs
from bookcls.training.testing import run_tests
from bookcls.training.trackers import make_loggers


def fit_and_test(
    config: TrainConfig,
    run: Path,
    folder: PhotoFolder,
    images: Decoded,
    *,
    split: tuple[list[Sample], list[Sample]],
    start: Start,
    ckpt: Path | None,
    started: float,
    origin: dict[str, Any],
    part_of: Path | None = None,
) -> None:
    """Trains, tests the best checkpoint, prints the table and writes the run folder.

    Args:
        config: The settings.
        run: Folder for the results.
        folder: The dataset.
        images: Its photos, decoded.
        split: Its training part and its validation part.
        start: The initial weights.
        ckpt: A ``last.ckpt`` to resume from; None for a new run.
        started: ``time.monotonic()`` when the command started.
        origin: Further entries of environment.json: the overrides, the job of a sweep.
        part_of: Folder of the ensemble that this run is a member of.

    Raises:
        BookclsError: If the settings do not fit the machine, memory runs out or training diverges.
    """
    silence_lightning()
    loggers = make_loggers(config.logger, run)
    train, val = split
    datamodule = make_datamodule(config, folder, images, train=train, val=val)
    num_drawn = datamodule.num_drawn
    stages = num_epochs(config, num_drawn)
    # Views of the last epoch would never be replayed.
    datamodule.cached_views = min(config.data.cached_views, max(0, sum(stages) - 1))
    checkpoints = KeepCheckpoints(run, has_val=bool(val))
    terminal = sys.stdout.isatty()
    progress = LineProgress()
    callbacks: list[Callback] = [progress, *([EpochBar()] if terminal else []), checkpoints]
    if config.optim.patience is not None and val:
        callbacks.append(FineTuningEarlyStopping(config.optim.patience, probe_epochs=stages[0]))
    trainer = make_trainer(
        config,
        epochs=sum(stages),
        callbacks=callbacks,
        loggers=loggers,
        progress_bar=terminal,
    )
    classifier = build(
        config, folder.class_names, start=start, probe_epochs=stages[0], load=ckpt is None
    )
    if trainer.is_global_zero:
        environment = describe_run(config, folder, split, trainer) | start.to_dict() | origin
        write_json(run / runs.ENVIRONMENT, environment)
        print_plan(config, folder, split, classifier, num_drawn, stages, warning=start.warning)
        if datamodule.scenes is not None:
            table, sheet = run / runs.CUTOUTS, run / runs.SCENES
            write_table(table, datamodule.scenes.cutouts, folder.class_names)
            write_sheet(sheet, datamodule.scenes, folder.class_names, train)
            print_scenes(datamodule.scenes, folder.class_names, table, sheet)
    baseline = None
    resume_command = (
        f"{python_command()} -m bookcls.train resume={shlex.quote(str(part_of or run))}"
    )
    with report_interruptions(config.data, resume_command):
        if trainer.is_global_zero and has_features(start):
            print("probe    a linear model on the frozen features, for comparison", flush=True)
            baseline = fit_baseline(
                start,
                train,
                images,
                len(folder.class_names),
                accelerator=config.trainer.accelerator,
                seed=config.seed,
            )
            save_probe(run, baseline.probe)
            if config.model.head == "linear" and ckpt is None:
                classifier.load_probe(baseline.probe.weight, baseline.probe.bias)
        if not sum(stages) and (baseline is None or config.model.head != "linear"):
            raise BookclsError(
                "optim.epochs=0 leaves the model untrained: it requires model.head=linear and "
                "model.pretrained=true, whose head starts from the probe (experiment=probe)."
            )
        with report_damaged_checkpoint(ckpt, progress, resume_command):
            if sum(stages):
                trainer.fit(
                    classifier,
                    datamodule=datamodule,
                    ckpt_path=None if ckpt is None else str(ckpt),
                    weights_only=True,
                )
            else:
                checkpoints.best = {"epoch": 0}
                checkpoints.save_best(trainer, classifier)
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        if not trainer.is_global_zero:
            return
        if not checkpoints.best:
            raise DivergedError(
                "training diverged: the validation loss was not a finite number after any epoch, "
                f"so there are no weights to keep. {suggest_gentler(classifier.hparams['lr'])}"
            )
        best = load_classifier(run / runs.BEST)
        result = run_tests(best, datamodule, accelerator=config.trainer.accelerator)
        if baseline is not None:
            result.metrics.update(baseline.metrics(folder.tests, images, result.probs))
    if folder.tests:
        path = run / runs.PREDICTIONS
        runs.write_predictions(path, folder.class_names, folder.tests, result.probs)
    metrics: dict[str, Any] = {
        **result.metrics,
        **checkpoints.best,
        "weights": start.name,
        "weights_source": start.source,
        "seconds": round(time.monotonic() - started, 1),
    }
    write_json(run / runs.METRICS, metrics)
    (run / runs.LAST).unlink(missing_ok=True)
    title = f"{'from scratch' if start.path is None else start.name}, seed {config.seed}"
    print_scores(result.metrics, list(folder.tests), title, warning=start.warning)
    if part_of is not None:
        return
    if sum(stages):
        for line in compare_with_probe(result.metrics, list(folder.tests)):
            print(f"- {line}")
    for line in advise(folder.class_names, folder.tests, result.probs, result.metrics):
        print(f"- {line}")
    print_next_steps(run)


def describe_run(
    config: TrainConfig,
    folder: PhotoFolder,
    split: tuple[list[Sample], list[Sample]],
    trainer: pl.Trainer,
) -> dict[str, Any]:
    """Collects what a result depends on besides the settings, for environment.json.

    Args:
        config: The settings.
        folder: The dataset.
        split: Its training part and its validation part.
        trainer: Knows device, precision and number of processes.
    """
    train, val = split
    return collect_environment() | {
        "device": str(trainer.strategy.root_device),
        "precision": trainer.precision,
        "num_processes": trainer.world_size,
        "seed": config.seed,
        "dataset": {
            "root": str(folder.root),
            "fingerprint": folder.fingerprint(),
            "class_names": folder.class_names,
            "num_train": len(train),
            "num_val": len(val),
            "skipped": [[str(path), why] for path, why in folder.skipped],
        },
    }
