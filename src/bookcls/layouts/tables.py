"""Finds the tables beside the photos, and tells those with labels from the others."""

import re
from collections.abc import Sequence
from pathlib import Path

from bookcls.data.groups import GROUPS
from bookcls.data.images import SUFFIXES
from bookcls.errors import BookclsError
from bookcls.layouts.cells import ADVICE, NotLabelsError
from bookcls.layouts.labels import Labels, read_labels
from bookcls.layouts.matching import Index
from bookcls.layouts.names import UNLABELLED, alike, split_of, words_of
from bookcls.layouts.reading import SHEETS, TABLES, read_grid, read_text
from bookcls.layouts.tree import Tree, is_labelled
from bookcls.layouts.vocabulary import RESULTS, TELLING

MENTION = re.compile(rf"[^\s,;|\"'/\\]+(?:{'|'.join(map(re.escape, SUFFIXES))})\b", re.IGNORECASE)


def role_of_table(tree: Tree, table: Path) -> str | None:
    """The split that a table is for, by its name or else its folder; None if it is for all."""
    inside = table.relative_to(tree.root).parts if table.is_relative_to(tree.root) else ()
    for name in [table.stem, *reversed(inside[:-1])]:
        split = split_of(name)
        if split and split.role != UNLABELLED:
            return split.role
    return None


def list_tables(tree: Tree, why: str) -> list[tuple[Path, str]]:
    """Files that may be tables, without those that training reads, each with a reason."""
    return [
        (path, why)
        for path in tree.others
        if path.suffix.lower() in TABLES + SHEETS
        and path.name != GROUPS
        and not (path.name == "labels.csv" and is_labelled(path.parent))
    ]


def find_tables(
    tree: Tree, index: Index, classes: Sequence[str], wanted: str | None
) -> tuple[list[Labels], list[tuple[Path, str]]]:
    """Reads every table with labels.

    Args:
        tree: The files.
        index: The photos.
        classes: Names of classes that the user gave.
        wanted: The name of the column of labels; None to find it.

    Returns:
        The tables with labels, and the others with the reason.

    Raises:
        BookclsError: If a file looks like labels, but cannot be used.
    """
    found, unused, notes = [], [], []
    for path, _ in list_tables(tree, ""):
        suffix = path.suffix.lower()
        if is_note(path, index):
            notes.append(path)
        elif RESULTS & set(words_of(path.stem)):
            unused.append((path, "named like predictions, which are no labels"))
        elif suffix in SHEETS:
            refuse_sheet(path, index)
            unused.append((path, "names no photos"))
        else:
            role = role_of_table(tree, path)
            try:
                read_grid(path)
            except BookclsError as error:
                if looks_like_labels(path, index):
                    raise BookclsError(advise(path, str(error))) from error
                unused.append((path, "not a photo"))
                continue
            try:
                found.append(read_labels(path, index, role=role, classes=classes, wanted=wanted))
            except NotLabelsError as reason:
                if "column" not in str(reason) and mentions_photos(path):
                    raise BookclsError(
                        f"{path} names photos, but has no column of their files: export it as csv "
                        f"with the columns file,label; {ADVICE}."
                    ) from reason
                # What names no photos may be any file: notes, settings.
                if suffix in (".csv", ".tsv") or "column" in str(reason):
                    unused.append((path, f"no labels: {reason}"))
            except BookclsError as error:
                raise BookclsError(advise(path, str(error))) from error
    if not found and len(notes) * 2 > len(index.photos):
        raise BookclsError(
            f"{tree.root} contains {len(notes)} files named like photos, such as {notes[0].name}, "
            f"which may contain their classes: make them one csv with the columns file,label, or "
            f"else {ADVICE}."
        )
    unused += [(path, "named like a photo, but not read") for path in notes]
    return found, unused


def advise(path: Path, message: str) -> str:
    """Adds to a message what to do if the table is not to be used."""
    if ADVICE in message:
        return message
    return f"{message}\nThis is about {path.name}, which looks like labels; {ADVICE}."


def is_note(path: Path, index: Index) -> bool:
    """Whether a file is beside a photo of the same name."""
    if path.suffix.lower() in (".csv", ".tsv"):
        return False
    return any(alike(p.stem) == alike(path.stem) for p in index.find(path.stem))


def looks_like_labels(path: Path, index: Index) -> bool:
    """Whether a file that cannot be used is named like labels, or most of its lines name photos."""
    words = set(words_of(path.stem))
    if TELLING & words or split_of(path.stem):
        return True
    return mentions_photos(path) or (path.suffix.lower() != ".txt" and index.knows(path.stem))


def mentions_photos(path: Path) -> bool:
    """Whether a file contains names of photos; of text, whether most lines do."""
    try:
        text, _ = read_text(path)
    except (BookclsError, OSError):
        return path.suffix.lower() != ".txt"
    lines = [line for line in text.splitlines() if line.strip()]
    naming = sum(bool(MENTION.search(line)) for line in lines)
    return naming >= max(0.5 * len(lines) if path.suffix.lower() == ".txt" else 1, 1)


def refuse_sheet(path: Path, index: Index) -> None:
    """Refuses a table in a format that cannot be read, except XML that names no photos.

    Raises:
        BookclsError: If it may have labels.
    """
    if path.suffix.lower() != ".xml" or looks_like_labels(path, index):
        raise BookclsError(
            f"{path} may have labels, but {path.suffix} files are not read: save it as csv with "
            f"the columns file,label, next to it; {ADVICE}."
        )
