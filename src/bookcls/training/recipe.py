"""Builds the data module, the classifier and the trainer from the settings."""

from collections.abc import Sequence
from dataclasses import replace

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback, Checkpoint, EMAWeightAveraging
from pytorch_lightning.loggers import Logger

from bookcls.composing.gather import make_scenes
from bookcls.data.photos import Decoded
from bookcls.data.samples import PhotoFolder, Sample
from bookcls.errors import BookclsError
from bookcls.models.layers import first_trained
from bookcls.models.precision import choose_precision
from bookcls.models.start import Start
from bookcls.settings import TrainConfig
from bookcls.training.classifier import Classifier
from bookcls.training.datamodule import PhotoDataModule


def with_start(config: TrainConfig, start: Start) -> TrainConfig:
    """Replaces ``auto`` and null in the settings by the values chosen for the weights."""
    freeze_to = config.model.freeze_to
    return replace(
        config,
        model=replace(
            config.model, freeze_to=start.freeze_to if freeze_to == "auto" else freeze_to
        ),
        optim=replace(config.optim, lr=config.optim.lr or start.lr),
    )


def make_datamodule(
    config: TrainConfig,
    folder: PhotoFolder,
    images: Decoded,
    *,
    train: Sequence[Sample],
    val: Sequence[Sample] = (),
) -> PhotoDataModule:
    """Builds the data module from conf/data and conf/aug.

    Args:
        config: The settings.
        folder: The dataset.
        images: Its photos, decoded.
        train: Training part of the training photos.
        val: Validation part, or nothing.

    Raises:
        BookclsError: If scenes are enabled and nothing can be cut out of the training part.
    """
    data = config.data
    return PhotoDataModule(
        folder.class_names,
        images,
        train=train,
        val=val,
        tests=folder.tests,
        aug=config.aug,
        scenes=make_scenes(config.aug, data, folder, train),
        oversample=data.oversample,
        batch_size=data.batch_size,
        num_workers=data.num_workers,
        cached_views=data.cached_views,
        cache_mb=data.cache_mb,
        seed=config.seed,
    )


def build(
    config: TrainConfig,
    class_names: list[str],
    *,
    start: Start,
    probe_epochs: int,
    load: bool = True,
) -> Classifier:
    """Builds the classifier with its initial weights.

    Args:
        config: The settings.
        class_names: Sorted class names.
        start: The weights, and the defaults for fine-tuning them.
        probe_epochs: Epochs in which only the head is trained.
        load: Whether to load the weights; False if a checkpoint will replace them.

    Raises:
        BookclsError: If the weights no longer exist, or ``data.cached_views`` is set and no layer
            is frozen.
    """
    state = start.load() if load else None
    init_seed = config.model.init_seed
    pl.seed_everything(config.seed if init_seed is None else init_seed, verbose=False)
    config = with_start(config, start)
    if config.data.cached_views and not first_trained(config.model.freeze_to):
        raise BookclsError(
            f"data.cached_views={config.data.cached_views} caches the output of frozen layers, "
            f"and model.freeze_to={config.model.freeze_to} freezes none: add "
            "model.freeze_to=block4_conv1, or data.cached_views=0."
        )
    optim = config.optim
    assert optim.lr is not None
    classifier = Classifier(
        class_names,
        image_size=config.data.image_size,
        fit=config.data.fit,
        head=config.model.head,
        dropout=config.model.dropout,
        freeze_to=config.model.freeze_to,
        probe_epochs=probe_epochs,
        probe_lr=optim.probe_lr,
        lr=optim.lr,
        layer_decay=optim.layer_decay,
        warmup_steps=optim.warmup_images // config.data.batch_size,
        weight_decay=optim.weight_decay,
        label_smoothing=optim.label_smoothing,
        seed=config.seed,
        weights=start.name,
        activation=config.model.activation,
    )
    if state is not None:
        classifier.model.features.load_state_dict(state)
    return classifier


def make_trainer(
    config: TrainConfig,
    *,
    epochs: int,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
    progress_bar: bool = False,
) -> pl.Trainer:
    """Builds Lightning's Trainer from conf/trainer and conf/optim.

    Args:
        config: The settings.
        epochs: Number of epochs.
        callbacks: Callbacks, in addition to the moving average of ``optim.ema``.
        loggers: Loggers, if any.
        progress_bar: Whether to show a progress bar.

    Raises:
        BookclsError: If the machine has no such device.
    """
    optim, settings = config.optim, config.trainer
    precision = settings.precision
    if precision == "auto":
        precision = choose_precision(settings.accelerator)
    averages = [] if optim.ema is None else [EMAWeightAveraging(decay=optim.ema)]
    strategy = "auto"
    if settings.strategy == "ddp" or settings.is_distributed:
        # In the probe stage the features get no gradient, which plain ddp reports as an error.
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
            callbacks=[*averages, *callbacks],
            logger=list(loggers),
            log_every_n_steps=1,
            num_sanity_val_steps=0,
            enable_checkpointing=any(isinstance(c, Checkpoint) for c in callbacks),
            enable_progress_bar=progress_bar,
            enable_model_summary=False,
            # Our sampler divides the draws; every process validates on all held-out photos.
            use_distributed_sampler=False,
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise BookclsError(
            f"trainer.accelerator={settings.accelerator}, trainer.devices={settings.devices}, "
            f"trainer.precision={precision} are not supported on this machine: {error}"
        ) from error


def num_epochs(config: TrainConfig, num_drawn: int) -> tuple[int, int]:
    """Number of epochs of the probe stage and of fine-tuning.

    ``optim.images_seen`` counts both, so that it means the same work with and without a probe
    stage. With ``trainer.max_epochs``, the probe stage gets at most half, so that both stages run.

    Args:
        config: The settings.
        num_drawn: Images per epoch.
    """
    probe, tune = config.optim.probe_epochs, config.optim.epochs
    if config.optim.images_seen is not None:
        tune = max(1, round(config.optim.images_seen / num_drawn) - probe)
    limit = config.trainer.max_epochs
    if limit is not None and probe + tune > limit:
        probe = min(probe, limit // 2)
        tune = limit - probe
    return probe, tune
