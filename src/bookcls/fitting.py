"""One run, once its input is known to be good: fit, test the best weights, store."""

import pickle
import shlex
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback, EarlyStopping, EMAWeightAveraging
from pytorch_lightning.loggers import CSVLogger

from bookcls import runs
from bookcls.callbacks import EpochBar, KeepCheckpoints, LineProgress
from bookcls.classifier import Classifier, load_classifier
from bookcls.console import python, quiet_lightning, say_what_comes, show
from bookcls.datamodule import PhotoDataModule
from bookcls.errors import BookclsError
from bookcls.photos import Decoded
from bookcls.precision import automatic
from bookcls.sampler import OverSampler
from bookcls.samples import PhotoFolder, Sample
from bookcls.settings import TrainConfig
from bookcls.testing import run_tests
from bookcls.weights import SCRATCH, TUNING, Provenance, load_features


def fit_and_test(
    config: TrainConfig,
    run: Path,
    folder: PhotoFolder,
    images: Decoded,
    *,
    split: tuple[list[Sample], list[Sample]],
    ckpt: Path | None,
    started: float,
) -> None:
    """Trains, tests the best checkpoint, prints the table and writes the run folder.

    Args:
        config: The settings.
        run: Folder for the results.
        folder: The dataset.
        images: Its photos, decoded.
        split: Its training part and its validation part.
        ckpt: A ``last.ckpt`` to go on from.
        started: ``time.monotonic()`` when the command began.

    Raises:
        BookclsError: If the settings do not fit the machine, memory runs out or training diverges.
    """
    quiet_lightning()
    train, val = split
    datamodule = PhotoDataModule(
        folder.class_names,
        images,
        train=train,
        val=val,
        tests=folder.tests,
        aug=config.aug,
        oversample=config.data.oversample,
        batch_size=config.data.batch_size,
        num_workers=config.data.num_workers,
        seed=config.seed,
    )
    labels = [s.label for s in train]
    num_drawn = len(OverSampler(labels, seed=0, oversample=config.data.oversample))
    stages = num_epochs(config, num_drawn)
    checkpoints = KeepCheckpoints(run, has_val=bool(val))
    trainer = make_trainer(config, run, checkpoints, epochs=sum(stages))
    classifier, provenance = build(config, folder.class_names, probe_epochs=stages[0])
    if trainer.is_global_zero:
        environment = describe(config, folder, split, trainer, provenance)
        runs.write_json(run / runs.ENVIRONMENT, environment)
        say_what_comes(
            config, folder, split, classifier, num_drawn, stages, warning=provenance.warning
        )
    with explained_failures(config, run):
        trainer.fit(
            classifier,
            datamodule=datamodule,
            ckpt_path=None if ckpt is None else str(ckpt),
            weights_only=True,
        )
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        if not trainer.is_global_zero:
            return
        best = load_classifier(run / runs.BEST)
        result = run_tests(best, datamodule, accelerator=config.trainer.accelerator)
    if folder.tests:
        path = run / runs.PREDICTIONS
        runs.write_predictions(path, folder.class_names, folder.tests, result.probs)
    metrics: dict[str, Any] = {
        **result.metrics,
        **checkpoints.best,
        "weights": provenance.name,
        "weights_source": provenance.source,
        "seconds": round(time.monotonic() - started, 1),
    }
    runs.write_json(run / runs.METRICS, metrics)
    (run / runs.LAST).unlink(missing_ok=True)
    title = f"{'from scratch' if provenance == SCRATCH else provenance.name}, seed {config.seed}"
    show(result.metrics, list(folder.tests), title, warning=provenance.warning)
    print(f"run folder  {run}")
    print(f"test again  {python()} -m bookcls.evaluate ckpt={shlex.quote(str(run))}")


@contextmanager
def explained_failures(config: TrainConfig, run: Path) -> Iterator[None]:
    """Turns what a machine or a user may do to a run into words.

    Raises:
        BookclsError: If memory ran out or a checkpoint is damaged.
    """
    again = f"{python()} -m bookcls.train resume={shlex.quote(str(run))}"
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        # Lightning turns the first Ctrl+C into SystemExit.
        print(f"stopped; go on with  {again}", flush=True)
        raise
    except torch.OutOfMemoryError as error:
        raise BookclsError(
            f"the device ran out of memory: lower data.batch_size={config.data.batch_size} or "
            f"data.image_size={config.data.image_size}."
        ) from error
    except (pickle.UnpicklingError, zipfile.BadZipFile, EOFError, RuntimeError) as error:
        if type(error) is RuntimeError and "PytorchStreamReader" not in str(error):
            raise
        raise BookclsError(
            f"{run / runs.LAST} is damaged; delete it and start the run again with  {again}"
        ) from error


