"""Which level of folders has the splits or the classes; what can be read both ways is refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from bookcls.errors import BookclsError
from bookcls.layouts.names import BATCH, TRAIN, UNLABELLED, alike, is_neutral, setting, split_of
from bookcls.layouts.tree import Tree, is_labelled


def find_level(tree: Tree) -> Path:
    """The folder below enclosing folders that contain nothing but one other folder with photos."""
    folder = tree.root
    while len(kids := tree.kids(folder)) == 1 and not tree.direct(folder):
        split = split_of(kids[0].name)
        if tree.direct(kids[0]) or (split is not None and not split.rest):
            break
        folder = kids[0]
    return folder


def class_level(tree: Tree, folder: Path, role: str, stop: set[str]) -> Path:
    """The folder that contains the class folders of a split.

    Args:
        tree: The files.
        folder: The split's.
        role: What it is for.
        stop: Names of classes that are known.
    """
    while len(kids := tree.kids(folder)) == 1 and not tree.direct(folder):
        kid = kids[0]
        split = split_of(kid.name)
        doubled = alike(kid.name) == alike(folder.name) or (split and split.role == role)
        if alike(kid.name) in stop or tree.direct(kid) or not (doubled or is_neutral(kid.name)):
            break
        folder = kid
    return folder


def is_class_first(tree: Tree, folder: Path) -> bool:
    """Whether a folder contains nothing but folders of splits."""
    kids = tree.kids(folder)
    return bool(kids) and not tree.direct(folder) and all(split_of(kid.name) for kid in kids)


def refuse(tree: Tree, unclear: Sequence[Path], beside: Sequence[Path]) -> NoReturn:
    """Refuses folders that may be splits or classes.

    Raises:
        BookclsError: Naming them, and the setting that decides.
    """
    names = sorted({path.name for path in unclear})
    where = f"{unclear[0].relative_to(tree.root).parent.as_posix()}/".removeprefix("./")
    raise BookclsError(
        f"{tree.root}: {', '.join(names[:20])} (in {where or 'it'}) can be splits or classes. "
        f"{setting(path.name for path in beside)} makes these folders classes; name only the "
        "folders that are classes, and the others are splits if they are named so, or else are "
        "left out."
    )


def check_splits(tree: Tree, level: Path, splits: Sequence[Path], others: Sequence[Path]) -> None:
    """Checks that folders that are named like splits are splits.

    Raises:
        BookclsError: If they can be classes, or none is for training.
    """
    beside = tree.kids(level)
    named = {path: split for path in splits if (split := split_of(path.name))}
    trains = {path: split for path, split in named.items() if split.role == TRAIN}
    if others and (not trains or len(trains) == len(splits) or not agree(tree, splits)):
        refuse(tree, splits, beside)
    if not trains:
        raise BookclsError(
            f"{level}: {', '.join(path.name for path in splits)} and no folder train/. If the "
            f"folders inside are classes to train on, give data.root={splits[0]}; if these "
            f"folders are classes, give {setting(path.name for path in beside)}."
        )
    ours = {split.rest for split in trains.values()}
    rests = {split.rest for split in named.values() if split.role != UNLABELLED} - ours
    if len(ours) > 1 or (rests and ours != {()} and rests != {()}):
        refuse(tree, splits, beside)


def agree(tree: Tree, splits: Sequence[Path]) -> bool:
    """Whether two splits have folders for the same classes, or one is a test folder of ours."""
    if any(is_labelled(path) for path in splits):
        return True
    inside = []
    for path in splits:
        split = split_of(path.name)
        level = class_level(tree, path, split.role if split else "", set())
        if not tree.direct(level):
            inside.append({alike(kid.name) for kid in tree.kids(level)})
    return len(inside) > 1 and len(set.intersection(*inside)) > 1


def check_inside(tree: Tree, level: Path, notes: list[str]) -> None:
    """Checks that the folders in a folder are classes, whatever is inside them.

    Args:
        tree: The files.
        level: The folder with the class folders.
        notes: Collects a line for each class with several folders inside.

    Raises:
        BookclsError: If the folders inside them can be the classes, or splits.
    """
    kids = tree.kids(level)
    names = {alike(kid.name): kid for kid in kids}
    bare = [kid for kid in kids if not tree.direct(kid)]
    batches = [kid for kid in kids if BATCH.fullmatch(kid.name)]
    if any(kid.name.isdigit() and kid not in batches for kid in kids):
        # Numbers of classes, not years.
        batches = [kid for kid in batches if not kid.name.isdigit()]
    if batches and len(kids) > 1:
        raise BookclsError(
            f"{level}: {', '.join(kid.name for kid in batches[:20])} look like dates or batches, "
            f"not like classes. If they are classes, give {setting(kid.name for kid in kids)}; if "
            "not, name the folders that are, or give labels=FILE, a csv with the columns "
            "file,label."
        )
    for kid in kids:
        inner = tree.folders(kid)
        splits = [
            path for path in inner if (s := split_of(path.name)) and (kid in bare or not s.rest)
        ]
        if splits:
            refuse(tree, splits, kids)
        twice = [path for path in inner if names.get(alike(path.name), kid) != kid]
        subs = tree.kids(kid)
        lone = len(subs) == 1 and (is_neutral(subs[0].name) or alike(subs[0].name) in names)
        if twice or (len(bare) == len(kids) > 1 and not lone):
            below = sorted({path.name for path in twice or subs})
            raise BookclsError(
                f"{level}: the classes can be the folders {', '.join(sorted(p.name for p in kids))}"
                f" or those inside them ({', '.join(below[:20])}). "
                f"{setting(kid.name for kid in kids)} decides for the outer ones; name the inner "
                "ones to decide for those."
            )
        if kid in bare and len(subs) > 1:
            notes.append(
                f"{kid.name}/: photos of {', '.join(p.name for p in subs)} are all of class "
                f"{kid.name}"
            )


def refuse_detection(tree: Tree, level: Path) -> None:
    """Refuses folders images/ and labels/ next to each other.

    Raises:
        BookclsError: If there are such folders.
    """
    names = {alike(path.name) for path in [*tree.kids(level), *tree.empty(level)]}
    if {"images", "labels"} <= names:
        raise BookclsError(
            f"{level} contains images/ and labels/, as for object detection: a classifier needs "
            "one class per photo. Put the photos into a folder per class, or give labels=FILE, a "
            "csv with the columns file,label."
        )
