"""One run, once its input is known to be good: fit, test the best weights, store."""

import logging
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback, EarlyStopping, EMAWeightAveraging, RichProgressBar
from pytorch_lightning.loggers import CSVLogger

from bookcls import runs
from bookcls.callbacks import KeepCheckpoints, LineProgress
from bookcls.classifier import Classifier, load_classifier
from bookcls.config import OptimConfig, TrainConfig
from bookcls.datamodule import PhotoDataModule
from bookcls.errors import BookclsError
from bookcls.photos import Decoded
from bookcls.sampler import OverSampler
from bookcls.samples import PhotoFolder, split_train_val
from bookcls.testing import run_tests, show, store
from bookcls.vgg16 import num_parameters
from bookcls.weights import SCRATCH, Provenance, load_features


def fit_and_test(
    config: TrainConfig,
    run: Path,
    folder: PhotoFolder,
    images: Decoded,
    *,
    ckpt: Path | None,
    started: float,
) -> None:
    """Trains, tests the best checkpoint, prints the table and writes the run folder.

    Args:
        config: The settings.
        run: Folder for the results.
        folder: The dataset.
        images: Its photos, decoded.
        ckpt: A ``last.ckpt`` to go on from.
        started: ``time.monotonic()`` when the command began.

    Raises:
        BookclsError: If the settings do not fit the machine, memory runs out or training diverges.
    """
    quiet_lightning()
    train_samples, val_samples = split_train_val(
        folder.train, folder.class_names, config.data.val_fraction, config.seed
    )
    datamodule = PhotoDataModule(
        folder.class_names,
        images,
        train=train_samples,
        val=val_samples,
        tests=folder.tests,
        aug=config.aug,
        oversample=config.data.oversample,
        batch_size=config.data.batch_size,
        num_workers=config.data.num_workers,
        seed=config.seed,
    )
    labels = [s.label for s in train_samples]
    num_drawn = len(OverSampler(labels, seed=0, oversample=config.data.oversample))
    classifier, provenance = build(config, folder.class_names)
    checkpoints = KeepCheckpoints(run)
    say_what_comes(config, folder, len(train_samples), len(val_samples), classifier, num_drawn)
    try:
        trainer = make_trainer(config, run, checkpoints, num_drawn, bool(val_samples))
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
    except (KeyboardInterrupt, SystemExit):
        # Lightning turns the first Ctrl+C into SystemExit.
        print(f"stopped; go on with  python -m bookcls.train resume={run}", flush=True)
        raise
    except MisconfigurationException as error:
        raise BookclsError(f"these trainer settings do not fit this machine: {error}") from error
    except torch.OutOfMemoryError as error:
        raise BookclsError(
            f"the device ran out of memory: lower data.batch_size={config.data.batch_size} or "
            f"data.image_size={config.data.image_size}."
        ) from error
    store(run, result, folder.class_names, folder.tests)
    runs.write_json(
        run / runs.ENVIRONMENT,
        runs.environment()
        | {
            "device": str(trainer.strategy.root_device),
            "seed": config.seed,
            "weights": vars(provenance),
            "dataset": {
                "root": str(folder.root),
                "fingerprint": folder.fingerprint(),
                "class_names": folder.class_names,
                "num_train": len(train_samples),
                "num_val": len(val_samples),
                "skipped": [[str(path), why] for path, why in folder.skipped],
            },
        },
    )
    metrics: dict[str, Any] = {
        **result.metrics,
        **checkpoints.best,
        "weights": provenance.name,
        "seconds": round(time.monotonic() - started, 1),
    }
    (run / runs.LAST).unlink(missing_ok=True)
    runs.write_json(run / runs.METRICS, metrics)
    title = f"{'from scratch' if provenance == SCRATCH else provenance.name}, seed {config.seed}"
    show(result.metrics, list(folder.tests), title)
    print(f"run folder  {run}")
    print(f"test again  python -m bookcls.evaluate ckpt={run}")


def build(config: TrainConfig, class_names: list[str]) -> tuple[Classifier, Provenance]:
    """The classifier with its first weights, and where they are from."""
    state, provenance = None, SCRATCH
    if config.model.pretrained:
        state, provenance = load_features(config.model.weights)
    pl.seed_everything(config.seed, verbose=False)
    optim = config.optim
    classifier = Classifier(
        class_names,
        image_size=config.data.image_size,
        fit=config.data.fit,
        head=config.model.head,
        dropout=config.model.dropout,
        freeze_to=config.model.freeze_to,
        probe_epochs=optim.probe_epochs,
        probe_lr=optim.probe_lr,
        lr=optim.lr,
        layer_decay=optim.layer_decay,
        warmup_steps=optim.warmup_images // config.data.batch_size,
        weight_decay=optim.weight_decay,
        label_smoothing=optim.label_smoothing,
        seed=config.seed,
        weights=provenance.name,
    )
    if state is not None:
        classifier.model.features.load_state_dict(state)
        print(f"weights  {provenance.name}: {len(state)} of {len(state)} tensors loaded")
    return classifier, provenance


