"""Callbacks that write checkpoints atomically, stop early, and print progress."""

import io
import math
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    RichProgressBar,
    WeightAveraging,
)

from bookcls.runs import BEST, LAST
from bookcls.storage.files import atomic_write

SAVE_EVERY_SECONDS = 20.0
"""Minimum time between two writes of ``last.ckpt``, which has 180 MB."""
SAVE_SECONDS = 0.2
"""Longest write at that interval, 1 % of it; on slower disks the interval grows in proportion."""

LINE_EVERY_SECONDS = 10.0
"""Minimum time between two lines of progress."""


class KeepCheckpoints(Checkpoint):
    """Keeps ``best.ckpt`` (weights and hyperparameters) and ``last.ckpt`` (to resume from).

    Best is the lowest validation loss, ties broken by accuracy; without validation photos it is
    the end of training. With weight averaging the averaged weights are kept.
    """

    def __init__(self, run: Path, *, has_val: bool) -> None:
        """Creates the callback.

        Args:
            run: The run folder.
            has_val: Whether there are validation photos to choose the best weights by.
        """
        self.run = run
        self.has_val = has_val
        self.best: dict[str, float] = {}
        self._saved_at = time.monotonic()
        self._pause = SAVE_EVERY_SECONDS

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves the weights if they are the best so far."""
        if trainer.sanity_checking or "val/loss" not in trainer.callback_metrics:
            return
        loss, acc = (float(trainer.callback_metrics[key]) for key in ("val/loss", "val/acc"))
        best = (self.best.get("val/loss", math.inf), -self.best.get("val/acc", 0.0))
        if math.isfinite(loss) and (loss, -acc) < best:
            self.best = {"val/loss": loss, "val/acc": acc, "epoch": trainer.current_epoch + 1}
            self.save_best(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves ``last.ckpt`` at intervals and at the end."""
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if last and not self.has_val:
            self.best = {"epoch": trainer.max_epochs or 0}
            self.save_best(trainer, pl_module)
        save_started = time.monotonic()
        due = save_started - self._saved_at >= self._pause
        # All processes must save together, so the clock of rank 0 decides.
        if last or trainer.strategy.broadcast(due):
            path = self.run / LAST
            if trainer.is_global_zero:
                with atomic_write(path) as temporary:
                    trainer.save_checkpoint(temporary)
            else:
                trainer.save_checkpoint(path)
            self._saved_at = time.monotonic()
            duration = self._saved_at - save_started
            self._pause = SAVE_EVERY_SECONDS * max(1.0, duration / SAVE_SECONDS)

    def save_best(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes ``best.ckpt``: plain values only, enough to rebuild the model."""
        if not trainer.is_global_zero:
            return
        checkpoint: dict[str, Any] = {
            "hyper_parameters": dict(pl_module.hparams),
            "state_dict": pl_module.state_dict(),
        }
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, WeightAveraging):
                callback.on_save_checkpoint(trainer, pl_module, checkpoint)
        with atomic_write(self.run / BEST) as temporary:
            # If torch wrote to the file directly, it would hide that the disk is full.
            whole = io.BytesIO()
            torch.save({k: checkpoint[k] for k in ("hyper_parameters", "state_dict")}, whole)
            temporary.write_bytes(whole.getbuffer())

    def state_dict(self) -> dict[str, Any]:
        """The scores of the best weights, for resuming."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the scores of the best weights."""
        self.best = state_dict["best"]


class FineTuningEarlyStopping(EarlyStopping):
    """Stops fine-tuning when the validation loss no longer improves; the probe stage is ignored.

    While only the head trains, the loss soon plateaus, which says nothing about fine-tuning.
    """

    def __init__(self, epochs: int, *, probe_epochs: int) -> None:
        """Creates the callback.

        Args:
            epochs: Epochs of fine-tuning without a lower loss after which to stop.
            probe_epochs: Epochs of the probe stage, which come first.
        """
        super().__init__("val/loss", patience=epochs)
        self.probe_epochs = probe_epochs

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Checks the loss once the probe stage is over."""
        if trainer.current_epoch >= self.probe_epochs:
            super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Same as :meth:`on_validation_end`, if Lightning checks after the epoch."""
        if trainer.current_epoch >= self.probe_epochs:
            super().on_train_epoch_end(trainer, pl_module)


class EpochBar(RichProgressBar):
    """Lightning's progress bar, with epochs counted from 1 and without the log version."""

    def _get_train_description(self, current_epoch: int) -> str:
        return f"epoch {current_epoch + 1}/{self.trainer.max_epochs} "

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """The metrics shown next to the bar."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics


class LineProgress(Callback):
    """Prints a line about every ten seconds: losses, and the remaining time.

    Attributes:
        started: Whether training has started; by then, a checkpoint to resume from has been read.
    """

    def __init__(self) -> None:
        """Starts the clock."""
        self.started = False
        self._start_time = self._printed = time.monotonic()
        self._first_epoch = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self.started = True
        self._start_time = self._printed = time.monotonic()
        self._first_epoch = trainer.current_epoch
        if self._first_epoch and trainer.is_global_zero:
            print(f"resuming after epoch {self._first_epoch} of {trainer.max_epochs}", flush=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prints the losses and the remaining time."""
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs or 1
        # Read in every process: the first read gathers the metric from all of them.
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items()}
        done = epoch - self._first_epoch
        due = time.monotonic() - self._printed >= LINE_EVERY_SECONDS
        if not trainer.is_global_zero or not (due or done == 1 or epoch == epochs):
            return
        self._printed = time.monotonic()
        left = (time.monotonic() - self._start_time) / done * (epochs - epoch)
        names = ("train/loss", "val/loss", "val/acc")
        shown = "  ".join(f"{name} {metrics[name]:.3f}" for name in names if name in metrics)
        minutes, seconds = divmod(int(left), 60)
        print(f"epoch {epoch}/{epochs}  {shown}  {minutes}:{seconds:02d} left", flush=True)
