"""Contact sheets: many captioned pictures on a few pages, with constant memory."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure

from bookcls.explaining.panels import Picture, hide_ticks, save
from bookcls.pages.figures import literal

THUMB = 170
COLUMNS = 4
PER_PAGE = 24


def concatenate_pictures(pictures: Sequence[Picture]) -> Picture:
    """Concatenates square pictures to a row of thumbnails, separated by white lines."""
    line = np.full((THUMB, 4, 3), 255, np.uint8)
    parts: list[Picture] = []
    for picture in pictures:
        small = cv2.resize(picture, (THUMB, THUMB), interpolation=cv2.INTER_AREA)
        parts += [np.asarray(small, np.uint8), line]
    return np.concatenate(parts[:-1], axis=1)


class Sheet:
    """Collects pictures with captions, and writes each page as soon as it is full."""

    def __init__(self, path: Path, heading: str) -> None:
        """Creates an empty sheet.

        Args:
            path: The PNG; further pages are called ``<stem>_2.png`` and so on.
            heading: Heading of every page.
        """
        self.path = path
        self.heading = heading
        self.pages: list[Path] = []
        self._cells: list[tuple[Picture, str, str]] = []

    def add(self, picture: Picture, caption: str, colour: str = "black") -> None:
        """Adds a picture."""
        self._cells.append((picture, caption, colour))
        if len(self._cells) == PER_PAGE:
            self.flush()

    def flush(self) -> None:
        """Writes the last, incomplete page."""
        if not self._cells:
            return
        width = max(picture.shape[1] for picture, _, _ in self._cells) / THUMB
        lines = max(caption.count("\n") + 1 for _, caption, _ in self._cells)
        columns = min(len(self._cells), max(1, round(2 * COLUMNS / width)))
        rows = -(-len(self._cells) // columns)
        figure = Figure(
            figsize=(columns * (1.5 * width + 0.1), rows * (1.6 + 0.14 * lines) + 0.4),
            layout="constrained",
        )
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.ravel():
            axes.axis("off")
        for axes, (picture, caption, colour) in zip(grid.ravel(), self._cells, strict=False):
            axes.axis("on")
            hide_ticks(axes)
            axes.imshow(picture)
            axes.set_title(literal(caption), fontsize=7, color=colour)
        figure.suptitle(literal(self.heading), fontsize=9)
        number = len(self.pages) + 1
        stem = self.path.stem if number == 1 else f"{self.path.stem}_{number}"
        self.pages.append(self.path.with_name(f"{stem}.png"))
        save(figure, self.pages[-1])
        self._cells = []
