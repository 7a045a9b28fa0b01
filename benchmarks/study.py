"""The report's figures with the results of the 2018 study: docs/ablation.png, docs/freeze.png.

``python -m benchmarks.study runs/ablation`` draws the first, a freeze sweep the second.
"""

import argparse
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from bookcls.config import CHECKOUT
from bookcls.reporting import plots
from bookcls.reporting.cells import Cell, make_cells
from bookcls.reporting.collect import find_runs
from bookcls.reporting.summary import summarise

TABLE = {
    ("scratch", "none"): {"easy": 0.33, "difficult": 0.10},
    ("scratch", "mixup"): {"easy": 0.33, "difficult": 0.25},
    ("scratch", "usual"): {"easy": 0.83, "difficult": 0.60},
    ("scratch", "all"): {"easy": 1.00, "difficult": 0.65},
    ("pretrained", "none"): {"easy": 0.83, "difficult": 0.35},
    ("pretrained", "mixup"): {"easy": 1.00, "difficult": 0.35},
    ("pretrained", "usual"): {"easy": 1.00, "difficult": 0.85},
    ("pretrained", "all"): {"easy": 1.00, "difficult": 0.95},
}
"""Accuracy of single runs, by weights (scratch or ImageNet) and augmentation."""

FREEZE = {
    "input": 0.33,
    "block1_conv1": 0.355,
    "block1_conv2": 0.365,
    "block2_conv1": 0.367,
    "block2_conv2": 0.377,
    "block3_conv1": 0.395,
    "block3_conv2": 0.387,
    "block3_conv3": 0.405,
    "block3_pool": 0.395,
    "block4_conv1": 0.408,
    "block4_conv2": 0.417,
    "block4_conv3": 0.384,
    "block4_pool": 0.383,
    "block5_conv1": 0.405,
    "block5_conv2": 0.393,
    "block5_conv3": 0.396,
}
"""Mean of five repeats by the layer from which all train, read off a plot; a soft score, the mean
of two test scores, not an accuracy. Two of the study's 18 points cannot be read."""


def published(cell: Cell, split: str) -> float | None:
    """The study's accuracy with a cell's weights and augmentation on a split, if it has one."""
    start = "scratch" if cell.facets["weights"] == "scratch" else "pretrained"
    return TABLE.get((start, cell.facets["aug"]), {}).get(split)


def draw(root: Path, output: Path) -> Path:
    """Draws freeze.png of a freeze sweep, else ablation.png; returns its path.

    Raises:
        BookclsError: If there is no finished run below ``root``.
    """
    cells = make_cells(find_runs(root).runs)
    table = summarise(cells)
    with mpl.rc_context(plots.STYLE):
        figure = plots.draw_freeze_curve(cells, table)
        path = output / ("ablation.png" if figure is None else "freeze.png")
        if figure is None:
            figure = plots.draw_ablation(cells, table)
            add_points(figure, cells, list(table))
        else:
            add_curve(figure)
        figure.savefig(path, facecolor="white")
    return path


def add_points(figure: Figure, cells: list[Cell], splits: list[str]) -> None:
    """A diamond in the line of each cell that the study had, on each split."""
    style: dict[str, Any] = {"mfc": "none", "color": plots.ORANGE, "ms": 5}
    for ax, split in zip(figure.axes, splits, strict=True):
        for i, cell in enumerate(cells):
            value = published(cell, split)
            if value is not None:
                ax.plot([value], [i], "D", **style)
    legend = figure.legends[0]
    labels = [*(text.get_text() for text in legend.get_texts()), "study (2018)"]
    handles = [handle for handle in legend.legend_handles if handle is not None]
    handles += figure.axes[0].plot([], [], "D", **style)
    legend.remove()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))


def add_curve(figure: Figure) -> None:
    """The study's curve in a panel below the others, with a scale of its own."""
    above = figure.axes
    last = above[-1]
    layers = [label.get_text() for label in last.get_xticklabels()]
    grid = GridSpec(len(above) + 1, 1, figure=figure)
    for row, ax in enumerate(above):
        ax.set_subplotspec(grid[row])
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 2)
    below = figure.add_subplot(grid[-1], sharex=last)
    below.plot([layers.index(name) for name in FREEZE], list(FREEZE.values()), "o-",
               color=plots.ORANGE, ms=4, linewidth=1.2)  # fmt: skip
    below.set(
        title="the study (2018): a soft score on a scale of its own, mean of five repeats; input "
        "and pools\nare further repeats of the next conv: their distance from it is noise",
        xlabel=last.get_xlabel(),
    )
    below.grid(axis="y")
    below.set_xticks(range(len(layers)), layers, rotation=55, ha="right")
    last.set_xlabel("")
    last.tick_params(labelbottom=False)


def main(argv: list[str] | None = None) -> None:
    """Draws one figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, help="the sweep's folder")
    parser.add_argument("--output", type=Path, default=CHECKOUT / "docs", help="default: docs/")
    given = parser.parse_args(argv)
    print(draw(given.runs, given.output))


if __name__ == "__main__":
    main()
