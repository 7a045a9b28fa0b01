"""Reads and writes run folders; no other module knows their format. No heavy imports."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bookcls.config import expand_home, full_path, read_config
from bookcls.data.answers import make_answers
from bookcls.data.samples import PhotoFolder, Sample
from bookcls.environment import is_first_process
from bookcls.errors import BookclsError
from bookcls.storage.files import read_json, write_csv, write_text
from bookcls.storage.folders import refuse_links

BEST = "best.ckpt"
LAST = "last.ckpt"
CONFIG = "config.yaml"
METRICS = "metrics.json"
PREDICTIONS = "predictions.csv"
ENVIRONMENT = "environment.json"
CUTOUTS = "cutouts.csv"
SCENES = "scenes.png"
CAM = "cam"
"""Folder of the activation maps; written later, by another verb."""
CAM_JSON = "cam.json"
MEMBERS = "members"
"""Folder of an ensemble that contains the run folder of each member: MEMBERS/1 and so on."""
RUNS = "runs"
"""Folder that is searched for the latest run."""
BATCH_SIZE = 16
"""Photos per step for a checkpoint without a run."""


def is_finished(run: Path) -> bool:
    """Whether a run has finished: metrics.json is written last."""
    return (run / METRICS).is_file()


def claim_folder(run: Path, config: str) -> None:
    """Claims a run folder for a new run by writing its config.yaml; the caller holds the lock.

    Raises:
        BookclsError: If the folder belongs to another run.
    """
    if not is_first_process():
        return
    if (run / CONFIG).exists():
        raise BookclsError(
            f"{run} belongs to another run: resume={run} continues it if it was stopped; for a "
            "new run, choose another hydra.run.dir."
        )
    write_text(run / CONFIG, config)


def check_same_photos(run: Path, folder: PhotoFolder) -> None:
    """Refuses to resume on other photos: the split, the schedule and the scores would differ.

    Raises:
        BookclsError: If photos or labels changed since the run started.
    """
    if not (run / ENVIRONMENT).is_file():
        return
    dataset = read_json(run / ENVIRONMENT).get("dataset")
    if not isinstance(dataset, dict) or dataset.get("fingerprint") != folder.fingerprint():
        raise BookclsError(
            f"resume={run}: photos or labels in {folder.root} have changed since this run started. "
            "Put them back, or start a new run."
        )


def find_checkpoint(run_or_file: str) -> Path:
    """Finds the checkpoint of a run folder, or checks that a file exists.

    Raises:
        BookclsError: If there is none, or the run folder contains links to outside.
    """
    path = expand_home("ckpt", run_or_file)
    if path.is_dir():
        refuse_links(path)
        if not (path / BEST).is_file():
            raise BookclsError(
                f"{path} contains no {BEST}: give a run folder that training wrote "
                f"(runs/DATE/TIME), or a .ckpt file."
            )
        return path / BEST
    if not path.is_file():
        raise BookclsError(f"ckpt={run_or_file}: there is no such run folder or file.")
    if os.path.lexists(path.parent / CONFIG):
        refuse_links(path.parent)
    return path


def latest_run(folder: Path = Path(RUNS)) -> Path:
    """Finds the run below ``folder`` that finished last.

    Raises:
        BookclsError: If there is none.
    """
    finished = [path for path in folder.rglob(METRICS) if (path.parent / BEST).is_file()]
    if not finished:
        raise BookclsError(
            f"{folder} contains no finished run: train one (python -m bookcls.train), or give "
            "ckpt=RUN, a run folder or a .ckpt file."
        )
    return max(finished, key=lambda path: (path.stat().st_mtime, str(path))).parent


@dataclass(frozen=True)
class TrainedRun:
    """A checkpoint, and the settings of its run folder.

    Attributes:
        ckpt: Checkpoint file.
    """

    ckpt: Path

    @cached_property
    def data(self) -> Mapping[str, Any]:
        """The settings ``data.*`` of the run; empty for a file without a run folder.

        Raises:
            BookclsError: If config.yaml is damaged.
        """
        path = self.ckpt.parent / CONFIG
        data = read_config(path).get("data") if path.is_file() else None
        if not isinstance(data, Mapping | None):
            raise BookclsError(f"{path} is damaged: data is {data}, not settings.")
        return data or {}

    def root(self, given: str | None) -> Path | None:
        """Folder of photos: the given one, or the run's; None if it is unknown or missing.

        Args:
            given: ``data.root`` of the command.

        Raises:
            BookclsError: If the given folder does not exist.
        """
        root = given or self.data.get("root")
        if root is None:
            return None
        folder = full_path("data.root", root)
        if folder.is_dir():
            return folder
        if given:
            raise BookclsError(f"data.root={given} does not exist. Give {_PHOTOS}.")
        return None

    def required_root(self, given: str | None, *, alternative: str = "") -> Path:
        """Same as :meth:`root`, but raises an error if there is none.

        Args:
            given: ``data.root`` of the command.
            alternative: What else the user can give, for the message.

        Raises:
            BookclsError: If there is none.
        """
        root = self.root(given)
        if root is not None:
            return root
        if self.data.get("root") is None:
            raise BookclsError(
                f"{self.ckpt} is not in a run folder, whose {CONFIG} would say where the photos "
                f"are. Give {_PHOTOS}{alternative}."
            )
        raise BookclsError(
            f"data.root={self.data['root']}, the folder of the run's photos, no longer exists. "
            f"Give {_PHOTOS}{alternative}."
        )

    def batch_size(self, given: int | None) -> int:
        """Photos per step: the given number, or the run's."""
        return int(given or self.data.get("batch_size") or BATCH_SIZE)


_PHOTOS = "data.root=DIR (a folder with test/ or test_<name>/)"


def open_run(name: str | None) -> TrainedRun:
    """Opens a run without loading its checkpoint.

    Args:
        name: A run folder or a ``.ckpt`` file; None or "" for the run that finished last.

    Raises:
        BookclsError: If there is none, see :func:`find_checkpoint` and :func:`latest_run`.
    """
    return TrainedRun(find_checkpoint(name or str(latest_run())))


def write_predictions(
    path: Path,
    class_names: Sequence[str],
    tests: Mapping[str, Sequence[Sample]],
    probs: Mapping[str, Sequence[Sequence[float]]],
) -> None:
    """Writes one row per test photo.

    Args:
        path: The csv file.
        class_names: Sorted class names.
        tests: Split -> photos.
        probs: Split -> one row of class probabilities per photo.
    """
    columns = ["split", "file", "dominant", "accepted", "pred", "correct"]
    rows = []
    for a in make_answers(class_names, tests, probs):
        about = [f"test_{a.split}", a.file, a.dominant, ";".join(a.accepted), a.pred]
        rows.append([*about, int(a.correct), *(f"{p:.6f}" for p in a.probs.values())])
    write_csv(path, [*columns, *(f"prob_{name}" for name in class_names)], rows)
