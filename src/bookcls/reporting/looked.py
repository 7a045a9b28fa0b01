"""What the runs looked at, by the numbers that ``python -m bookcls.cam`` leaves in a run folder."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bookcls.data.answers import Answer
from bookcls.errors import BookclsError
from bookcls.files import read_json
from bookcls.runs import CAM, CAM_JSON

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
class Looked:
    """One run on one test split.

    Attributes:
        made: How the maps were made.
        flags: Flag -> photos.
        measured: Answers whose object has a mask and a map that is not empty.
        means: By ``MEANS``; those of ROAD are over all photos, the others over the measured.
    """

    made: str
    flags: dict[str, int]
    measured: int
    means: dict[str, float]


def read_looked(folder: Path, answers: Iterable[Answer]) -> dict[str, Looked] | None:
    """Test split -> what a run looked at; empty where nobody asked, None about other answers.

    Raises:
        BookclsError: If the file is damaged.
    """
    path = folder / CAM / CAM_JSON
    if not path.is_file():
        return {}
    told = read_json(path)
    try:
        (run,) = told["runs"]
        (made,) = told["made"].values()
        seen = {(row["split"], row["file"]): row["pred"] for row in run["photos"]}
        if seen != {(f"test_{a.split}", a.file): a.pred for a in answers}:
            return None
        made = f"{made}, unsure below {told['unsure']:g}"
        return {
            split.removeprefix("test_"): Looked(
                made,
                {flag: int(summary["flags"][flag]) for flag in FLAGS},
                int(summary["measured"]),
                {k: float(summary[k]) for k in MEANS if usable(summary[k])},
            )
            for split, summary in run["summary"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BookclsError(
            f"{path} is damaged ({type(error).__name__}: {error}): delete it, or make it again "
            f"with python -m bookcls.cam ckpt={folder}"
        ) from error


def usable(value: float | None) -> bool:
    """Whether a number was measured.

    Raises:
        TypeError: If it is no number.
    """
    return value is not None and math.isfinite(value)
