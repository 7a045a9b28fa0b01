"""Figures of one photo: heat map, overlay, photo; or the overlays of several models."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from bookcls.explaining.explanation import Explanation
from bookcls.explaining.map_scores import RIGHT, UNSURE, WRONG, WRONG_REASON
from bookcls.explaining.maps import HeatMap
from bookcls.pages.figures import literal, plain
from bookcls.storage.files import atomic_write

Picture = npt.NDArray[np.uint8]
COLOURS = "inferno"
"""Perceptually uniform and increasing in lightness, so that it also works in greyscale print."""
INKS = {RIGHT: "#1a6e3c", WRONG_REASON: "#b35900", WRONG: "#b3261e", UNSURE: "#5a5a8a", "": "black"}
HALF = 0.5
"""Level of the outline, as a share of the peak."""


def resize_map(heat: HeatMap, side: int) -> npt.NDArray[np.float32]:
    """Resizes a map to a figure."""
    large = cv2.resize(heat.map, (side, side), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.float32)


def overlay(photo: Picture, heat: HeatMap) -> Picture:
    """Overlays a map on the greyscale photo, with an outline at half of its peak.

    Args:
        photo: uint8 (S, S, 3).
        heat: The map; if it is empty, the photo stays grey and dark.

    Returns:
        uint8 (S, S, 3).
    """
    values = resize_map(heat, photo.shape[0])[..., None]
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    colours = mpl.colormaps[COLOURS](values[..., 0])[..., :3].astype(np.float32) * 255
    weight = 0.6 * values
    mixed = grey * (0.7 + 0.3 * values) * (1 - weight) + colours * weight
    picture = np.ascontiguousarray(mixed.clip(0, 255).astype(np.uint8))
    top = (values[..., 0] >= HALF).astype(np.uint8)
    outline, _ = cv2.findContours(top, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outline, -1, (0, 0, 0), 4, cv2.LINE_AA)
    cv2.drawContours(picture, outline, -1, (255, 255, 255), 2, cv2.LINE_AA)
    return picture


def title(explanation: Explanation, class_names: Sequence[str]) -> str:
    """Title as in the 2018 study, with the probability: ``keras? yes 0.87``.

    Without a label, ``keras? 0.87``.
    """
    verdict = {True: " yes", False: " no", None: ""}[explanation.correct]
    return f"{class_names[explanation.pred]}?{verdict} {explanation.probs[explanation.pred]:.2f}"


def note(explanation: Explanation, k: int, class_names: Sequence[str]) -> str:
    """Describes the scores of a map in a few words."""
    heat, numbers = explanation.heat_maps[k], explanation.numbers[k]
    if heat.empty:
        return f"no evidence for {class_names[k]}"
    if numbers is None or numbers.inside is None:
        return f"evidence for {class_names[k]}"
    return (
        f"{numbers.inside:.0%} of the evidence for {class_names[k]}\n"
        f"is in it ({numbers.area:.0%} of the area)"
    )


def hide_ticks(axes: Axes) -> None:
    """Hides the ticks, so that only the frame remains."""
    axes.set_xticks([])
    axes.set_yticks([])


def show_heat(axes: Axes, heat: HeatMap, side: int) -> None:
    """Shows the map in colours, or a note if it is empty."""
    hide_ticks(axes)
    if heat.empty:
        axes.set_facecolor("0.85")
        axes.text(0.5, 0.5, "no evidence", ha="center", va="center", transform=axes.transAxes)
        axes.set_aspect("equal")
        return
    axes.imshow(resize_map(heat, side), cmap=COLOURS, vmin=0, vmax=1)


def legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Adds a colour bar."""
    bar = figure.colorbar(
        ScalarMappable(mpl.colors.Normalize(0, 1), COLOURS), ax=list(axes), fraction=0.03, pad=0.02
    )
    bar.set_ticks([0, HALF, 1])
    bar.set_ticklabels(["none", "half (outline)", "strongest"])
    bar.ax.tick_params(labelsize=7)


def draw(explanation: Explanation, class_names: Sequence[str], made: str) -> Figure:
    """Draws the three panels of the 2018 study, one row per class shown.

    Args:
        explanation: The photo.
        class_names: Sorted names.
        made: How the maps were computed, for the footer.
    """
    rows = len(explanation.shown)
    figure = Figure(figsize=(8.4, 2.62 * rows + 0.6), layout="constrained")
    grid = figure.subplots(rows, 3, squeeze=False)
    side = explanation.photo.shape[0]
    for line, k in zip(grid, explanation.shown, strict=True):
        heat = explanation.heat_maps[k]
        show_heat(line[0], heat, side)
        line[1].imshow(overlay(explanation.photo, heat))
        line[2].imshow(explanation.photo)
        for axes in line[1:]:
            hide_ticks(axes)
        line[1].set_title(literal(note(explanation, k, class_names)), fontsize=7)
    heading = literal(title(explanation, class_names))
    grid[0][0].set_title(heading, fontsize=11, loc="left", fontweight="bold")
    accepted = ", ".join(class_names[k] for k in explanation.sample.accepted)
    grid[0][2].set_title(plain(f"accepted: {accepted}", 36) if accepted else "", fontsize=7)
    legend(figure, grid.ravel().tolist())
    words = ": ".join(part for part in (explanation.flag, explanation.reason) if part)
    foot = f"{explanation.split}/{explanation.sample.name}   {words}\n{made}"
    figure.supxlabel(literal(foot), fontsize=7)
    return figure


def draw_comparison(
    explanations: Sequence[Explanation], names: Sequence[str], class_names: Sequence[str], made: str
) -> Figure:
    """Draws one photo for several models: the photo, then an overlay for each model."""
    figure = Figure(figsize=(2.7 * (len(explanations) + 1) + 0.6, 3.6), layout="constrained")
    line = figure.subplots(1, len(explanations) + 1)
    first = explanations[0]
    line[0].imshow(first.photo)
    accepted = ", ".join(class_names[k] for k in first.sample.accepted)
    line[0].set_title(plain(f"accepted: {accepted}", 36) if accepted else "photo", fontsize=7)
    for axes, explanation, name in zip(line[1:], explanations, names, strict=True):
        k = explanation.shown[0]
        axes.imshow(overlay(explanation.photo, explanation.heat_maps[k]))
        axes.set_title(literal(f"{name}\n{title(explanation, class_names)}"), fontsize=8)
        axes.set_xlabel(
            literal(f"{note(explanation, k, class_names)}\n{explanation.flag}"), fontsize=6
        )
    for axes in line:
        hide_ticks(axes)
    legend(figure, line.tolist())
    figure.supxlabel(literal(f"{first.split}/{first.sample.name}\n{made}"), fontsize=7)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Writes a PNG atomically."""
    with atomic_write(path) as temporary, warnings.catch_warnings():
        # Characters that the font does not have are drawn as boxes.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(temporary, dpi=110, format="png")
