"""The only owner of the run folder's format. No heavy imports."""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bookcls.config import expand_home
from bookcls.data.samples import PhotoFolder, Sample
from bookcls.environment import is_first_process
from bookcls.errors import BookclsError
from bookcls.files import read_json, refuse_links, replacing, safe_row, write_text

BEST = "best.ckpt"
LAST = "last.ckpt"
CONFIG = "config.yaml"
METRICS = "metrics.json"
PREDICTIONS = "predictions.csv"
ENVIRONMENT = "environment.json"
CAM = "cam"
CUTOUTS = "cutouts.csv"
SCENES = "scenes.png"
"""Folder of what the model looked at; written later, by another verb."""
CAM_JSON = "cam.json"
MEMBERS = "members"
"""Of an ensemble: a run folder for each member, MEMBERS/1 and so on."""
LOCK = ".lock"
"""While a process writes into the folder."""
LOOK_IN = "runs"
"""Where the latest run is looked for."""


def is_finished(run: Path) -> bool:
    """True for a run that ended: metrics.json is written last."""
    return (run / METRICS).is_file()


def claim(run: Path, config: str) -> None:
    """Writes config.yaml, and so takes a run folder that nobody else may write into; hold it.

    Raises:
        BookclsError: If another run has it.
    """
    if not is_first_process():
        return
    if (run / CONFIG).exists():
        raise BookclsError(
            f"{run} belongs to another run: resume={run} goes on with it if it was stopped; for a "
            "new one choose another hydra.run.dir."
        )
    write_text(run / CONFIG, config)


def same_photos(run: Path, folder: PhotoFolder) -> None:
    """Refuses to go on with other photos: the split, the schedule and the scores would be others.

    Raises:
        BookclsError: If photos or labels changed since the run began.
    """
    if not (run / ENVIRONMENT).is_file():
        return
    dataset = read_json(run / ENVIRONMENT).get("dataset")
    if not isinstance(dataset, dict) or dataset.get("fingerprint") != folder.fingerprint():
        raise BookclsError(
            f"resume={run}: photos or labels in {folder.root} have changed since this run began. "
            "Put them back, or start a new run."
        )


def find_checkpoint(run_or_file: str) -> Path:
    """The checkpoint that a person means by a run folder or a file.

    Raises:
        BookclsError: If there is none, or anything in the run folder leads elsewhere.
    """
    path = expand_home("ckpt", run_or_file)
    if path.is_dir():
        refuse_links(path)
        if not (path / BEST).is_file():
            raise BookclsError(
                f"{path} holds no {BEST}: give a run folder that training wrote "
                f"(runs/DATE/TIME), or a .ckpt file."
            )
        return path / BEST
    if not path.is_file():
        raise BookclsError(f"ckpt={run_or_file}: there is no such run folder or file.")
    if os.path.lexists(path.parent / CONFIG):
        refuse_links(path.parent)
    return path


def latest_run(folder: Path = Path(LOOK_IN)) -> Path:
    """The run below ``folder`` that finished last.

    Raises:
        BookclsError: If there is none.
    """
    finished = [path for path in folder.rglob(METRICS) if (path.parent / BEST).is_file()]
    if not finished:
        raise BookclsError(
            f"{folder} holds no finished run: train one (python -m bookcls.train), or give "
            "ckpt=RUN, a run folder or a .ckpt file."
        )
    return max(finished, key=lambda path: (path.stat().st_mtime, str(path))).parent


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
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file)
        header = ["split", "file", "dominant", "accepted", "pred", "correct"]
        writer.writerow([*header, *(f"prob_{name}" for name in class_names)])
        for split, samples in tests.items():
            for sample, row in zip(samples, probs[split], strict=True):
                pred = max(range(len(row)), key=row.__getitem__)
                about = [
                    f"test_{split}",
                    sample.name,
                    class_names[sample.label] if sample.label >= 0 else "",
                    ";".join(class_names[a] for a in sample.accepted),
                    class_names[pred],
                    int(pred in sample.accepted),
                ]
                writer.writerow([*safe_row(about), *(f"{p:.6f}" for p in row)])
