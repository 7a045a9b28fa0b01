"""Reads the files of a run folder; the error names the damaged file."""

import csv
from pathlib import Path
from typing import Any

import yaml

from bookcls.config import check_yaml
from bookcls.data.answers import Answer
from bookcls.errors import BookclsError
from bookcls.storage.files import unescape_field

PROB = "prob_"


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML file of names and values.

    Raises:
        BookclsError: If it is damaged.
    """
    try:
        value = yaml.safe_load(check_yaml(path))
    except (yaml.YAMLError, OSError, ValueError) as error:
        raise damaged_error(path, " ".join(str(error).split())[:100]) from error
    if not isinstance(value, dict):
        raise damaged_error(path, "it contains no settings")
    return value


def damaged_error(path: Path, why: object) -> BookclsError:
    """Creates the error for a file that cannot be read."""
    return BookclsError(
        f"{path} is damaged ({why}): train this run again, or move its folder away from the others."
    )


def read_answers(path: Path) -> list[Answer]:
    """Reads predictions.csv.

    Raises:
        BookclsError: If it is damaged.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            answers = [
                Answer(
                    row["split"].removeprefix("test_"),
                    unescape_field(row["file"]),
                    unescape_field(row["dominant"]),
                    tuple(unescape_field(row["accepted"]).split(";")),
                    unescape_field(row["pred"]),
                    {k.removeprefix(PROB): float(v) for k, v in row.items() if k.startswith(PROB)},
                )
                for row in csv.DictReader(file, strict=True)
            ]
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise damaged_error(path, error) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged_error(path, "a row is incomplete or not a number") from error
    if not answers:
        raise damaged_error(path, "it has no rows")
    return answers


def read_curve(folder: Path) -> list[tuple[int, float | None, float | None]]:
    """Reads the mean training loss and the validation loss of each epoch, from all logs of a run.

    Raises:
        BookclsError: If a log is damaged.
    """
    logs = sorted(folder.glob("logs/version_*/metrics.csv"), key=lambda p: (len(str(p)), p))
    train: dict[int, list[float]] = {}
    val: dict[int, float] = {}
    for path in logs:
        fresh: dict[int, list[float]] = {}
        try:
            with path.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    epoch = int(row["epoch"])
                    if row.get("train/loss"):
                        fresh.setdefault(epoch, []).append(float(row["train/loss"]))
                    if row.get("val/loss"):
                        val[epoch] = float(row["val/loss"])
        except (OSError, csv.Error, KeyError, TypeError, ValueError) as error:
            raise damaged_error(path, "a row is incomplete or not a number") from error
        train |= fresh
    means = {epoch: sum(losses) / len(losses) for epoch, losses in train.items()}
    return [(e, means.get(e), val.get(e)) for e in sorted(means.keys() | val.keys())]
