"""The bare step on tensors in place, for scale."""

from collections.abc import Callable
from pathlib import Path

from benchmarks.peer_sides.setting import Setting
from benchmarks.setting import settings
from benchmarks.step import BareStep
from bookcls.dataset import read_folder
from bookcls.precision import automatic
from bookcls.recipe import build


def prepare(setting: Setting) -> Callable[[], int]:
    """Builds the model of a run."""
    config = settings(
        f"data.image_size={setting.size}", f"model.freeze_to={setting.freeze_to or 'null'}"
    )
    folder = read_folder(Path(setting.root), with_tests=False)
    classifier, _ = build(config, folder.class_names, probe_epochs=0)
    precision = automatic("auto") if setting.precision == "auto" else setting.precision
    step = BareStep(classifier.to(setting.device), config, precision)
    steps = len(folder.train) // setting.batch

    def turn() -> int:
        for _ in range(steps):
            step()
        return steps * setting.batch

    return turn
