"""Makes a dataset of the rows of one table, or of one for each split."""

import functools
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from bookcls.data.samples import list_visible
from bookcls.errors import BookclsError
from bookcls.layouts.cells import ADVICE
from bookcls.layouts.labels import Labels, Row
from bookcls.layouts.names import TEST, TRAIN, alike, composed, setting, split_of
from bookcls.layouts.source import Photo, SourceDataset, add_by_role, refuse_alike
from bookcls.layouts.tables import role_of_table
from bookcls.layouts.tree import Tree, is_labelled


def merge_tables(
    tree: Tree, tables: Sequence[Labels], classes: Sequence[str], *, explicit: bool
) -> SourceDataset:
    """The photos of all tables.

    Args:
        tree: The files.
        tables: One, or one for each split.
        classes: The labels that are classes; none for all.
        explicit: Whether the user named the table.

    Raises:
        BookclsError: If several tables are not for one split each, or the folders contradict.
    """
    names = ", ".join(table.table.relative_to(tree.root).as_posix() for table in tables
                      if table.table.is_relative_to(tree.root)) or tables[0].table.name  # fmt: skip
    roles = [role_of_table(tree, table.table) for table in tables]
    rows = [row for table in tables for row in table.rows]
    twice = len({row.path for row in rows}) < len(rows)
    if len(tables) > 1 and (None in roles or len(set(roles)) < len(roles) or twice):
        raise BookclsError(
            f"{tree.root} contains several files with labels ({names}): give labels=FILE."
        )
    refuse_alike(tree.root, [row.label for row in rows])
    found = SourceDataset(tree.root, f"photos whose classes are in {names}")
    wanted = {alike(name) for name in classes}
    kept = [row for row in rows if not wanted or alike(row.label) in wanted]
    found.left_out = [
        (row.path, f"{row.label} is not among classes")
        for row in rows
        if wanted and alike(row.label) not in wanted
    ]
    if not explicit:
        compare_with_folders(tree, kept)
        refuse_partial(tree, tables, {row.path for row in rows})
    labels = {alike(row.label) for row in kept}
    found.labelled = [
        path for path in list_visible(tree.root)
        if path.is_dir() and path.name.startswith(TEST) and is_labelled(path)
    ]  # fmt: skip
    role_of = functools.cache(lambda folder: role_of_folder(tree, folder, labels))
    photos = [(role_of_row(tree, row, role_of), Photo(row.path, row.label)) for row in kept]
    add_by_role(found, photos)
    for table in tables:
        found.notes += [f"{table.table.name}: {table.said}", *table.notes]
    taken = {row.path for row in rows}
    tables_said = names if len(tables) == 1 else "the tables"
    found.left_out += [
        (p, f"no row in {tables_said}") for p in tree.photos
        if p not in taken and not any(p.is_relative_to(folder) for folder in found.labelled)
    ]  # fmt: skip
    return found


def compare_with_folders(tree: Tree, rows: Sequence[Row]) -> None:
    """Checks that no photo is in the folder of another class, or lacks a row in that of its own.

    Raises:
        BookclsError: Naming the first, and what decides.
    """
    labels = {alike(row.label): row.label for row in rows}

    def classes_above(path: Path) -> set[str]:
        inside = path.relative_to(tree.root).parts[:-1] if path.is_relative_to(tree.root) else ()
        return {alike(part) for part in inside} & set(labels)

    for row in rows:
        above = classes_above(row.path)
        if above and alike(row.label) not in above:
            raise BookclsError(
                f"{row.where}: {row.path.name} is {row.label}, but it is in the folder "
                f"{row.path.parent.name}/: correct one of them; labels=FILE takes the table, "
                f"{ADVICE}."
            )
    taken = {row.path for row in rows}
    rest = [path for path in tree.photos if path not in taken and classes_above(path)]
    if rest:
        raise BookclsError(
            f"{tree.root}: {rows[0].where.partition(' line ')[0]} has rows for {len(taken)} "
            f"photos, and {len(rest)} others are in folders named like its classes, such as "
            f"{rest[0].relative_to(tree.root).as_posix()}: labels=FILE takes those in the table "
            f"alone; {ADVICE}."
        )


def refuse_partial(tree: Tree, tables: Sequence[Labels], taken: Collection[Path]) -> None:
    """Refuses a table in one of several folders of photos, unless it is for a split.

    Raises:
        BookclsError: If there are other photos outside its folder.
    """
    for table in tables:
        folder = table.table.parent
        if role_of_table(tree, table.table) or not tree.below(folder):
            continue
        rest = [p for p in tree.photos if p not in taken and not p.is_relative_to(folder)]
        if rest:
            raise BookclsError(
                f"{table.table} has the labels of photos in {folder.name}/, but there are "
                f"{len(rest)} photos elsewhere, such as {rest[0].relative_to(tree.root)}: give "
                f"labels=FILE to take those in the table alone, or data.root={folder}; {ADVICE}."
            )


def role_of_row(tree: Tree, row: Row, role_of: Callable[[Path], str | None]) -> str:
    """The split of a photo: by a column, or else by the table's name and the photo's folders.

    Raises:
        BookclsError: If they say different things.
    """
    if row.has_split:
        return str(row.role)
    role = role_of(row.path.parent)
    if role is not None and row.role is not None and role != row.role:
        raise BookclsError(
            f"{row.where}: {row.path.relative_to(tree.root).as_posix()} is in a folder for {role}, "
            f"but the table or its folder is named as for {row.role}: add a column split with "
            f"train, valid or test, or rename one of them; {ADVICE}."
        )
    return row.role or role or TRAIN


def role_of_folder(tree: Tree, path: Path, labels: Collection[str]) -> str | None:
    """The split that a folder, or one above it, names; None if they name none.

    Raises:
        BookclsError: If a folder may be a split, or not.
    """
    role = None
    if not path.is_relative_to(tree.root):
        return role
    for folder in reversed([path, *path.parents]):
        if not folder.is_relative_to(tree.root) or folder == tree.root:
            continue
        split = split_of(folder.name)
        if split is None or alike(folder.name) in labels:
            continue
        beside = [kid for kid in tree.kids(folder.parent) if alike(kid.name) not in labels]
        if all(split_of(kid.name) for kid in beside):
            role = split.role
        elif not split.rest:
            raise BookclsError(
                f"{tree.root}: {folder.name} can be a split, but it is beside "
                f"{', '.join(composed(k.name) for k in beside if k != folder)}. Add a column split "
                f"with train or test to the table, or rename the folder; {ADVICE}, and "
                f"{setting(k.name for k in beside)} says which of them are classes."
            )
    return role
