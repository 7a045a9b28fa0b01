"""Recognises the layout of a folder of photos, and so the class of each."""

from collections.abc import Sequence
from pathlib import Path

from bookcls.data.groups import GROUPS
from bookcls.data.photo_files import is_photo
from bookcls.errors import BookclsError
from bookcls.layouts.cells import NotLabelsError
from bookcls.layouts.folders import is_used, read_folders, read_named
from bookcls.layouts.labels import Labels, read_labels
from bookcls.layouts.matching import Index
from bookcls.layouts.rows import merge_tables
from bookcls.layouts.source import NO_CLASS, SourceDataset, check_classes, refuse_alike
from bookcls.layouts.tables import find_tables, list_tables, role_of_table
from bookcls.layouts.tree import Tree


def recognise(
    root: Path,
    labels: Path | None = None,
    classes: Sequence[str] = (),
    label_column: str | None = None,
    *,
    by_folders: bool = False,
) -> SourceDataset:
    """Recognises the layout of a folder.

    Args:
        root: The folder.
        labels: A table (file, label) with the classes, which overrides the folders.
        classes: Names of the folders or labels that are classes; none if their names tell.
        label_column: The column of the class in the table; None to find it.
        by_folders: Whether the folders tell the classes even if there is a table.

    Raises:
        BookclsError: If the layout is unknown, can be read in two ways, or there are fewer than
            two classes.
    """
    tree = Tree(root, classes)
    tables, unused = choose_tables(tree, labels, classes, label_column, by_folders)
    if tables:
        found = merge_tables(tree, tables, classes, explicit=labels is not None)
    elif classes:
        found = read_named(tree, classes)
    else:
        found = read_folders(tree)
    found.left_out += unused
    found.leavings = tree.leavings
    account(found, tree, {table.table for table in tables})
    every = found.train + [photo for photos in found.tests.values() for photo in photos]
    refuse_alike(found.root, [photo.label for photo in every])
    check_classes(found, classes)
    return found


def choose_tables(
    tree: Tree,
    labels: Path | None,
    classes: Sequence[str],
    label_column: str | None,
    by_folders: bool,
) -> tuple[list[Labels], list[tuple[Path, str]]]:
    """The tables that tell the classes, and those that do not.

    Raises:
        BookclsError: If one looks like labels, but cannot be used.
    """
    if by_folders:
        return [], list_tables(tree, "not used, since labels=folders")
    index = Index(tree)
    if labels is None:
        tables, unused = find_tables(tree, index, classes, label_column)
        if label_column is not None and not tables:
            raise BookclsError(
                f"label_column={label_column}: {tree.root} contains no table with such a column: "
                "give labels=FILE, or leave it out."
            )
        return tables, unused
    if not labels.is_file():
        raise BookclsError(f"labels={labels}: there is no such file.")
    role = role_of_table(tree, labels)
    try:
        table = read_labels(
            labels, index, role=role, classes=classes, wanted=label_column, explicit=True
        )
    except NotLabelsError as reason:
        raise BookclsError(
            f"labels={labels} {reason}: it must be a csv file with a column for the file (file, "
            "path, image, ...) and one for the class (label, class, category, ...)."
        ) from reason
    others = list_tables(tree, f"not used, since labels={labels.name}")
    return [table], [(path, why) for path, why in others if path != labels]


def account(found: SourceDataset, tree: Tree, tables: set[Path]) -> None:
    """Adds to ``left_out`` every file and folder that was not used for anything."""
    used = {photo.path for photo in found.train}
    used |= {photo.path for photos in found.tests.values() for photo in photos}
    used |= {path for path, _ in found.left_out} | tables
    for path in [*tree.photos, *tree.others]:
        if path in used or used & set(path.parents) or is_used(path, found):
            continue
        why = NO_CLASS if is_photo(path) else "not a photo"
        if path.name == GROUPS:
            why = "only read next to a folder train/"
        found.left_out.append((path, why))
    for folder in [tree.root, *tree.folders(tree.root)]:
        found.left_out += [
            (path, "a folder without photos") for path in tree.empty(folder) if path not in used
        ]
    found.left_out = [
        (p, why) for p, why in dict.fromkeys(found.left_out) if p not in found.labelled
    ]
