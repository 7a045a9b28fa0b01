"""What the 2018 study published, and the cells of ours that answer to it."""

from collections.abc import Sequence

from bookcls.reporting.cells import AUGS, Cell
from bookcls.reporting.summary import Row

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


def position(cell: Cell) -> tuple[str, str]:
    """Where a cell stands in the study's table."""
    start = "scratch" if cell.facets["weights"] == "scratch" else "pretrained"
    return start, cell.facets["aug"]


def applies(cells: Sequence[Cell]) -> bool:
    """Whether the study's table is what these cells are about: not, say, for a freeze sweep."""
    return len(cells) == 1 or len({position(cell) for cell in cells}) > 1


def beside(table: dict[str, list[Row]]) -> list[tuple[tuple[str, str], dict[str, Row]]]:
    """The study's eight positions in order, each as often as cells of ours answer to it.

    Args:
        table: From ``summarise``.

    Returns:
        Position and split -> our row; the dictionary is empty where there is no cell of ours. An
        empty list where no test split has one of the study's names or the cells differ in other
        things.
    """
    found: dict[int, dict[str, Row]] = {}
    cells: dict[int, Cell] = {}
    for split in ("easy", "difficult"):
        for row in table.get(split, ()):
            found.setdefault(id(row.cell), {})[split] = row
            cells[id(row.cell)] = row.cell
    if not applies(list(cells.values())):
        return []
    lines = []
    for start in ("scratch", "pretrained"):
        for aug in AUGS:
            here = [rows for key, rows in found.items() if position(cells[key]) == (start, aug)]
            lines += [((start, aug), rows) for rows in here or [{}]]
    return lines


def published(split: str, cells: Sequence[Cell]) -> dict[int, float]:
    """Index of a cell -> the study's accuracy at its position, where its table applies."""
    if not applies(cells):
        return {}
    values = {i: TABLE.get(position(cell), {}).get(split) for i, cell in enumerate(cells)}
    return {i: value for i, value in values.items() if value is not None}
