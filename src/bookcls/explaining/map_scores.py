"""Where a map's energy lies, against what maps that know nothing would score; and the flag."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bookcls.explaining.audit import Audit
from bookcls.explaining.maps import Heat, Map, enlarge

Region = npt.NDArray[np.bool_]
RIGHT, WRONG_REASON, WRONG, UNSURE = (
    "right",
    "right for the wrong reason",
    "wrong",
    "unsure",
)
FLAGS = (RIGHT, WRONG_REASON, WRONG, UNSURE)
BLOB = 1 / 6
"""Standard deviation of the centre blob, as a share of the side."""


@dataclass(frozen=True)
class MapScores:
    """How well a map and two floors find an object.

    Attributes:
        area: Share of the square that the object fills, in [0, 1].
        inside: Share of the map's energy in the object; None for an empty map.
        hit: Whether the map's peak lies in the object (the pointing game, Zhang et al.,
            arXiv 1608.00507, without tolerance); None for an empty map.
        random_inside: The share that random maps have there on average, which is ``area``.
        random_hit: How often the peak of a random map of the same grid lies there, in [0, 1].
        centre_inside: The share for a blob in the centre.
        centre_hit: Whether the centre lies in the object.
    """

    area: float
    inside: float | None
    hit: bool | None
    random_inside: float
    random_hit: float
    centre_inside: float
    centre_hit: bool


def measure(heat: Heat, region: Region) -> MapScores | None:
    """Scores a map against the object of the class that it explains.

    Args:
        heat: The map, (size, size).
        region: Where the object is, bool (size, size); padding is outside.

    Returns:
        The numbers; None where the object is not in the photo.
    """
    if not region.any():
        return None
    inside, hit = score(heat.map, region)
    centre = score(centre_blob(heat.map.shape[0]), region)
    assert centre[0] is not None
    area = float(region.mean())
    return MapScores(
        area, inside, hit, area, hit_probability(heat.grid, region), centre[0], bool(centre[1])
    )


def hit_probability(grid: tuple[int, int], region: Region) -> float:
    """Share of a grid's cells whose middle lies in a region: where a random map's peak may be.

    Example:
        >>> hit_probability((2, 2), np.array([[1, 1, 0, 0], [1, 1, 0, 0]] * 2, bool))
        0.5
    """
    rows, columns = (
        ((np.arange(n) + 0.5) * side / n - 0.5).astype(int)
        for n, side in zip(grid, region.shape, strict=True)
    )
    return float(region[np.ix_(rows, columns)].mean())


def score(heat: Map, region: Region) -> tuple[float | None, bool | None]:
    """Share of a map's energy in a region, and whether its peak is there; None if it is empty.

    Example:
        >>> half = np.array([[1, 0], [0, 0]], bool)
        >>> score(np.array([[3, 1], [0, 0]], np.float32), half)
        (0.75, True)
    """
    total = float(heat.sum(dtype=np.float64))
    if total == 0:
        return None, None
    share = float(heat[region].sum(dtype=np.float64)) / total
    return share, bool(region.flat[int(heat.argmax())])


def random_map(heat: Heat, seed: int) -> Map:
    """A map that knows nothing, as coarse as ``heat``."""
    grid = np.random.default_rng(seed).random(heat.grid, np.float32)
    return enlarge(grid, heat.map.shape[0])


def centre_blob(size: int) -> Map:
    """A map that says: whatever it is, it is in the middle."""
    axis = (np.arange(size) + 0.5) / size - 0.5
    wave = np.exp(-0.5 * (axis / BLOB) ** 2)
    return np.asarray(np.outer(wave, wave), np.float32)


def flag(
    *,
    correct: bool | None,
    prob: float,
    unsure: float,
    heat: Heat,
    numbers: MapScores | None,
    audit: Audit,
) -> tuple[str, str]:
    """A plain word for an answer, and the reason for it.

    Args:
        correct: Whether the answer is accepted; None without a label.
        prob: Its probability.
        unsure: Below this probability an answer that is not wrong counts as unsure.
        heat: The map for the answer.
        numbers: What it scored; None where the photo shows no such object or has no mask.
        audit: What the model said to the photo without its objects.

    Returns:
        One of :data:`FLAGS`, or "" for a sure answer without a label; and a sentence.
    """
    if correct is False:
        return WRONG, "not an accepted class"
    if prob < unsure:
        return UNSURE, f"probability {prob:.2f} is below {unsure:g}"
    if correct is None:
        return "", "no label"
    if audit.same_on_background:
        return WRONG_REASON, (
            f"the same answer, with {audit.background_prob:.2f}, when the objects are taken out"
        )
    if numbers is None:
        return RIGHT, "no object to check the evidence against"
    if numbers.inside is None or heat.empty:
        return RIGHT, "no evidence to check: the map is empty"
    where = f"{numbers.inside:.0%} of the evidence in the object, which fills {numbers.area:.0%}"
    if numbers.inside >= numbers.area or numbers.hit:
        return RIGHT, where
    if audit.same_without is False:
        # A map is a guess about the model; taking the object out is an experiment on it.
        return RIGHT, f"only {where}; but without the object the answer is another"
    if audit.same_without is None:
        return RIGHT, f"only {where}; but the object could not be taken out to try the answer"
    return WRONG_REASON, f"only {where}, its peak is outside, and without it the answer stays"
