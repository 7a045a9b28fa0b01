"""Runs pretraining: covers, scenes, Lightning, and the resulting weights."""

import os
import platform
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback, RichProgressBar, WeightAveraging
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from bookcls import runs
from bookcls.config import full_path
from bookcls.environment import collect_environment, python_command
from bookcls.errors import BookclsError
from bookcls.models.precision import choose_precision
from bookcls.models.state_dict import UNREADABLE
from bookcls.pretraining.bank import Bank, open_bank
from bookcls.pretraining.data import SceneData, default_cache
from bookcls.pretraining.export import write_card, write_weights
from bookcls.pretraining.identities import BASE, UNKNOWN_BASE
from bookcls.pretraining.module import Pretrainer
from bookcls.pretraining.rounds import Rounds
from bookcls.pretraining.settings import CARD, WEIGHTS, PretrainConfig
from bookcls.pretraining.sheet import write_sheet
from bookcls.training.console import silence_lightning
from bookcls.training.devices import ran_out_of_memory


def pretrain(config: PretrainConfig, run: Path, *, ckpt: Path | None, started: float) -> None:
    """Trains, and writes weights and card, also when time was up before the last step.

    Args:
        config: The settings.
        run: Folder for the results.
        ckpt: A ``last.ckpt`` to resume from.
        started: ``time.monotonic()`` when the command began.

    Raises:
        BookclsError: If the settings do not fit the machine, ``ckpt`` is damaged, memory runs out
            or training diverges.
    """
    silence_lightning()
    again = f"{python_command()} -m bookcls.pretrain resume={shlex.quote(str(run))}"
    if ckpt is not None:
        read_checkpoint(ckpt, again)
    rounds = Rounds(run, config, started)
    # Before covers are drawn, which takes minutes: there may be no such device.
    trainer = make_trainer(config, run, rounds)
    num_workers = count_workers(config)
    bank = make_bank(config, num_workers)
    data = SceneData(bank, config, num_workers)
    pl.seed_everything(config.seed, verbose=False)
    module = Pretrainer(
        config.num_identities,
        min_share=config.min_share,
        optimizer=config.optimizer,
        lr=config.lr,
        weight_decay=config.weight_decay,
        warmup_steps=config.warmup_steps,
        num_steps=config.num_steps,
    )
    try:
        print_plan(config, trainer, num_workers)
        path = None if ckpt is None else str(ckpt)
        trainer.fit(module, datamodule=data, ckpt_path=path, weights_only=True)
        # The averaged weights; fitting leaves them in the module only if it had steps to do.
        module.load_state_dict(read_checkpoint(run / runs.LAST, again)["state_dict"])
        (metrics,) = trainer.validate(module, datamodule=data, verbose=False)
    except (KeyboardInterrupt, SystemExit):
        print(f"stopped; resume with  {again}", flush=True)
        raise
    except RuntimeError as error:
        if not ran_out_of_memory(error):
            raise
        raise BookclsError("the device ran out of memory: lower batch_size in stages.") from error
    write_results(run, config, module, rounds, metrics, trainer)
    accuracy = f"val/acc {metrics['val/acc']:.3f}, val/loss {metrics['val/loss']:.3f}"
    print(f"weights  {run / WEIGHTS}: {accuracy} after {rounds.images} images")
    if trainer.global_step < config.num_steps:
        print(f"resume with  {again}")


def read_checkpoint(path: Path, again: str) -> dict[str, Any]:
    """Reads a checkpoint without executing anything in it.

    Args:
        path: A ``last.ckpt``.
        again: The command that resumes the run.

    Raises:
        BookclsError: If it is damaged.
    """
    try:
        ckpt: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise BookclsError(
            f"{path} is damaged; delete it and start the run again with  {again}"
        ) from error
    return ckpt


def show(config: PretrainConfig, path: Path) -> None:
    """Writes a contact sheet of scenes instead of training."""
    write_sheet(path, make_bank(config, count_workers(config)), config)
    print(f"scenes   {path}")


def make_bank(config: PretrainConfig, num_workers: int) -> Bank:
    """Opens the bank of covers, drawing it if necessary."""
    cache = full_path("cache", config.cache) if config.cache else default_cache()
    return open_bank(
        cache, config.num_identities, config.num_unknown, config.cover_height,
        num_workers=num_workers,
    )  # fmt: skip


