"""predictions.csv, a row as soon as there is an answer."""

import csv
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bookcls.errors import BookclsError
from bookcls.files import escape
from bookcls.predicting.prediction import COLUMNS, Prediction


@contextmanager
def growing(path: Path, class_names: Sequence[str]) -> Iterator[Callable[[Prediction], None]]:
    """Yields a function that writes a row; the file has its name only when all rows are there.

    Until then it is ``<name>.<process>.part``, which stays, with the answers so far, if the block
    fails.

    Args:
        path: The csv file.
        class_names: Sorted names.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)  # Opening a link of that name would write where it leads.
    num_rows = 0
    try:
        # Line by line, so that what is stopped without warning leaves its rows too.
        with part.open("w", 1, encoding="utf-8", errors="backslashreplace", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*COLUMNS, *(f"prob_{name}" for name in class_names)])

            def write(found: Prediction) -> None:
                nonlocal num_rows
                writer.writerow(row_of(found, class_names))
                num_rows += 1

            yield write
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        if num_rows:
            print(f"stopped after {num_rows} photos; their answers are in {part}", file=sys.stderr)
        else:
            part.unlink(missing_ok=True)
        raise


def row_of(found: Prediction, class_names: Sequence[str]) -> list[str]:
    """A prediction as csv fields, none of which a spreadsheet takes for a formula."""
    if found.answer is None:
        return [escape(found.file), "", "", "", escape(found.error), *("" for _ in class_names)]
    probs = [f"{found.probs[name]:.6f}" for name in class_names]
    probability = f"{found.probability:.6f}"
    return [
        escape(found.file),
        escape(found.answer),
        probability,
        str(int(found.unsure)),
        "",
        *probs,
    ]


def refuse_others(path: Path) -> None:
    """Refuses to write over anything but an earlier table of this kind.

    Raises:
        BookclsError: If there is something else.
    """
    if path.is_dir():
        raise BookclsError(f"output={path} is a folder: give a file, such as predictions.csv.")
    if not path.exists():
        return
    with path.open("rb") as file:
        begins = file.read(200)
    if not begins.startswith(",".join(COLUMNS).encode()):
        raise BookclsError(
            f"output={path} holds something else, such as the answers to a run's own test photos: "
            "give another file."
        )
