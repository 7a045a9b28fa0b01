"""Draws the figures of the report: as png files and, for most, as svg for the page."""

import io
import re
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bookcls.models.layers import CONV_INDEX, NAMES
from bookcls.pages.figures import plain
from bookcls.reporting.cells import Cell
from bookcls.reporting.collect import freeze_name
from bookcls.reporting.confusion import count_confusions
from bookcls.reporting.summary import Row
from bookcls.storage.files import atomic_write

INK = "#757575"
"""Colour of text and axes, legible on white and black; the page replaces it by its text colour."""
COLOURS = ("#3f88c5", "#e07a3f", "#3a9d6e", "#9a6fc0", "#c9515f", "#8a8f3c")
BLUE, ORANGE, GREEN, _, RED, _ = COLOURS
LINE_STYLES = ("-", "--", ":", "-.")
"""Used in turn when all colours are in use."""
MAX_POINTS = 300
"""A learning curve with more epochs is thinned to about this many points."""
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.constrained_layout.use": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "bookcls",
    "savefig.dpi": 150,
}


def draw_all(cells: Sequence[Cell], table: dict[str, list[Row]], output: Path) -> dict[str, str]:
    """Draws every figure that the cells have data for.

    Args:
        cells: The cells, sorted by label.
        table: Result of :func:`bookcls.reporting.summary.summarise`.
        output: Folder for the png files; those that no longer apply are removed.

    Returns:
        Name of a figure -> svg for the page.
    """
    figures: dict[str, Callable[[], Figure | None]] = {
        "ablation": partial(draw_ablation, cells, table),
        "freeze": partial(draw_freeze_curve, cells, table),
        "learning": partial(draw_learning_curves, cells),
    }
    for split in table:
        name = re.sub(r"[^\w-]", "_", split)
        figures[f"confusion_{name}"] = partial(draw_confusions, cells, split)
    drawn = {}
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # Kanji in a class name: the browser has fonts for them, the png shows boxes.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        for name, draw in figures.items():
            figure = draw()
            if figure is None:
                (output / f"{name}.png").unlink(missing_ok=True)
                continue
            with atomic_write(output / f"{name}.png") as temporary:
                figure.savefig(temporary, format="png", facecolor="white")
            if not name.startswith("confusion"):  # The page has an interactive one.
                drawn[name] = to_svg(figure, name)
    return drawn


