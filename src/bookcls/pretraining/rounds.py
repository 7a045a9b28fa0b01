"""Callback between rounds: atomic checkpoints, the time limit, speed and progress."""

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from bookcls.pretraining.settings import PretrainConfig
from bookcls.runs import LAST
from bookcls.storage.files import atomic_write


class Rounds(Checkpoint):
    """Writes ``last.ckpt`` when it is due, when time is up and at the end.

    Attributes:
        seconds: Training and validation of all sessions so far.
        train_seconds: Training alone.
        images: Images seen in all sessions.
    """

    def __init__(self, run: Path, config: PretrainConfig, started: float) -> None:
        """Starts counting.

        Args:
            run: Folder for ``last.ckpt``.
            config: Gives ``save_minutes``, ``max_minutes`` and the stages.
            started: ``time.monotonic()`` when the command began, for ``max_minutes``.
        """
        self.run = run
        self.config = config
        self.started = started
        self.seconds = self.train_seconds = 0.0
        self.images = 0
        self._saved_at = self._round_at = self._counted_at = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clocks."""
        self._saved_at = self._counted_at = time.monotonic()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the round's clock."""
        self._round_at = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Counts the images, and the seconds before validation begins."""
        self.images += self.config.stage_at(trainer.global_step - 1).batch_size
        if batch_idx + 1 == self.config.round_steps:
            # Reading the loss waits for the device, so that the clock counts what it did.
            float(trainer.callback_metrics["train/loss"])
            self.train_seconds += time.monotonic() - self._round_at

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reports, saves if due, stops if time is up."""
        now = time.monotonic()
        self.seconds += now - self._counted_at
        self._counted_at = now
        last = trainer.current_epoch + 1 == self.config.num_rounds
        limit = self.config.max_minutes
        up = limit is not None and now - self.started >= 60 * limit
        pl_module.log("images_per_second", self.images_per_second)
        self._say(trainer)
        pl_module.check(trainer.callback_metrics["train/loss"])  # type: ignore[operator]
        if last or up or now - self._saved_at >= 60 * self.config.save_minutes:
            with atomic_write(self.run / LAST) as temporary:
                trainer.save_checkpoint(temporary)
            self._saved_at = time.monotonic()
        if up and not last:
            print(f"time is up after {limit:g} minutes", flush=True)
            trainer.should_stop = True

    @property
    def images_per_second(self) -> float:
        """Speed of training over all sessions, without validation."""
        return self.images / max(self.train_seconds, 1e-9)

    def _say(self, trainer: pl.Trainer) -> None:
        done = trainer.current_epoch + 1
        shown = {k: float(v) for k, v in trainer.callback_metrics.items()}
        line = f"step {trainer.global_step}/{self.config.num_steps}  loss {shown['train/loss']:.3f}"
        if done % self.config.val_every == 0:
            line += f"  val/loss {shown['val/loss']:.3f}  val/acc {shown['val/acc']:.3f}"
        left = self.config.images_before(self.config.num_steps) - self.images
        minutes = left / self.images_per_second / 60
        line += f"  {self.images_per_second:.0f} images/s  {minutes:.0f} min left"
        print(line, flush=True)

    def state_dict(self) -> dict[str, Any]:
        """Counters of earlier sessions, for the model card."""
        return {
            "seconds": self.seconds, "train_seconds": self.train_seconds, "images": self.images,
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See :meth:`state_dict`."""
        self.seconds = state_dict["seconds"]
        self.train_seconds = state_dict["train_seconds"]
        self.images = state_dict["images"]
