"""Reads the map statistics that ``python -m bookcls.cam`` writes into a run folder."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bookcls.data.answers import Answer
from bookcls.errors import BookclsError
from bookcls.runs import CAM, CAM_JSON
from bookcls.storage.files import read_json

FLAGS = ("right", "right for the wrong reason", "unsure", "wrong")
MEANS = (
    "inside",
    "random_inside",
    "centre_inside",
    "hit",
    "random_hit",
    "centre_hit",
    "road",
    "road_random",
)


@dataclass(frozen=True)
class MapSummary:
    """Summary of the activation maps of a run on a test split.

    Attributes:
        method: How the maps were computed.
        flags: Flag -> number of photos.
        num_measured: Number of predictions whose object has a mask and a non-empty map.
        means: Means of the scores in ``MEANS``: of ROAD over all photos, of the others over the
            measured predictions.
    """

    method: str
    flags: dict[str, int]
    num_measured: int
    means: dict[str, float]


def read_map_summaries(folder: Path, answers: Iterable[Answer]) -> dict[str, MapSummary] | None:
    """Reads the map summary of each test split.

    Args:
        folder: The run folder.
        answers: The current predictions of the run.

    Returns:
        Test split -> summary; empty without maps, None if they explain other predictions.

    Raises:
        BookclsError: If the file is damaged.
    """
    path = folder / CAM / CAM_JSON
    if not path.is_file():
        return {}
    content = read_json(path)
    try:
        (run,) = content["runs"]
        (method,) = content["made"].values()
        preds = {(row["split"], row["file"]): row["pred"] for row in run["photos"]}
        if preds != {(f"test_{a.split}", a.file): a.pred for a in answers}:
            return None
        method = f"{method}, unsure below {content['unsure']:g}"
        return {
            split.removeprefix("test_"): MapSummary(
                method,
                {flag: int(summary["flags"][flag]) for flag in FLAGS},
                int(summary["measured"]),
                {k: float(summary[k]) for k in MEANS if is_measured(summary[k])},
            )
            for split, summary in run["summary"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BookclsError(
            f"{path} is damaged ({type(error).__name__}: {error}): delete it, or create it again "
            f"with python -m bookcls.cam ckpt={folder}"
        ) from error


def is_measured(value: float | None) -> bool:
    """Whether a score is available.

    Raises:
        TypeError: If it is not a number.
    """
    return value is not None and math.isfinite(value)
