"""Scores of activation maps, compared with baseline maps; and the flag of a prediction."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bookcls.explaining.audit import Audit
from bookcls.explaining.maps import HeatMap, Map, enlarge

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
    """How well a map localises an object, compared with two baselines.

    Attributes:
        area: Share of the image that the object covers, in [0, 1].
        inside: Share of the map's energy in the object, in [0, 1]; None for an empty map.
        hit: Whether the map's peak lies in the object (the pointing game, Zhang et al.,
            arXiv 1608.00507, without tolerance); None for an empty map.
        random_inside: Expected ``inside`` of a random map, which is ``area``.
        random_hit: Probability that the peak of a random map of the same grid lies in the object.
        centre_inside: ``inside`` of a Gaussian blob in the centre.
        centre_hit: Whether the centre lies in the object.
    """

    area: float
    inside: float | None
    hit: bool | None
    random_inside: float
    random_hit: float
    centre_inside: float
    centre_hit: bool


def measure(heat: HeatMap, region: Region) -> MapScores | None:
    """Scores a map against the object of the class that it explains.

    Args:
        heat: The map, (size, size).
        region: bool (size, size), True inside the object; padding is outside.

    Returns:
        The scores; None if the object is not in the photo.
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
    """Probability that the peak of a random map lies in a region: share of grid cells inside it.

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
    """Computes the share of a map's energy in a region, and whether its peak lies there.

    Returns:
        Share in [0, 1], and hit; (None, None) for an empty map.

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


def random_map(heat: HeatMap, seed: int) -> Map:
    """Draws a random map of the same grid as ``heat``: float32 (size, size) with peak 1."""
    grid = np.random.default_rng(seed).random(heat.grid, np.float32)
    return enlarge(grid, heat.map.shape[0])


def centre_blob(size: int) -> Map:
    """Creates a Gaussian blob in the centre, float32 (size, size): a baseline map."""
    axis = (np.arange(size) + 0.5) / size - 0.5
    profile = np.exp(-0.5 * (axis / BLOB) ** 2)
    return np.asarray(np.outer(profile, profile), np.float32)


def flag(
    *,
    correct: bool | None,
    prob: float,
    unsure: float,
    heat: HeatMap,
    numbers: MapScores | None,
    audit: Audit,
) -> tuple[str, str]:
    """Flags a prediction, and gives the reason.

    Args:
        correct: Whether the prediction is correct; None without a label.
        prob: Probability of the prediction, in [0, 1].
        unsure: Probability below which a prediction that is not wrong is unsure.
        heat: Map of the predicted class.
        numbers: Scores of the map; None if the photo has no such object or no mask.
        audit: Predictions on changed photos.

    Returns:
        One of :data:`FLAGS`, or "" for a confident prediction without a label; and the reason.
    """
    if correct is False:
        return WRONG, "not an accepted class"
    if prob < unsure:
        return UNSURE, f"probability {prob:.2f} is below {unsure:g}"
    if correct is None:
        return "", "no label"
    if audit.same_on_background:
        return WRONG_REASON, (
            f"the same prediction, with {audit.background_prob:.2f}, when all objects are removed"
        )
    if numbers is None:
        return RIGHT, "no object to compare the evidence with"
    if numbers.inside is None or heat.empty:
        return RIGHT, "no evidence to check: the map is empty"
    where = f"{numbers.inside:.0%} of the evidence in the object, which covers {numbers.area:.0%}"
    if numbers.inside >= numbers.area or numbers.hit:
        return RIGHT, where
    if audit.same_without is False:
        # A map is only an estimate; removing the object is an experiment on the model.
        return RIGHT, f"only {where}; but without the object the prediction changes"
    if audit.same_without is None:
        return RIGHT, f"only {where}; but the object could not be removed to test the prediction"
    return (
        WRONG_REASON,
        f"only {where}, the peak is outside, and the prediction stays without the object",
    )
