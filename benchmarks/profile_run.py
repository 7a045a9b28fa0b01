"""Where the time of training goes: the largest things that are not convolutions.

torch's profiler over some steps of our whole loop. The data loader and the optimizer's update count
with all that they call, any other operation by itself; what no row holds is Lightning and Python
between the operations.
"""

import io
import tempfile
import time
from collections import defaultdict
from contextlib import redirect_stdout
from pathlib import Path

import torch
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.record import options, record
from benchmarks.setting import narrow, photos, settings
from bookcls.data.dataset import read_folder
from bookcls.data.photos import decode_folder
from bookcls.training.callbacks import KeepCheckpoints, LineProgress
from bookcls.training.console import silence_lightning
from bookcls.training.recipe import build, make_datamodule, make_trainer
from bookcls.training.run import choose_start
from bookcls.training.trackers import make_loggers

TOP = 10
FORWARD = "forward and loss, in Python"


def kind(event: FunctionEvent) -> str:
    """What an operation counts as: the data loader's, the update's, a convolution, or itself."""
    caller: FunctionEvent | None = event
    while caller is not None:
        if "DataLoader" in caller.name:
            return "data loader: photos, augmentation, mixup"
        # Lightning runs forward and backward inside the optimizer's step.
        if caller.name == FORWARD or caller.name.startswith("autograd::"):
            break
        if caller.name.startswith("Optimizer.step"):
            return "optimizer's update, clipping included"
        caller = caller.cpu_parent
    return "convolutions" if "conv" in event.name.lower() else event.name


def main() -> None:
    """Profiles an epoch after one that warms up."""
    started = time.monotonic()
    given = options(
        "profile_run", __doc__,
        words={"nargs": "*", "help": "the run, default %(default)s",
               "default": ["aug=all", "model.freeze_to=block4_conv1"]},
        steps={"type": int, "default": 12},
    )  # fmt: skip
    silence_lightning()
    if given.toy:
        narrow()
        given.words += ["data.image_size=32"]
        given.steps = 3
    config = settings(f"data.root={photos()}", f"trainer.limit_train_batches={given.steps}",
                      *given.words)  # fmt: skip
    folder = read_folder(Path(config.data.root), with_tests=False)
    folder, images = decode_folder(folder, config.data.image_size, config.data.fit, "error")
    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    seconds = 0.0
    for profiled in (False, True):
        with tempfile.TemporaryDirectory() as home, redirect_stdout(io.StringIO()):
            trainer = make_trainer(
                config, epochs=1,
                callbacks=[LineProgress(), KeepCheckpoints(Path(home), has_val=False)],
                loggers=make_loggers(config.logger, Path(home)),
            )  # fmt: skip
            classifier = build(
                config, folder.class_names, start=choose_start(config), probe_epochs=0
            )
            datamodule = make_datamodule(config, folder, images, train=folder.train)
            if not profiled:
                trainer.fit(classifier, datamodule=datamodule)
                continue
            marked = record_function(FORWARD)(classifier.training_step)
            classifier.training_step = marked  # type: ignore[method-assign]
            began = time.perf_counter()
            with profile(activities=activities) as profiler:
                trainer.fit(classifier, datamodule=datamodule)
            seconds = time.perf_counter() - began
    own: defaultdict[str, float] = defaultdict(float)
    for event in profiler.events() or []:
        device = event.self_device_time_total if torch.cuda.is_available() else 0
        own[kind(event)] += (device or event.self_cpu_time_total) / 1e6
    rows = [
        {"what": name, "seconds": s, "share": s / seconds, "ms a step": 1e3 * s / given.steps}
        for name, s in sorted(own.items(), key=lambda item: -item[1])[:TOP]
    ]
    rest = max(0.0, seconds - sum(own.values()))
    rows.append({"what": "no operation: Lightning, Python, the profiler", "seconds": rest,
                 "share": rest / seconds, "ms a step": 1e3 * rest / given.steps})  # fmt: skip
    record(given, f"{given.steps} steps, start and end of the fit included: {seconds:.1f} s",
           rows, started)  # fmt: skip


if __name__ == "__main__":
    main()
