"""Checkpoints that are whole or absent, and progress for those who read a log file."""

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

from bookcls.files import atomic_write
from bookcls.runs import BEST, LAST

SAVE_EVERY_SECONDS = 20.0
"""Least time between two ``last.ckpt``, which are 180 MB each."""
SAVE_SECONDS = 0.2
"""What one may take at that pace, a hundredth of the time; slower disks get fewer."""

LINE_EVERY_SECONDS = 10.0
"""Least time between two lines of progress."""


class KeepCheckpoints(Checkpoint):
    """Keeps ``best.ckpt`` (weights and hyperparameters) and ``last.ckpt`` (to resume from).

    Best is the lowest validation loss, ties broken by accuracy; without validation photos it is
    the end of training. With weight averaging the averaged weights are kept.
    """

    def __init__(self, run: Path, *, has_val: bool) -> None:
        """Writes into ``run``; ``has_val`` says whether photos are held out to choose by."""
        self.run = run
        self.has_val = has_val
        self.best: dict[str, float] = {}
        self._saved_at = time.monotonic()
        self._pause = SAVE_EVERY_SECONDS

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keeps the weights if they are the best so far."""
        if trainer.sanity_checking or "val/loss" not in trainer.callback_metrics:
            return
        loss, acc = (float(trainer.callback_metrics[key]) for key in ("val/loss", "val/acc"))
        best = (self.best.get("val/loss", math.inf), -self.best.get("val/acc", 0.0))
        if math.isfinite(loss) and (loss, -acc) < best:
            self.best = {"val/loss": loss, "val/acc": acc, "epoch": trainer.current_epoch + 1}
            self.save_best(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves what a resume needs, now and then and at the end."""
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if last and not self.has_val:
            self.best = {"epoch": trainer.max_epochs or 0}
            self.save_best(trainer, pl_module)
        began = time.monotonic()
        due = began - self._saved_at >= self._pause
        # All processes must save together, so the first one's clock decides.
        if last or trainer.strategy.broadcast(due):
            path = self.run / LAST
            if trainer.is_global_zero:
                with atomic_write(path) as temporary:
                    trainer.save_checkpoint(temporary)
            else:
                trainer.save_checkpoint(path)
            self._saved_at = time.monotonic()
            took = self._saved_at - began
            self._pause = SAVE_EVERY_SECONDS * max(1.0, took / SAVE_SECONDS)

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
            # Straight to a file, torch would hide that a disk is full.
            whole = io.BytesIO()
            torch.save({k: checkpoint[k] for k in ("hyper_parameters", "state_dict")}, whole)
            temporary.write_bytes(whole.getbuffer())

    def state_dict(self) -> dict[str, Any]:
        """What a resume must know: how good the best was."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See :meth:`state_dict`."""
        self.best = state_dict["best"]


class Patience(EarlyStopping):
    """Stops fine-tuning when the validation loss no longer falls; the probe does not count.

    While the head trains alone the loss soon stands still, which says nothing about fine-tuning.
    """

    def __init__(self, epochs: int, *, probe_epochs: int) -> None:
        """Stops after this number of ``epochs`` of fine-tuning without a lower loss."""
        super().__init__("val/loss", patience=epochs)
        self.probe_epochs = probe_epochs

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks at the loss, once the probe is over."""
        if trainer.current_epoch >= self.probe_epochs:
            super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The same, where Lightning looks after the epoch."""
        if trainer.current_epoch >= self.probe_epochs:
            super().on_train_epoch_end(trainer, pl_module)


class EpochBar(RichProgressBar):
    """Lightning's bar of an epoch, counted from one, without the number of the log folder."""

    def _get_train_description(self, current_epoch: int) -> str:
        return f"epoch {current_epoch + 1}/{self.trainer.max_epochs} "

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """What stands behind the bar."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics


class LineProgress(Callback):
    """A line every ten seconds or so: losses, and the time that is left.

    Attributes:
        begun: Whether training has; a checkpoint to go on from is read by then.
    """

    def __init__(self) -> None:
        """Starts the clock."""
        self.begun = False
        self._started = self._printed = time.monotonic()
        self._first_epoch = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self.begun = True
        self._started = self._printed = time.monotonic()
        self._first_epoch = trainer.current_epoch
        if self._first_epoch and trainer.is_global_zero:
            print(f"going on after epoch {self._first_epoch} of {trainer.max_epochs}", flush=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prints losses and the time that is left."""
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs or 1
        # Read in every process: the first read gathers the metric from all of them.
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items()}
        done = epoch - self._first_epoch
        due = time.monotonic() - self._printed >= LINE_EVERY_SECONDS
        if not trainer.is_global_zero or not (due or done == 1 or epoch == epochs):
            return
        self._printed = time.monotonic()
        left = (time.monotonic() - self._started) / done * (epochs - epoch)
        names = ("train/loss", "val/loss", "val/acc")
        shown = "  ".join(f"{name} {metrics[name]:.3f}" for name in names if name in metrics)
        minutes, seconds = divmod(int(left), 60)
        print(f"epoch {epoch}/{epochs}  {shown}  {minutes}:{seconds:02d} left", flush=True)
