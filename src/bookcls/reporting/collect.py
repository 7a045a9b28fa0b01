"""Collects the results of runs from their folders; lists the runs that are skipped."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bookcls.data.answers import Answer
from bookcls.errors import BookclsError
from bookcls.models.layers import CONV_INDEX, first_trained
from bookcls.reporting.files import damaged_error, read_answers, read_curve, read_yaml
from bookcls.reporting.map_summary import MapSummary, read_map_summaries
from bookcls.runs import (
    CONFIG,
    ENVIRONMENT,
    MEMBERS,
    METRICS,
    PREDICTIONS,
    is_finished,
)
from bookcls.storage.files import read_json
from bookcls.storage.folders import refuse_links

IGNORED_SETTINGS = ("seed", "resume", "data.root", "data.num_workers", "data.cache_mb",
                "trainer.accelerator")  # fmt: skip
"""Settings that do not distinguish cells; of the device settings, only the precision counts."""


@dataclass
class Run:
    """A finished run.

    Attributes:
        folder: The run folder.
        name: Its path relative to the folder of the report.
        settings: Dotted name -> value, of all settings that affect the result, without the seed.
        seed: The seed.
        code: Version and commit.
        source: Source of the weights: scratch, keras, imagenet, rendered, file.
        weights: Name and hash of the weights.
        data: Fingerprint of the dataset.
        environment: Contents of environment.json.
        metrics: Contents of metrics.json.
        overrides: Overrides of its command line.
        answers: Its predictions, in the order of predictions.csv.
        finished: Time of completion, in seconds since 1970.
        curve: (epoch, training loss or None, validation loss or None) of each epoch.
        maps: Test split -> summary of the activation maps, if any; None if the maps explain other
            predictions than the current ones.
    """

    folder: Path
    name: str
    settings: dict[str, Any]
    seed: int
    code: str
    source: str
    weights: str
    data: str
    environment: dict[str, Any]
    metrics: dict[str, Any]
    overrides: list[str]
    answers: list[Answer]
    finished: float
    curve: list[tuple[int, float | None, float | None]] = field(default_factory=list)
    maps: dict[str, MapSummary] | None = field(default_factory=dict)


@dataclass
class RunCollection:
    """All runs below a folder.

    Attributes:
        root: The folder.
        runs: Finished runs with test photos.
        unfinished: Names of runs without metrics.json.
        untested: Names of finished runs that had no test photos.
    """

    root: Path
    runs: list[Run]
    unfinished: list[str]
    untested: list[str]


def find_runs(root: Path) -> RunCollection:
    """Reads every run below a folder, or the folder itself if it is a run.

    Raises:
        BookclsError: If there is no run, or a finished one is damaged.
    """
    if not root.is_dir():
        raise BookclsError(f"runs={root}: there is no such folder; training writes to runs/.")
    collection = RunCollection(root, [], [], [])
    for folder in run_folders(root):
        name = folder.relative_to(root).as_posix()
        name = folder.name if name == "." else name
        if not is_finished(folder):
            collection.unfinished.append(name)
        elif not (folder / PREDICTIONS).is_file():
            collection.untested.append(name)
        else:
            collection.runs.append(read_run(folder, name))
    if not collection.runs:
        num_skipped = len(collection.unfinished) + len(collection.untested)
        has = f"{num_skipped} runs, none finished and tested" if num_skipped else "no run"
        raise BookclsError(
            f"runs={root} contains {has}: give a folder where python -m bookcls.train has finished "
            "on a dataset with test photos."
        )
    return collection


def run_folders(root: Path) -> Iterator[Path]:
    """Yields the folders of training runs, but not those of pretraining and tuning.

    An ensemble is one run: its members are skipped, unless ``root`` is inside it.

    Raises:
        BookclsError: If a run folder contains links to outside.
    """
    for path in sorted(root.rglob(CONFIG)):
        members = path.parent.parent
        of_ensemble = members.name == MEMBERS and (members.parent / CONFIG).is_file()
        if of_ensemble and members.parent.is_relative_to(root):
            continue
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        if path.is_symlink() or not path.is_file():
            refuse_links(path.parent)
        names = set(read_yaml(path))
        if {"data", "model", "aug", "optim", "seed"} <= names and "space" not in names:
            refuse_links(path.parent)
            yield path.parent


def read_run(folder: Path, name: str) -> Run:
    """Reads a finished run.

    Raises:
        BookclsError: If one of its files is damaged, or the files are inconsistent.
    """
    config = read_yaml(folder / CONFIG)
    environment = read_json(folder / ENVIRONMENT)
    metrics = read_json(folder / METRICS)
    try:
        settings = {
            key: value
            for key, value in flatten(config).items()
            if key not in IGNORED_SETTINGS and not key.startswith("logger.")
        }
        answers = read_answers(folder / PREDICTIONS)
        provenance = environment["weights"]
        # Name and hash identify the weights, however they were selected.
        del settings["model.weights"], settings["model.pretrained"]
        settings.pop("model.fallback", None)
        settings["model.freeze_to"] = freeze_name(environment["freeze_to"])
        if settings["trainer.precision"] == "auto":
            settings["trainer.precision"] = environment["precision"]
        commit = environment["git_commit"]
        run = Run(
            folder,
            name,
            settings,
            int(config["seed"]),
            f"{environment['bookcls']}{f' {commit}' if commit else ''}",
            provenance["source"],
            f"{provenance['name']} {provenance['sha256'] or ''}".strip(),
            environment["dataset"]["fingerprint"],
            environment,
            metrics,
            environment["overrides"],
            answers,
            (folder / METRICS).stat().st_mtime,
            read_curve(folder),
            read_map_summaries(folder, answers),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged_error(folder, f"{type(error).__name__}: {error}") from error
    for split in dict.fromkeys(a.split for a in run.answers):
        logged = metrics.get(f"test/{split}_n"), metrics.get(f"test/{split}_correct")
        predictions = [a for a in run.answers if a.split == split]
        if logged != (len(predictions), sum(a.correct for a in predictions)):
            raise damaged_error(folder / PREDICTIONS, f"{split} does not match {METRICS}")
    return run


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flattens nested settings to dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def freeze_name(freeze_to: str | int | None) -> str:
    """Returns one name for all values that train the same layers: input, a convolution, or head."""
    index = first_trained(freeze_to)
    if index == 0:
        return "input"
    return next((name for name, at in CONV_INDEX.items() if at >= index), "head")
