"""Writes the layout; the user's own files are never changed."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from bookcls.data.groups import GROUPS, write_groups
from bookcls.data.samples import find_bad_names
from bookcls.errors import BookclsError
from bookcls.layouts.plan import Plan
from bookcls.storage.files import write_text

EXAMPLES = ("first_thing", "second_thing", "background")


def write_plan(plan: Plan, output: Path, files: str) -> None:
    """Writes every file to its place in a new folder, which appears only when complete.

    Args:
        plan: Which file goes where.
        output: The new folder.
        files: ``copy``, ``hardlink`` or ``symlink``.

    Raises:
        BookclsError: If a file cannot be read, or linked to from there.
    """
    ways: dict[str, Callable[[Path, Path], object]] = {
        "copy": shutil.copy2,
        "hardlink": lambda source, place: os.link(source.resolve(), place),
        "symlink": lambda source, place: place.symlink_to(source),
    }
    partial = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        for place, source in plan.files.items():
            target = partial / place
            target.parent.mkdir(parents=True, exist_ok=True)
            ways[files](source, target)
        if plan.groups:
            write_groups(partial / GROUPS, plan.groups)
        if output.exists():
            output.rmdir()  # empty, as was checked
        partial.rename(output)
    except OSError as error:
        hint = (
            "" if files == "copy" else f"; files={files} may not be possible there, files=copy is"
        )
        raise BookclsError(f"nothing was written: {error}{hint}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_empty(root: Path, classes: Sequence[str]) -> list[str]:
    """Makes the layout's empty folders.

    Args:
        root: An empty or absent folder.
        classes: Their names; none for examples.

    Returns:
        Lines that describe the layout.

    Raises:
        BookclsError: If a class name cannot be a folder name.
    """
    names = list(classes) or list(EXAMPLES)
    if len(names) < 2:
        raise BookclsError(f"classes=[{names[0]}]: give the names of two or more classes.")
    problems = find_bad_names(names)
    if problems:
        raise BookclsError(f"classes=[{','.join(names)}]: {'; '.join(problems)}.")
    for name in names:
        (root / "train" / name).mkdir(parents=True, exist_ok=True)
        (root / "test_easy" / name).mkdir(parents=True, exist_ok=True)
    write_text(root / "test_difficult" / "labels.csv", "file,dominant,accepted\n")
    renamed = "" if classes else " (rename them to your things)"
    return [
        f"train/           photos to train with, a folder per class: {', '.join(names)}{renamed}",
        "test_easy/       photos for testing, like those of train, never in it; a folder per class",
        "test_difficult/  photos of several things at once, all in this folder; labels.csv has a "
        "row for each: file,dominant,accepted (classes separated by ;)",
        "delete a test folder that you do not fill",
    ]