def count_workers(config: PretrainConfig) -> int:
    """Number of processes that draw and render: by default, half of the cores."""
    if config.num_workers is not None:
        return config.num_workers
    return min(16, max(1, (os.cpu_count() or 2) // 2))


def make_trainer(config: PretrainConfig, run: Path, rounds: Rounds) -> pl.Trainer:
    """Lightning's Trainer; one of its epochs is a round.

    Raises:
        BookclsError: If the machine has no such device, or not this precision.
    """
    terminal = sys.stdout.isatty()
    callbacks: list[Callback] = [RichProgressBar()] if terminal else []
    if config.ema is not None:
        callbacks.append(WeightAveraging(multi_avg_fn=warming_average(config.ema)))
    precision = config.precision
    if precision == "auto":
        precision = choose_precision(config.accelerator)
    torch.set_float32_matmul_precision("high")
    try:
        return pl.Trainer(
            accelerator=config.accelerator,
            devices=1,
            precision=precision,  # type: ignore[arg-type]  # a str checked by PretrainConfig
            max_epochs=config.num_rounds,
            check_val_every_n_epoch=config.val_every,
            gradient_clip_val=config.clip_norm,
            callbacks=[*callbacks, rounds],
            logger=CSVLogger(run, name="logs"),
            log_every_n_steps=min(20, config.round_steps),
            num_sanity_val_steps=0,
            enable_progress_bar=terminal,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise BookclsError(
            f"accelerator={config.accelerator}, precision={precision} are not supported on "
            f"this machine: {error}"
        ) from error


def warming_average(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor | int], None]:
    """A moving average whose decay rises from 0.18 to ``decay``.

    The plain one (Lightning's EMAWeightAveraging) would still hold mostly the first step's weights
    when a short run is over, and validation would look at those.
    """

    def update(averaged: list[Tensor], current: list[Tensor], num: Tensor | int) -> None:
        warm = min(decay, (1 + int(num)) / (10 + int(num)))
        get_ema_multi_avg_fn(warm)(averaged, current, num)  # type: ignore[no-untyped-call]

    return update


def write_results(
    run: Path,
    config: PretrainConfig,
    module: Pretrainer,
    rounds: Rounds,
    metrics: Any,  # noqa: ANN401  # Lightning's own alias of a mapping
    trainer: pl.Trainer,
) -> None:
    """Writes the weights and then their card."""
    about = {"scenes_seen": str(rounds.images), "seed": str(config.seed), "licence": "MIT"}
    digest = write_weights(run / WEIGHTS, module.features, about)
    recipe, here = asdict(config) | {"precision": trainer.precision}, collect_environment()
    for name in ("resume", "show", "cache", "max_minutes"):
        del recipe[name]
    write_card(
        run / CARD,
        {
            "sha256": digest,
            "bytes": (run / WEIGHTS).stat().st_size,
            "finished": trainer.global_step >= config.num_steps,
            "steps": trainer.global_step,
            "images_seen": rounds.images,
            "images_per_second": round(rounds.images_per_second, 1),
            "seconds": round(rounds.seconds, 1),
            "val_acc": float(metrics["val/acc"]),
            "val_loss": float(metrics["val/loss"]),
            "val_scenes": config.val_scenes,
            "data": (
                f"scenes composed by a program from {config.num_identities} invented book covers "
                f"(integers from {BASE}) and {config.num_unknown} distractors (from "
                f"{UNKNOWN_BASE}); no photo, no cover of the sample"
            ),
            "machine": describe_device(trainer.strategy.root_device),
            "recipe": recipe,
            **{key: here[key] for key in ("bookcls", "git_commit", "python", "versions")},
        },
    )


def describe_device(device: torch.device) -> str:
    """Describes the device used for training."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [row for row in info.read_text().splitlines() if row.startswith("model name")]
        name = models[0].partition(":")[2].strip() if models else name
    return f"{os.cpu_count()} cores of {name}" if device.type == "cpu" else f"{device.type}, {name}"


def print_plan(config: PretrainConfig, trainer: pl.Trainer, num_workers: int) -> None:
    """Prints a summary of what will be done."""
    stages = ", then ".join(f"{s.steps} steps of {s.batch_size} at {s.image_size} px"
                            for s in config.stages)  # fmt: skip
    device = trainer.strategy.root_device
    print(f"scenes   {config.num_identities} identities, composed by {num_workers} workers")
    print(f"budget   {stages}: {config.images_before(config.num_steps)} images on {device}")