def make_trainer(
    config: TrainConfig, run: Path, checkpoints: KeepCheckpoints, num_drawn: int, has_val: bool
) -> pl.Trainer:
    """Lightning's Trainer as conf/trainer and conf/optim ask for it."""
    optim, settings = config.optim, config.trainer
    terminal = sys.stdout.isatty()
    callbacks: list[Callback] = [RichProgressBar() if terminal else LineProgress()]
    if optim.ema is not None:
        callbacks.append(EMAWeightAveraging(decay=optim.ema))
    if optim.patience is not None and has_val:
        callbacks.append(EarlyStopping("val/loss", patience=optim.patience))
    callbacks.append(checkpoints)
    strategy = settings.strategy
    if strategy == "ddp" and optim.probe_epochs:
        # During the probe the features get no gradient, which plain ddp takes for a mistake.
        strategy = "ddp_find_unused_parameters_true"
    epochs = num_epochs(optim, num_drawn)
    return pl.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        strategy=strategy,
        precision=settings.precision,  # type: ignore[arg-type]  # a str checked by TrainerConfig
        max_epochs=min(epochs, settings.max_epochs or epochs),
        limit_train_batches=settings.limit_train_batches,
        limit_val_batches=settings.limit_val_batches,
        gradient_clip_val=optim.clip_norm,
        callbacks=callbacks,
        logger=CSVLogger(run, name="logs"),
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        enable_progress_bar=terminal,
        enable_model_summary=False,
        # The sampler divides the draws itself; every process validates all held-out photos.
        use_distributed_sampler=False,
    )


def num_epochs(optim: OptimConfig, num_drawn: int) -> int:
    """Epochs in all, probe included, for ``num_drawn`` photos an epoch."""
    epochs = optim.epochs
    if optim.images_seen is not None:
        epochs = max(1, round(optim.images_seen / num_drawn))
    return optim.probe_epochs + epochs


def say_what_comes(
    config: TrainConfig,
    folder: PhotoFolder,
    num_train: int,
    num_val: int,
    classifier: Classifier,
    num_drawn: int,
) -> None:
    """Prints in a few lines, in the first process, what will be trained on what."""
    if os.environ.get("LOCAL_RANK", "0") != "0":
        return
    for path, why in folder.skipped:
        print(f"left out  {path.relative_to(folder.root)}: {why}")
    tests = ", ".join(f"{name} {len(samples)}" for name, samples in folder.tests.items())
    print(
        f"photos   {folder.root}: {len(folder.class_names)} classes, {num_train} to train, "
        f"{num_val} to validate, test: {tests or 'none'}"
    )
    model, frozen = classifier.model, config.model.freeze_to
    print(
        f"model    VGG16, {'fine-tuned' if config.model.pretrained else 'from scratch'}, "
        f"{num_parameters(model, trained=True) / 1e6:.1f} of {num_parameters(model) / 1e6:.1f} M "
        f"parameters train, {config.data.image_size} px"
    )
    print(f"budget   {num_epochs(config.optim, num_drawn)} epochs of {num_drawn} images")
    if not config.model.pretrained and model.first_trained:
        print(
            f"warning: model.freeze_to={frozen} freezes layers that are random, since "
            "model.pretrained=false."
        )
    if config.data.batch_size > num_drawn:
        print(
            f"warning: data.batch_size={config.data.batch_size} is larger than an epoch's "
            f"{num_drawn} images, so each step sees all of them."
        )
    if not num_val:
        print("note: no photo is held out; the last weights are kept.")
        if config.optim.patience is not None:
            print("warning: optim.patience needs held-out photos and has no effect.")


def quiet_lightning() -> None:
    """Silences Lightning's notes that cannot help a user of these commands."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    # Photos are in memory already: on a CPU workers would only take cores from the convolutions.
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    # Without validation photos there is nothing to validate, as data.val_fraction=0 asks for.
    warnings.filterwarnings("ignore", "Total length of `list` across ranks is zero")
    # torch's own deprecation inside Lightning's tree handling.
    warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)