def to_svg(figure: Figure, name: str) -> str:
    """Converts a figure to an svg element with unique ids, no URLs, and the page's text colour."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (xmlns(:\w+)?|version)="[^"]*"', "", svg)
    svg = re.sub(r'(<svg [^>]*?)width="[\d.]+pt" height="[\d.]+pt"', r"\1", svg, count=1)
    svg = svg.replace('id="', f'id="{name}-').replace('"#', f'"#{name}-')
    return svg.replace("url(#", f"url(#{name}-").replace(INK, "currentColor")


def draw_ablation(cells: Sequence[Cell], table: dict[str, list[Row]]) -> Figure:
    """Draws one line per cell: every seed, the mean with its interval, and the floor."""
    labels = [plain(cell.label) for cell in cells]
    lines = sum(1 + label.count("\n") for label in labels)
    figure = Figure(figsize=(3.2 + 2.6 * len(table), 1.4 + 0.27 * max(lines, len(cells))))
    axes = figure.subplots(1, len(table), sharey=True, squeeze=False)[0]
    for ax, (split, rows) in zip(axes, table.items(), strict=True):
        for i, cell in enumerate(cells):
            row = next((row for row in rows if row.cell is cell), None)
            if row is None:
                continue
            if row.tied:
                ax.axhspan(i - 0.5, i + 0.5, color=GREEN, alpha=0.13, linewidth=0)
            ax.plot(row.interval[:2], [i, i], color=BLUE, linewidth=2, alpha=0.55)
            ax.plot(row.by_seed, [i] * len(row.by_seed), "o", mfc="none", color=BLUE, ms=4)
            ax.plot([row.mean], [i], "o", color=BLUE, ms=6)
        ax.axvline(rows[0].floor, color=INK, linestyle=(0, (4, 3)), linewidth=1)
        ax.set(xlim=(-0.03, 1.03), xlabel="accuracy", title=plain(f"{split}, {rows[0].num_photos}"))
        ax.grid(axis="x")
    axes[0].set_yticks(range(len(cells)), labels)
    axes[0].set_ylim(len(cells) - 0.5, -0.5)
    handles = [
        axes[0].plot([], [], "o-", color=BLUE, ms=6, label="mean, 95 % interval")[0],
        axes[0].plot([], [], "o", mfc="none", color=BLUE, ms=4, label="single seed")[0],
        axes[0].plot([], [], linestyle=(0, (4, 3)), color=INK, linewidth=1, label="floor")[0],
        axes[0].plot([], [], color=GREEN, alpha=0.25, linewidth=7, label="tied with the best")[0],
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def draw_freeze_curve(cells: Sequence[Cell], table: dict[str, list[Row]]) -> Figure | None:
    """Draws accuracy by the first trained layer, one panel per test split.

    Freezing to the input or to a pool trains the same layers as freezing to the next convolution:
    its point is repeated there, hollow and without a line.

    Returns:
        The figure; None without three such layers under otherwise equal settings.
    """
    series: dict[str, list[Cell]] = {}
    for cell in cells:
        words = [w for w in cell.label.split(" ") if not w.startswith("freeze_to=")]
        suffix = "".join(f" ({mark})" for mark in cell.marks if mark.startswith("other"))
        if cell.facets["freeze_to"] in NAMES:
            series.setdefault(" ".join(words) + suffix, []).append(cell)
    series = {
        name: group
        for name, group in series.items()
        if len({cell.facets["freeze_to"] for cell in group}) >= 3
    }
    if not series:
        return None
    layers = [name for name in NAMES if name != "block5_pool"]
    figure = Figure(figsize=(8, 1.2 + 2 * len(table)))
    axes = figure.subplots(len(table), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (split, rows) in zip(axes, table.items(), strict=True):
        for number, (name, group) in enumerate(series.items()):
            draw_freeze_series(ax, layers, group, rows, name, number)
        ax.axhline(rows[0].floor, color=INK, linestyle=(0, (4, 3)), linewidth=1)
        ax.set(title=plain(f"{split}, accuracy", 80))
        ax.grid(axis="y")
    handles, names = axes[0].get_legend_handles_labels()
    if any(names):
        axes[0].legend(handles, names, loc="best")
    axes[-1].set_xlim(-0.6, len(layers) - 0.4)
    axes[-1].set_xticks(range(len(layers)), layers, rotation=55, ha="right")
    axes[-1].set_xlabel("frozen below, trained from here on (hollow: same layers as the next conv)")
    return figure


def draw_freeze_series(
    ax: Axes,
    layers: Sequence[str],
    group: Sequence[Cell],
    rows: Sequence[Row],
    name: str,
    number: int,
) -> None:
    """Draws one series of the freeze curve: seeds as dots, their mean as a line."""
    colour = COLOURS[number % len(COLOURS)]
    style = LINE_STYLES[number // len(COLOURS) % len(LINE_STYLES)]
    by_layer = {row.cell.facets["freeze_to"]: row for row in rows if row.cell in group}
    line: list[tuple[int, float]] = []
    for x, layer in enumerate(layers):
        row = by_layer.get(freeze_name(layer))
        if row is None:
            continue
        seeds = row.by_seed
        repeated = layer not in CONV_INDEX and layer != "head"
        face = "none" if repeated else colour
        if not repeated:
            line.append((x, float(np.mean(seeds))))
            ax.plot([x] * len(seeds), seeds, "o", color=colour, alpha=0.35, ms=3.5, mew=0)
        ax.plot([x], [np.mean(seeds)], "o", color=colour, mfc=face, ms=5)
    label = plain(name, 60) or None
    ax.plot(*zip(*line, strict=True), style, color=colour, linewidth=1.4, label=label)


def draw_learning_curves(cells: Sequence[Cell]) -> Figure | None:
    """Draws training and validation loss by epoch, for every seed; None if there are no logs."""
    shown = [cell for cell in cells if any(run.curve for run in cell.runs)]
    if not shown:
        return None
    columns = min(4, len(shown))
    lines = -(-len(shown) // columns)
    # Narrower figures would be enlarged to the width of the page, text included.
    figure = Figure(figsize=(max(7.5, 2.3 * columns + 0.6), 1.9 * lines + 0.9))
    axes = list(figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat)
    for ax, cell in zip(axes, shown, strict=False):
        for run in cell.runs:
            for which, colour in ((1, BLUE), (2, ORANGE)):
                points = [(p[0], p[which]) for p in run.curve if p[which] is not None]
                points = points[:: max(1, len(points) // MAX_POINTS)]
                if points:
                    ax.plot(*zip(*points, strict=True), color=colour, linewidth=0.9, alpha=0.75)
        ax.set_yscale("log")
        ax.set_title(plain(cell.label, 30), fontsize=8)
        ax.grid(axis="y")
    for ax in axes[len(shown) :]:
        ax.set_axis_off()
    handles = [axes[0].plot([], [], color=BLUE, label="training loss")[0]]
    if any(point[2] is not None for cell in shown for run in cell.runs for point in run.curve):
        handles += axes[0].plot([], [], color=ORANGE, label="validation loss")
    figure.legend(handles=handles, loc="outside upper right", ncols=2)
    figure.supxlabel("epoch", fontsize=9)
    return figure


def draw_confusions(cells: Sequence[Cell], split: str) -> Figure:
    """Draws a confusion matrix per cell, over all seeds: true classes by predicted classes."""
    tables = [(cell, count_confusions(cell, split)) for cell in cells if cell.photos(split)]
    columns = min(3, len(tables))
    lines = -(-len(tables) // columns)
    widest = max(len(c.columns) for _, c in tables)
    tallest = max(len(c.rows) for _, c in tables)
    size = columns * (1.6 + 0.34 * widest), lines * (1.3 + 0.26 * tallest)
    figure = Figure(figsize=size)
    axes = list(figure.subplots(lines, columns, squeeze=False).flat)
    for ax, (cell, table) in zip(axes, tables, strict=False):
        for (y, x), number in np.ndenumerate(table.answers):
            right = table.right[y, x]
            if not number:
                continue
            colour = GREEN if right == number else RED if not right else ORANGE
            ax.add_patch(
                mpl.patches.Rectangle((x - 0.5, y - 0.5), 1, 1, color=colour, alpha=0.35, lw=0)
            )
            ax.text(x, y, f"{number}", ha="center", va="center", fontsize=8, color="#333333")
        ax.set(xlim=(-0.5, len(table.columns) - 0.5), ylim=(len(table.rows) - 0.5, -0.5))
        ax.set_xticks(range(len(table.columns)), map(plain, table.columns), rotation=60, ha="right")
        ax.set_yticks(range(len(table.rows)), [plain(row, 26) for row in table.rows])
        ax.tick_params(labelsize=7, length=0)
        ax.set_title(plain(cell.label, 40), fontsize=8)
    for ax in axes[len(tables) :]:
        ax.set_axis_off()
    figure.suptitle("predictions of all seeds; green: accepted, red: wrong, orange: some accepted",
                    fontsize=8)  # fmt: skip
    return figure
