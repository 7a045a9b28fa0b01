"""Chooses the column of the photo and that of the class."""

import re
from collections.abc import Sequence
from pathlib import Path

from bookcls.errors import BookclsError
from bookcls.layouts.cells import ADVICE, NotLabelsError, column, describe
from bookcls.layouts.matching import Index, has_suffix
from bookcls.layouts.names import plain
from bookcls.layouts.reading import Grid
from bookcls.layouts.vocabulary import FILES, METADATA


def has_no_header(grid: Grid, index: Index) -> bool:
    """Whether the first line names a photo, as the others do."""
    if any(map(has_suffix, grid.header)):
        return True
    return any(
        index.knows(name) and plain(name) not in FILES and index.knows(cell)
        for _, cells in grid.rows[:1]
        for name, cell in zip(grid.header, cells, strict=True)
    )


def choose_file(
    table: Path, grid: Grid, names: Sequence[str], labels: Sequence[int], index: Index
) -> int:
    """The column whose cells are names of photos."""
    ranks = []
    for i, name in enumerate(names):
        cells = column(grid, i)[:1000]
        hits, suffixed = sum(map(index.knows, cells)), sum(map(has_suffix, cells))
        telling = name not in METADATA and not re.fullmatch("(unnamed.*)?", name)
        alone = telling and hits * 2 > len(cells) == len(set(cells))
        named = name in FILES and (hits or suffixed)
        if (i not in labels and (named or alone)) or (hits and suffixed):
            ranks.append((suffixed > 0, hits, name in FILES, -i))
    if ranks:
        return -max(ranks)[-1]
    files = [i for i, n in enumerate(names) if n in FILES and i not in labels]
    repeated = any(len(set(column(grid, i))) < len(grid.rows) for i in labels)
    generic = all(names[i] in ("id", "name") for i in files)
    if labels and files and (repeated or not generic):
        raise BookclsError(
            f"{table} looks like labels, but no photo here is named in its column "
            f"{grid.header[files[0]]} ({grid.said}), as {column(grid, files[0])[0]!r} in the first "
            f"row: write the names of the files there; {ADVICE}."
        )
    if labels and repeated and len(names) > 1:
        raise BookclsError(
            f"{table} looks like labels, but has no column for the file ({grid.said}; columns: "
            f"{describe(grid.header)}): name one file; {ADVICE}."
        )
    raise NotLabelsError("names no photos")


def choose_label(table: Path, grid: Grid, labels: Sequence[int]) -> int:
    """The column of labels: of several that say the same, the one with names.

    Raises:
        BookclsError: If they say different things.
    """
    filled = [i for i in labels if any(c.strip() for c in column(grid, i))] or list(labels)
    first = column(grid, filled[0])
    for i in filled[1:]:
        pairs = set(zip(first, column(grid, i), strict=True))
        if not len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}):
            both = ", ".join(grid.header[j] for j in filled)
            raise BookclsError(
                f"{table} has several columns of labels ({both}) that group the photos "
                f"differently: label_column={grid.header[filled[0]]} chooses one."
            )
    numbers = [i for i in filled if all(c.strip().isdigit() for c in column(grid, i))]
    return next((i for i in filled if i not in numbers), filled[0])
