"""The bare step against our whole training loop.

Both sides train the same model with the same precision, batch, frozen layers, clipping and
optimizer. The bare one does it on tensors that are in place; ours reads photos from memory,
oversamples, augments, mixes, moves, logs, saves checkpoints. They take turns within one run.
"""

import copy
import io
import tempfile
import time
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch.nn.functional import cross_entropy

from benchmarks.measuring import now, ratio
from benchmarks.record import options, record, row
from benchmarks.setting import narrow, photos, settings
from bookcls.data.dataset import read_folder
from bookcls.data.photos import decode_folder
from bookcls.settings import TrainConfig
from bookcls.training.callbacks import KeepCheckpoints, LineProgress
from bookcls.training.classifier import Classifier
from bookcls.training.console import silence_lightning
from bookcls.training.recipe import build, make_datamodule, make_trainer
from bookcls.training.run import choose_start
from bookcls.training.trackers import make_loggers

IMAGES = 320
"""A side sees at least so many in the turns that count."""
WHOLE_EPOCH = 10
"""Full batches in an epoch of the sample; on a GPU its start counts for more than on a CPU."""
BARS = {"cpu": 0.95, "cuda": 0.85}
REPLAYED = 1.4
"""Of the bare step, which asks the frozen layers each time."""


class BareStep:
    """Forward, loss, backward, clip, update; nothing else."""

    def __init__(
        self,
        classifier: Classifier,
        config: TrainConfig,
        precision: str,
        *,
        capturable: bool = False,
    ) -> None:
        """Copies the model and puts a batch in place; ``capturable`` is for a CUDA graph."""
        self.device = classifier.device
        self.model = copy.deepcopy(classifier.model)  # in channels_last, as it is trained
        free = [p for p in self.model.parameters() if p.requires_grad]
        assert config.optim.clip_norm is not None
        self.clip_norm = config.optim.clip_norm
        self.free = free
        self.optimizer = torch.optim.AdamW(
            free, lr=1e-4, weight_decay=config.optim.weight_decay, fused=True, capturable=capturable
        )
        self.cached = not capturable
        self.bf16 = precision == "bf16-mixed"
        size, batch = config.data.image_size, config.data.batch_size
        images = torch.randn(batch, 3, size, size, device=self.device)
        self.images = images.contiguous(memory_format=torch.channels_last)
        classes = len(classifier.class_names)
        self.target = torch.rand(batch, classes, device=self.device).softmax(dim=1)

    def __call__(self) -> None:
        """One step."""
        with torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.bf16, cache_enabled=self.cached
        ):
            loss = cross_entropy(self.model(self.images).float(), self.target)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.free, self.clip_norm)
        self.optimizer.step()


class MeasuredError(Exception):
    """All turns are taken; ends the fit."""


class Turns(Callback):
    """Between two of our epochs, as many bare steps."""

    def __init__(self, config: TrainConfig, steps: int, repeats: int) -> None:
        """Each turn has ``steps`` full batches; the first of either side warms up."""
        self.config, self.steps, self.repeats = config, steps, repeats
        self.ours: list[float] = []
        self.bare: list[float] = []
        self._step: BareStep | None = None
        self._began = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ends our turn, takes the bare one, begins our next."""
        assert isinstance(pl_module, Classifier)
        device = pl_module.device
        if self._step is None:
            self._step = BareStep(pl_module, self.config, trainer.precision)
        else:
            self.ours.append(now(device) - self._began)
        if len(self.ours) == 1 + self.repeats:
            raise MeasuredError
        began = now(device)
        for _ in range(self.steps):
            self._step()
        self.bare.append(now(device) - began)
        self._began = now(device)


def measure(config: TrainConfig, repeats: int) -> dict[str, list[float]]:
    """Seconds per image of each turn that counts, of either side.

    A turn has ``trainer.limit_train_batches`` steps, or as many full batches as an epoch draws.
    With ``data.cached_views`` ours is a whole epoch; the first warms up, and fills the cache.
    """
    folder = read_folder(Path(config.data.root), with_tests=False)
    folder, images = decode_folder(folder, config.data.image_size, config.data.fit, "error")
    with tempfile.TemporaryDirectory() as home:
        run = Path(home)
        datamodule = make_datamodule(config, folder, images, train=folder.train)
        batch = config.data.batch_size
        wanted = int(config.trainer.limit_train_batches or 1)
        steps = max(1, min(wanted, datamodule.num_drawn // batch))
        drawn = datamodule.num_drawn if config.data.cached_views else steps * batch
        config.trainer.limit_train_batches = None if config.data.cached_views else steps
        turns = Turns(config, steps, repeats)
        callbacks = [LineProgress(), KeepCheckpoints(run, has_val=False), turns]
        loggers = make_loggers(config.logger, run)
        trainer = make_trainer(config, epochs=10_000, callbacks=callbacks, loggers=loggers)
        classifier = build(config, folder.class_names, start=choose_start(config), probe_epochs=0)
        with redirect_stdout(io.StringIO()), suppress(MeasuredError):
            trainer.fit(classifier, datamodule=datamodule)
    return {
        "bare": [seconds / (steps * batch) for seconds in turns.bare[1:]],
        "ours": [seconds / drawn for seconds in turns.ours[1:]],
    }


def main() -> None:
    """Measures each size and each set of frozen layers."""
    started = time.monotonic()
    given = options(
        "step",
        __doc__,
        settings={
            "nargs": "+",
            "default": [
                "128:null:0",
                "128:block4_conv1:0",
                "224:block4_conv1:0",
                "128:block4_conv1:1",
            ],
            "help": "SIZE:FREEZE_TO:CACHED_VIEWS, the default: %(default)s",
        },
        words={"nargs": "*", "default": [], "help": "further words for train, optim.ema=0.99 say"},
    )
    silence_lightning()
    if given.toy:
        narrow()
        given.settings = ["32:null:0", "32:block4_conv1:0", "32:block4_conv1:1"]
    rows, turns = [], {}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batch = 16
    if given.toy:
        steps = 2
    elif device == "cuda":
        steps = WHOLE_EPOCH
    else:
        steps = -(-IMAGES // (given.repeats * batch))
    for setting in given.settings:
        size, freeze_to, views = setting.split(":")
        config = settings(
            f"data.root={photos()}", "aug=all", f"data.image_size={size}",
            f"model.freeze_to={freeze_to}", f"data.cached_views={views}",
            f"trainer.limit_train_batches={steps}", *given.words,
        )  # fmt: skip
        taken = measure(config, given.repeats)
        speed: dict[str, Any] = {
            f"{name} images/s": 1 / sorted(t)[len(t) // 2] for name, t in taken.items()
        }
        compared = ratio(taken["bare"], taken["ours"])
        bar = BARS[device] if views == "0" else REPLAYED
        rows.append(
            row(compared, bar, px=int(size), freeze_to=freeze_to, cached=int(views), **speed)
        )
        turns[setting] = taken
    record(given, "our training loop / the bare step, images per second", rows, started,
           turns=turns)  # fmt: skip


if __name__ == "__main__":
    main()