def describe(
    config: TrainConfig,
    folder: PhotoFolder,
    split: tuple[list[Sample], list[Sample]],
    trainer: pl.Trainer,
    provenance: Provenance,
) -> dict[str, Any]:
    """What a result depends on besides the settings, for environment.json."""
    train, val = split
    return runs.environment() | {
        "device": str(trainer.strategy.root_device),
        "precision": trainer.precision,
        "num_processes": trainer.world_size,
        "seed": config.seed,
        "weights": vars(provenance),
        "dataset": {
            "root": str(folder.root),
            "fingerprint": folder.fingerprint(),
            "class_names": folder.class_names,
            "num_train": len(train),
            "num_val": len(val),
            "skipped": [[str(path), why] for path, why in folder.skipped],
        },
    }


def build(
    config: TrainConfig, class_names: list[str], *, probe_epochs: int
) -> tuple[Classifier, Provenance]:
    """The classifier with its first weights, and where they are from."""
    state, provenance = None, SCRATCH
    if config.model.pretrained:
        state, provenance = load_features(config.model.weights)
    pl.seed_everything(config.seed, verbose=False)
    optim, tuning = config.optim, TUNING[provenance.source]
    freeze_to = config.model.freeze_to
    classifier = Classifier(
        class_names,
        image_size=config.data.image_size,
        fit=config.data.fit,
        head=config.model.head,
        dropout=config.model.dropout,
        freeze_to=tuning.freeze_to if freeze_to == "auto" else freeze_to,
        probe_epochs=probe_epochs,
        probe_lr=optim.probe_lr,
        lr=optim.lr or tuning.lr,
        layer_decay=optim.layer_decay,
        warmup_steps=optim.warmup_images // config.data.batch_size,
        weight_decay=optim.weight_decay,
        label_smoothing=optim.label_smoothing,
        seed=config.seed,
        weights=provenance.name,
    )
    if state is not None:
        classifier.model.features.load_state_dict(state)
    return classifier, provenance


def make_trainer(
    config: TrainConfig, run: Path, checkpoints: KeepCheckpoints, *, epochs: int
) -> pl.Trainer:
    """Lightning's Trainer as conf/trainer and conf/optim ask for it.

    Raises:
        BookclsError: If the machine has no such device.
    """
    optim, settings = config.optim, config.trainer
    precision = settings.precision
    if precision == "auto":
        precision = automatic(settings.accelerator)
    terminal = sys.stdout.isatty()
    callbacks: list[Callback] = [LineProgress()]
    if terminal:
        callbacks.append(EpochBar())
    if optim.ema is not None:
        callbacks.append(EMAWeightAveraging(decay=optim.ema))
    if optim.patience is not None and checkpoints.has_val:
        callbacks.append(EarlyStopping("val/loss", patience=optim.patience))
    callbacks.append(checkpoints)
    strategy = "auto"
    if settings.strategy == "ddp" or settings.several:
        # During the probe the features get no gradient, which plain ddp takes for a mistake.
        strategy = "ddp_find_unused_parameters_true" if optim.probe_epochs else "ddp"
    try:
        return pl.Trainer(
            accelerator=settings.accelerator,
            devices=settings.devices,
            num_nodes=settings.num_nodes,
            strategy=strategy,
            precision=precision,  # type: ignore[arg-type]  # checked by TrainerConfig
            max_epochs=epochs,
            limit_train_batches=settings.limit_train_batches,
            limit_val_batches=settings.limit_val_batches,
            gradient_clip_val=optim.clip_norm,
            callbacks=callbacks,
            logger=CSVLogger(run, name="logs"),
            log_every_n_steps=1,
            num_sanity_val_steps=0,
            enable_progress_bar=terminal,
            enable_model_summary=False,
            # The sampler divides the draws; every process validates all held-out photos.
            use_distributed_sampler=False,
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise BookclsError(
            f"trainer.accelerator={settings.accelerator}, trainer.devices={settings.devices}, "
            f"trainer.precision={precision} do not fit this machine: {error}"
        ) from error


def num_epochs(config: TrainConfig, num_drawn: int) -> tuple[int, int]:
    """Epochs of the probe and of fine-tuning, for ``num_drawn`` photos an epoch.

    ``optim.images_seen`` counts both, so that it means the same work with and without a probe.
    Under ``trainer.max_epochs`` the probe gets at most half, so that either stage is tried.
    """
    probe, tune = config.optim.probe_epochs, config.optim.epochs
    if config.optim.images_seen is not None:
        tune = max(1, round(config.optim.images_seen / num_drawn) - probe)
    most = config.trainer.max_epochs
    if most is not None and probe + tune > most:
        probe = min(probe, most // 2)
        tune = most - probe
    return probe, tune
