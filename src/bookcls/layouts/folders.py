"""Reads classes and splits from the names of folders, and refuses those that can mean both."""

from collections.abc import Sequence
from pathlib import Path

from bookcls.data.groups import GROUPS
from bookcls.errors import BookclsError
from bookcls.layouts.levels import (
    check_inside,
    check_splits,
    class_level,
    find_level,
    is_class_first,
    refuse,
    refuse_detection,
)
from bookcls.layouts.names import TEST, TRAIN, UNLABELLED, VAL, alike, composed, split_of
from bookcls.layouts.source import Photo, SourceDataset, add_by_role
from bookcls.layouts.tree import Tree, is_labelled


def read_folders(tree: Tree) -> SourceDataset:
    """Reads a folder per class, with or without folders of splits above or below.

    Raises:
        BookclsError: If a folder can be a split or a class, or there is no folder to train on.
    """
    level = find_level(tree)
    kids = tree.kids(level)
    refuse_detection(tree, level)
    splits = [kid for kid in kids if split_of(kid.name)]
    if splits:
        return read_splits(tree, level, splits)
    firsts = [kid for kid in kids if is_class_first(tree, kid)]
    if firsts:
        return read_class_first(tree, level, firsts)
    found = SourceDataset(level, "a folder per class, no test photos")
    check_inside(tree, level, found.notes)
    found.train = [photo for kid in kids for photo in photos_of(tree, kid)]
    return found


def photos_of(tree: Tree, folder: Path) -> list[Photo]:
    """Photos of a class folder, at any depth."""
    return [Photo(path, composed(folder.name)) for path in tree.below(folder)]


def read_splits(tree: Tree, level: Path, splits: Sequence[Path]) -> SourceDataset:
    """Reads a train folder, and its siblings for validation and testing."""
    found = SourceDataset(level, "")
    others = [kid for kid in tree.kids(level) if kid not in splits]
    check_splits(tree, level, splits, others)
    order = (TRAIN, VAL, TEST, UNLABELLED)
    roles = {path: split.role for path in splits if (split := split_of(path.name))}
    roles = dict(sorted(roles.items(), key=lambda item: order.index(item[1])))
    trains = [path for path, role in roles.items() if role == TRAIN]
    exact = len(trains) == 1 and trains[0].name == "train"
    photos: list[tuple[str, Photo]] = []
    for train in trains:
        photos += read_split(tree, train, TRAIN, set(), found.notes)
    stop = {alike(photo.label) for _, photo in photos}
    names = dict.fromkeys(trains, "train")
    for path, role in roles.items():
        if role in (VAL, TEST):
            own = exact and role == TEST and path.name.startswith("test_")
            names[path] = path.name if own else role
            if path.name == names[path] and is_labelled(path):
                found.labelled.append(path)
                continue
            read = read_split(tree, path, role, stop, found.notes)
            photos += [(names[path] if r == TEST else r, photo) for r, photo in read]
        elif role == UNLABELLED:
            found.left_out.append((path, f"{len(tree.below(path))} photos without classes"))
    found.left_out += [
        (kid, f"{len(tree.below(kid))} photos, neither train, validation nor test")
        for kid in others
    ]
    found.left_out += [(p, "neither train, validation nor test") for p in tree.empty(level)]
    if len(trains) == 1:
        found.train_folder = class_level(tree, trains[0], TRAIN, set())
    found.is_ours = exact and all(
        path.name == name for path, name in names.items() if roles[path] != UNLABELLED
    )
    found.is_ours = found.is_ours and VAL not in roles.values()
    found.kind = f"{', '.join(f'{p.name}/' for p in names)} with a folder per class"
    vals = [path.name for path, role in roles.items() if role == VAL]
    add_by_role(found, photos, f"{', '.join(vals)}/" if vals else "validation")
    return found


def read_split(
    tree: Tree, folder: Path, role: str, stop: set[str], notes: list[str]
) -> list[tuple[str, Photo]]:
    """Reads the class folders of a split, which may be one or two folders further down.

    Args:
        tree: The files.
        folder: The split's.
        role: train, val or test.
        stop: Classes that are known; they are no folders of splits.
        notes: Collects lines for the user.
    """
    level = class_level(tree, folder, role, stop)
    kids = tree.kids(level)
    refuse_detection(tree, level)
    splits = [kid for kid in kids if split_of(kid.name) and alike(kid.name) not in stop]
    if splits and (role != TRAIN or len(splits) < len(kids) or tree.direct(level)):
        refuse(tree, splits, kids)
    if splits:
        check_splits(tree, level, splits, [])
        inner = [(s.role, path) for path in splits if (s := split_of(path.name))]
        inner = [(r, path) for r, path in inner if r != UNLABELLED]
        return [pair for r, path in inner for pair in read_split(tree, path, r, stop, notes)]
    check_inside(tree, level, notes)
    return [(role, photo) for kid in kids for photo in photos_of(tree, kid)]


def read_class_first(tree: Tree, level: Path, firsts: Sequence[Path]) -> SourceDataset:
    """Reads a folder per class with the splits inside."""
    found = SourceDataset(level, "a folder per class with splits inside")
    for kid in tree.kids(level):
        splits = tree.kids(kid)
        deep = [path for path in splits if tree.kids(path)]
        if kid not in firsts or deep:
            names = [path for first in firsts for path in tree.kids(first)]
            refuse(tree, names, tree.kids(level))
    pairs = [(kid, path) for kid in firsts for path in tree.kids(kid)]
    roles = {path: split for _, path in pairs if (split := split_of(path.name))}
    rests = {split.rest for split in roles.values()}
    if len(rests) > 1:
        refuse(tree, list(roles), tree.kids(level))
    photos = []
    for kid, path in pairs:
        label = composed(kid.name)
        if roles[path].role == UNLABELLED:
            found.left_out.append((path, f"{len(tree.below(path))} photos without classes"))
        else:
            photos += [(roles[path].role, Photo(p, label)) for p in tree.below(path)]
    add_by_role(found, photos)
    return found


def read_named(tree: Tree, classes: Sequence[str]) -> SourceDataset:
    """Reads photos whose class is the folder that ``classes`` names, at any depth.

    Raises:
        BookclsError: If two of the classes are in the path of a photo.
    """
    names = {alike(name): composed(name) for name in classes}
    found = SourceDataset(tree.root, "a folder for each of the classes that are given")
    photos = []
    for path in tree.photos:
        parts = path.relative_to(tree.root).parts[:-1]
        hits = [i for i, part in enumerate(parts) if alike(part) in names]
        certain = [i for i in hits if not split_of(parts[i])] or hits[-1:]
        if not certain:
            found.left_out.append((path, "in no folder that classes names"))
            continue
        if len({alike(parts[i]) for i in certain}) > 1:
            raise BookclsError(
                f"{path}: {' and '.join(parts[i] for i in certain)} are both among classes: move "
                "the photo into the folder of one of them, or leave one out."
            )
        roles = [s.role for i, part in enumerate(parts) if i != certain[-1] and i not in certain
                 and (s := split_of(part))]  # fmt: skip
        role = roles[-1] if roles else TRAIN
        if role == UNLABELLED:
            found.left_out.append((path, "in a folder for photos without a class"))
        else:
            photos.append((role, Photo(path, names[alike(parts[certain[-1]])])))
    add_by_role(found, photos)
    return found


def is_used(path: Path, found: SourceDataset) -> bool:
    """Whether a file that is no photo is used: groups.csv, or in a flat test folder."""
    if found.train_folder is not None and path == found.root / GROUPS:
        return True
    return any(path.is_relative_to(folder) for folder in found.labelled)
