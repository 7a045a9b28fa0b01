"""Writes predictions.csv, row by row."""

import csv
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bookcls.errors import BookclsError
from bookcls.predicting.prediction import COLUMNS, Prediction
from bookcls.storage.files import escape_field


@contextmanager
def open_table(path: Path, class_names: Sequence[str]) -> Iterator[Callable[[Prediction], None]]:
    """Yields a function that writes a row; the file gets its name once all rows are written.

    Until then it is called ``<name>.<process>.part``, which remains, with the predictions so far,
    if the block fails.

    Args:
        path: The csv file.
        class_names: Sorted names.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)  # Opening a link of that name would write to its target.
    num_rows = 0
    try:
        # Line buffered, so that a killed process leaves its rows too.
        with part.open("w", 1, encoding="utf-8", errors="backslashreplace", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*COLUMNS, *(f"prob_{name}" for name in class_names)])

            def write(prediction: Prediction) -> None:
                nonlocal num_rows
                writer.writerow(row_of(prediction, class_names))
                num_rows += 1

            yield write
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        if num_rows:
            print(
                f"stopped after {num_rows} photos; their predictions are in {part}", file=sys.stderr
            )
        else:
            part.unlink(missing_ok=True)
        raise


def row_of(prediction: Prediction, class_names: Sequence[str]) -> list[str]:
    """A prediction as csv fields, escaped so that no spreadsheet runs one as a formula."""
    if prediction.answer is None:
        return [
            escape_field(prediction.file),
            "",
            "",
            "",
            escape_field(prediction.error),
            *("" for _ in class_names),
        ]
    probs = [f"{prediction.probs[name]:.6f}" for name in class_names]
    probability = f"{prediction.probability:.6f}"
    return [
        escape_field(prediction.file),
        escape_field(prediction.answer),
        probability,
        str(int(prediction.unsure)),
        "",
        *probs,
    ]


def refuse_other_files(path: Path) -> None:
    """Refuses to overwrite anything but an earlier table of this kind.

    Raises:
        BookclsError: If the file contains anything else.
    """
    if path.is_dir():
        raise BookclsError(f"output={path} is a folder: give a file, such as predictions.csv.")
    if not path.exists():
        return
    with path.open("rb") as file:
        beginning = file.read(200)
    if not beginning.startswith(",".join(COLUMNS).encode()):
        raise BookclsError(
            f"output={path} contains something else, such as the predictions for a run's own test "
            "photos: give another file."
        )
