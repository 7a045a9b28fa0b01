"""bookcls: the whole training loop of a run, one epoch a turn."""

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Queue

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from benchmarks.peer_sides.setting import Setting
from benchmarks.setting import settings
from bookcls.data.dataset import read_folder
from bookcls.data.photos import decode_folder
from bookcls.training.callbacks import KeepCheckpoints, LineProgress
from bookcls.training.console import silence_lightning
from bookcls.training.recipe import build, make_datamodule, make_trainer
from bookcls.training.run import choose_start
from bookcls.training.trackers import make_loggers


class EpochByEpoch(Callback):
    """Holds the fit before each epoch until it is asked for."""

    def __init__(self) -> None:
        """Starts with nothing asked for."""
        self.asked: Queue[None] = Queue()
        self.done: Queue[None] = Queue()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The last epoch is done, all that its end brings included; waits for the next turn."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.done.put(None)
        self.asked.get()


def prepare(setting: Setting) -> Callable[[], int]:
    """Reads and decodes the photos, once, and starts a fit that waits for turns."""
    silence_lightning()
    config = settings(
        f"data.root={setting.root}", f"data.image_size={setting.size}", "aug=all",
        f"model.freeze_to={setting.freeze_to or 'null'}",
        f"trainer.precision={setting.precision}",
    )  # fmt: skip
    folder = read_folder(Path(setting.root), with_tests=False)
    folder, images = decode_folder(folder, config.data.image_size, config.data.fit, "error")
    # Beside the photos, in the folder that goes when all is measured.
    run = Path(tempfile.mkdtemp(dir=Path(setting.root).parent))
    epochs = EpochByEpoch()
    trainer = make_trainer(
        config,
        epochs=10_000,
        callbacks=[LineProgress(), KeepCheckpoints(run, has_val=False), epochs],
        loggers=make_loggers(config.logger, run),
    )
    classifier = build(config, folder.class_names, start=choose_start(config), probe_epochs=0)
    datamodule = make_datamodule(config, folder, images, train=folder.train)
    num_drawn = datamodule.num_drawn
    # A thread, since Lightning's loop cannot be left and entered again; it dies with the process.
    fit = threading.Thread(
        target=trainer.fit, args=(classifier,), kwargs={"datamodule": datamodule}, daemon=True
    )
    fit.start()
    epochs.done.get()

    def turn() -> int:
        epochs.asked.put(None)
        epochs.done.get()
        return num_drawn

    return turn
