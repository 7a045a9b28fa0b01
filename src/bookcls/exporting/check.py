"""How an exported file's answers differ from the original's, in numbers and words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bookcls.errors import BookclsError
from bookcls.exporting.photos import Array, Photos

LIMIT = 1e-4
"""Largest difference in a probability that a float32 file may show."""
NAMED = 5
"""Photos whose answers change that are named."""


@dataclass(frozen=True)
class Row:
    """One file's answers.

    Attributes:
        name: What it is, for a person.
        num_bytes: Size of the file.
        probs: float32 (N, C).
    """

    name: str
    num_bytes: int
    probs: Array


def max_difference(row: Row, original: Row) -> float:
    """Largest difference in a probability, over all photos and classes.

    Raises:
        BookclsError: If a probability is not a finite number.
    """
    if not np.isfinite(row.probs).all():
        raise BookclsError(
            f"{row.name} gives probabilities that are no numbers, so it was not written. fp16 "
            "holds nothing above 65504; use precision=fp32."
        )
    return float(np.abs(row.probs - original.probs).max())


def refuse_different(row: Row, original: Row) -> None:
    """Refuses a float32 file that does not compute what the original does.

    Raises:
        BookclsError: If a probability differs by more than ``LIMIT``.
    """
    worst = max_difference(row, original)
    if worst > LIMIT:
        raise BookclsError(
            f"{row.name} differs from PyTorch by {worst:.1e} in a probability; allowed is "
            f"{LIMIT:.0e}, so it was not written. Another version of torch or onnxruntime may do."
        )


def num_correct(row: Row, photos: Photos) -> dict[str, int]:
    """Test split -> photos whose answer is one of their accepted classes."""
    preds = iter(row.probs.argmax(axis=1).tolist())
    return {
        split: sum(next(preds) in sample.accepted for sample in samples)
        for split, samples in photos.splits.items()
    }


def show(rows: Sequence[Row], photos: Photos, class_names: Sequence[str]) -> None:
    """Prints a row per file beside the original's, and a warning if answers change.

    Args:
        rows: The original, then the files.
        photos: What they answered.
        class_names: Names by column of ``probs``.
    """
    original = rows[0]
    table = Table(caption_justify="left")
    table.add_column("")
    columns = ["size", "max difference", "changed", *(photos.splits if photos.labelled else ())]
    for column in columns:
        table.add_column(escape(column), justify="right")
    for row in rows:
        beside = ["-", "-"]
        if row is not original:
            changed = int((row.probs.argmax(axis=1) != original.probs.argmax(axis=1)).sum())
            beside = [f"{max_difference(row, original):.1e}", f"{changed}/{len(row.probs)}"]
        correct = num_correct(row, photos) if photos.labelled else {}
        scores = [
            f"{n}/{len(photos.splits[s])} {n / len(photos.splits[s]):.2f}"
            for s, n in correct.items()
        ]
        table.add_row(row.name, f"{row.num_bytes / 1e6:.1f} MB", *beside, *scores)
    table.caption = (
        "max difference: the largest in any class's probability\n"
        "changed: photos that get another answer"
    )
    Console(highlight=False).print(table)
    for line in changes(rows[-1], original, photos, class_names):
        print(line)


def changes(row: Row, original: Row, photos: Photos, class_names: Sequence[str]) -> list[str]:
    """A warning that names photos whose answer changes, and splits that get worse."""
    before, after = (r.probs.argmax(axis=1) for r in (original, row))
    places = np.flatnonzero(before != after)
    if not len(places):
        return []
    lines = [f"warning: {row.name} answers {len(places)} of {len(before)} photos otherwise:"]
    for i in places[:NAMED]:
        old, new = before[i], after[i]
        lines.append(
            f"  {photos.samples[i].name}: {class_names[new]} {row.probs[i, new]:.2f} instead of "
            f"{class_names[old]} {original.probs[i, old]:.2f}"
        )
    if len(places) > NAMED:
        lines.append(f"  and {len(places) - NAMED} more")
    if photos.labelled:
        right, now = num_correct(original, photos), num_correct(row, photos)
        lines += [
            f"warning: {split}: {now[split]} correct answers instead of {right[split]}"
            for split in right
            if now[split] < right[split]
        ]
    return lines
