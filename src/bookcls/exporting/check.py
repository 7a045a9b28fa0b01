"""Compares the predictions of an exported file with those of the checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bookcls.errors import BookclsError
from bookcls.exporting.photos import Array, Photos

LIMIT = 1e-4
"""Largest allowed difference of a probability for a float32 file."""
NAMED = 5
"""Number of photos named whose prediction changes."""


@dataclass(frozen=True)
class Row:
    """The predictions of one file.

    Attributes:
        name: Name to print.
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
            f"{row.name} gives probabilities that are not finite, so it was not written. fp16 "
            "cannot represent values above 65504; use precision=fp32."
        )
    return float(np.abs(row.probs - original.probs).max())


def refuse_different(row: Row, original: Row) -> None:
    """Refuses a float32 file whose probabilities differ from the original's.

    Raises:
        BookclsError: If a probability differs by more than ``LIMIT``.
    """
    worst = max_difference(row, original)
    if worst > LIMIT:
        raise BookclsError(
            f"{row.name} differs from PyTorch by {worst:.1e} in a probability; the limit is "
            f"{LIMIT:.0e}, so it was not written. Try another version of torch or onnxruntime."
        )


def num_correct(row: Row, photos: Photos) -> dict[str, int]:
    """Test split -> number of photos whose prediction is one of their accepted classes."""
    preds = iter(row.probs.argmax(axis=1).tolist())
    return {
        split: sum(next(preds) in sample.accepted for sample in samples)
        for split, samples in photos.splits.items()
    }


def print_table(rows: Sequence[Row], photos: Photos, class_names: Sequence[str]) -> None:
    """Prints a table of the original and the files, and a warning if predictions change.

    Args:
        rows: The original, then the files.
        photos: The photos.
        class_names: Class names, in the order of the columns of ``probs``.
    """
    original = rows[0]
    table = Table(caption_justify="left")
    table.add_column("")
    columns = ["size", "max difference", "changed", *(photos.splits if photos.labelled else ())]
    for column in columns:
        table.add_column(escape(column), justify="right")
    for row in rows:
        comparison = ["-", "-"]
        if row is not original:
            changed = int((row.probs.argmax(axis=1) != original.probs.argmax(axis=1)).sum())
            comparison = [f"{max_difference(row, original):.1e}", f"{changed}/{len(row.probs)}"]
        correct = num_correct(row, photos) if photos.labelled else {}
        scores = [
            f"{n}/{len(photos.splits[s])} {n / len(photos.splits[s]):.2f}"
            for s, n in correct.items()
        ]
        table.add_row(row.name, f"{row.num_bytes / 1e6:.1f} MB", *comparison, *scores)
    table.caption = (
        "max difference: the largest of any probability\nchanged: photos whose prediction differs"
    )
    Console(highlight=False).print(table)
    for line in change_warnings(rows[-1], original, photos, class_names):
        print(line)


def change_warnings(
    row: Row, original: Row, photos: Photos, class_names: Sequence[str]
) -> list[str]:
    """Warnings that name the photos whose prediction changes, and the splits that get worse."""
    before, after = (r.probs.argmax(axis=1) for r in (original, row))
    changed_indices = np.flatnonzero(before != after)
    if not len(changed_indices):
        return []
    lines = [
        f"warning: {row.name} changes the predictions of {len(changed_indices)} of "
        f"{len(before)} photos:"
    ]
    for i in changed_indices[:NAMED]:
        old, new = before[i], after[i]
        lines.append(
            f"  {photos.samples[i].name}: {class_names[new]} {row.probs[i, new]:.2f} instead of "
            f"{class_names[old]} {original.probs[i, old]:.2f}"
        )
    if len(changed_indices) > NAMED:
        lines.append(f"  and {len(changed_indices) - NAMED} more")
    if photos.labelled:
        correct_before, correct_after = num_correct(original, photos), num_correct(row, photos)
        lines += [
            f"warning: {split}: {correct_after[split]} correct predictions instead of "
            f"{correct_before[split]}"
            for split in correct_before
            if correct_after[split] < correct_before[split]
        ]
    return lines
