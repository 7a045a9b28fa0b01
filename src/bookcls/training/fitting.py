"""One run on checked input: trains, tests the best weights, and stores the results."""

import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
from bookcls.environment import collect_environment
from bookcls.errors import BookclsError
from bookcls.files import write_json
from bookcls.models.start import Start
from bookcls.models.state_dict import UNREADABLE
from bookcls.scoring.advice import advise
from bookcls.settings import DataConfig, TrainConfig
from bookcls.training.baseline import fit_baseline, has_features, save_probe
from bookcls.training.callbacks import EpochBar, KeepCheckpoints, LineProgress, Patience
from bookcls.training.checkpoint import load_classifier
from bookcls.training.console import (
    compare_with_probe,
    print_next_steps,
    print_plan,
    python_command,
    show,
    silence_lightning,
)
from bookcls.training.devices import ran_out_of_memory
from bookcls.training.divergence import DivergedError, suggest_gentler
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
        start: The first weights.
        ckpt: A ``last.ckpt`` to resume from.
        started: ``time.monotonic()`` when the command began.
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
    # The views of the last epoch are not used again.
    datamodule.cached_views = min(config.data.cached_views, max(0, sum(stages) - 1))
    checkpoints = KeepCheckpoints(run, has_val=bool(val))
    terminal = sys.stdout.isatty()
    progress = LineProgress()
    callbacks: list[Callback] = [progress, *([EpochBar()] if terminal else []), checkpoints]
    if config.optim.patience is not None and val:
        callbacks.append(Patience(config.optim.patience, probe_epochs=stages[0]))
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
        environment = describe(config, folder, split, trainer) | start.record() | origin
        write_json(run / runs.ENVIRONMENT, environment)
        print_plan(config, folder, split, classifier, num_drawn, stages, warning=start.warning)
        if datamodule.scenes is not None:
            table, sheet = run / runs.CUTOUTS, run / runs.SCENES
            write_table(table, datamodule.scenes.cutouts, folder.class_names)
            write_sheet(sheet, datamodule.scenes, folder.class_names, train)
            print_scenes(datamodule.scenes, folder.class_names, table, sheet)
    baseline = None
    again = f"{python_command()} -m bookcls.train resume={shlex.quote(str(part_of or run))}"
    with report_stops(config.data, again):
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
                "optim.epochs=0 leaves the model untrained: it is for model.head=linear with "
                "model.pretrained=true, whose head starts as the probe (experiment=probe)."
            )
        with report_damage(ckpt, progress, again):
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
    show(result.metrics, list(folder.tests), title, warning=start.warning)
    if part_of is not None:
        return
    if sum(stages):
        for line in compare_with_probe(result.metrics, list(folder.tests)):
            print(f"- {line}")
    for line in advise(folder.class_names, folder.tests, result.probs, result.metrics):
        print(f"- {line}")
    print_next_steps(run)


@contextmanager
def report_stops(data: DataConfig, again: str) -> Iterator[None]:
    """Explains how to continue after Ctrl+C, a full disk, or out of memory.

    Args:
        data: Has the settings that determine the use of memory.
        again: The command that continues the run.

    Raises:
        BookclsError: If memory or disk space ran out.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        # Lightning turns the first Ctrl+C into SystemExit. The program is ending, and another
        # Ctrl+C must not cut off its message.
        with suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        print(f"stopped; go on with  {again}", flush=True)
        if isinstance(stop, KeyboardInterrupt):
            raise SystemExit(130) from stop
        raise
    except OSError as error:
        # The disk is full, missing or read-only.
        raise BookclsError(f"{error}. Fix this, then go on with  {again}") from error
    except (RuntimeError, MemoryError, ImportError) as error:
        if not ran_out_of_memory(error):
            raise
        raise BookclsError(
            f"the device ran out of memory: lower data.batch_size={data.batch_size} or "
            f"data.image_size={data.image_size}."
        ) from error


@contextmanager
def report_damage(ckpt: Path | None, progress: LineProgress, again: str) -> Iterator[None]:
    """Explains which file to delete if the checkpoint to resume from cannot be read.

    Args:
        ckpt: The checkpoint; None for a run from its start.
        progress: Knows whether it has been read.
        again: The command that continues the run.

    Raises:
        BookclsError: If it is damaged or belongs to another run.
    """
    try:
        yield
    except UNREADABLE as error:
        # A full disk or too little memory does not mean that the file is damaged.
        if ckpt is None or progress.begun or isinstance(error, OSError) or ran_out_of_memory(error):
            raise
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise BookclsError(
            f"{ckpt} is damaged ({first[0][:120]}); delete it and start the run again with  {again}"
        ) from error


def describe(
    config: TrainConfig,
    folder: PhotoFolder,
    split: tuple[list[Sample], list[Sample]],
    trainer: pl.Trainer,
) -> dict[str, Any]:
    """Describes for environment.json what a result depends on besides the settings."""
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
