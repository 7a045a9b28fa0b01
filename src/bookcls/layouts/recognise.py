"""Recognises the layout of a folder of photos, and so the class of each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bookcls.data.groups import GROUPS
from bookcls.data.images import SUFFIXES
from bookcls.data.samples import find_bad_names, list_visible, problems_error
from bookcls.errors import BookclsError
from bookcls.layouts.table import find_table, read_table

TRAIN = ("train", "training")
VAL = ("val", "valid", "validation")
TEST = ("test", "tests", "testing")


@dataclass(frozen=True)
class Photo:
    """One photo.

    Attributes:
        path: Where it is.
        label: The name of its class.
    """

    path: Path
    label: str


@dataclass
class SourceDataset:
    """A dataset in the user's own layout.

    Attributes:
        root: Its folder.
        kind: Description of its layout.
        train: Photos that train.
        tests: Name of a folder (test, test_<name>) -> its photos.
        labelled: Test folders with a labels.csv, to be copied unchanged.
        left_out: Files that are left out, each with the reason.
        is_ours: Whether its folders have the names that training reads.
        train_folder: Of a tree: what groups.csv calls ``train/``.
    """

    root: Path
    kind: str
    train: list[Photo]
    tests: dict[str, list[Photo]] = field(default_factory=dict)
    labelled: list[Path] = field(default_factory=list)
    left_out: list[tuple[Path, str]] = field(default_factory=list)
    is_ours: bool = False
    train_folder: Path | None = None

    @property
    def is_ready(self) -> bool:
        """Whether training can read it unchanged."""
        kept = all(path.parent == self.root for path, _ in self.left_out)
        flat = all(photo.path.parent.parent.parent == self.root for photo in self.train)
        return self.is_ours and kept and flat

    @property
    def class_names(self) -> list[str]:
        """Of the training photos, sorted."""
        return sorted({photo.label for photo in self.train})


def recognise(root: Path, labels: Path | None = None) -> SourceDataset:
    """Recognises the layout of a folder.

    Args:
        root: The folder; if it contains only another folder, that one is used.
        labels: A csv file (file, label) with the classes, which overrides the folders.

    Raises:
        BookclsError: If the layout is unknown, or there are fewer than two classes.
    """
    entries = list_visible(root)
    lone = entries[0] if len(entries) == 1 and entries[0].is_dir() else None
    if labels is None and lone and lone.name.lower() not in TRAIN and not has_photos(lone):
        return recognise(lone)
    folders = [p for p in entries if p.is_dir()]
    train = [p for p in folders if p.name.lower() in TRAIN]
    table = labels or (None if train else find_table(root))
    if table is not None:
        found = from_table(root, table)
    elif train:
        found = from_tree(root, train[0], folders)
    else:
        found = from_classes(root, folders)
    stray = [p for p in entries if p.is_file() and p != table]
    known = {photo.path for photo in found.train}
    if found.train_folder is not None:
        known.add(root / GROUPS)
    found.left_out += [
        (p, "a photo without a class" if is_photo(p) else explain_left_out(p))
        for p in stray
        if p not in known
    ]
    check_classes(found)
    return found


def from_table(root: Path, table: Path) -> SourceDataset:
    """Reads photos whose classes are in a csv file."""
    photos = [Photo(path, label) for path, label in read_table(root, table)]
    taken = {photo.path for photo in photos}
    others = [(p, f"no row in {table.name}") for p in photos_below(root) if p not in taken]
    # Those in the folder itself are accounted for by the caller.
    others = [(p, why) for p, why in others if p.parent != root]
    return SourceDataset(root, f"photos whose classes are in {table.name}", photos, left_out=others)


def from_classes(root: Path, folders: Sequence[Path]) -> SourceDataset:
    """Reads a folder per class, without test photos."""
    if {"images", "labels"} <= {p.name.lower() for p in folders}:
        raise BookclsError(
            f"{root} contains images/ and labels/, as for object detection: a classifier needs one "
            "class per photo. Put the photos into a folder per class, or give labels=FILE, a csv "
            "with the columns file,label."
        )
    left_out: list[tuple[Path, str]] = []
    photos = read_classes(folders, left_out)
    return SourceDataset(root, "a folder per class, no test photos", photos, left_out=left_out)


def from_tree(root: Path, train: Path, folders: Sequence[Path]) -> SourceDataset:
    """Reads a train folder, and its siblings for validation and testing."""
    tests = [p for p in folders if p.name.lower() in TEST or p.name.startswith("test_")]
    vals = [p for p in folders if p.name.lower() in VAL]
    names = {p: "test" if p.name.lower() in TEST else p.name for p in tests}
    ours = train.name == "train" and not vals and all(p.name == n for p, n in names.items())
    found = SourceDataset(root, "", [], is_ours=ours, train_folder=train)
    found.train = read_classes([p for p in list_visible(train) if p.is_dir()], found.left_out)
    loose = [train, *vals]
    for test in tests:
        if test.name == names[test] and (test / "labels.csv").is_file():
            found.labelled.append(test)
            continue
        loose.append(test)
        photos = read_classes([p for p in list_visible(test) if p.is_dir()], found.left_out)
        if photos:
            found.tests[names[test]] = found.tests.get(names[test], []) + photos
    held = [photo for val in vals for photo in read_classes(list_visible(val), found.left_out)]
    role = ""
    if held and (found.tests or found.labelled):
        found.train += held
        role = f"; photos of {vals[0].name}/ will train too, since training holds out its own"
    elif held:
        found.tests["test"] = held
        role = f"; photos of {vals[0].name}/ will be test photos, since there are no others"
    places = ", ".join(f"{p.name}/" for p in [train, *vals, *tests])
    found.kind = f"{places} with a folder per class{role}"
    known = {*tests, *vals, train}
    found.left_out += [(p, "neither train, validation nor test") for p in folders if p not in known]
    found.left_out += [
        (p, "a photo without a class" if is_photo(p) else "not a photo")
        for folder in loose
        for p in list_visible(folder)
        if p.is_file()
    ]
    return found


def read_classes(folders: Iterable[Path], left_out: list[tuple[Path, str]]) -> list[Photo]:
    """Photos of class folders, at any depth.

    Args:
        folders: One per class; files among them are ignored.
        left_out: Collects files that are not photos.
    """
    photos = []
    for folder in folders:
        if not folder.is_dir():
            continue
        mine = photos_below(folder)
        photos += [Photo(path, folder.name) for path in mine]
        if not mine:
            left_out.append((folder, "a folder without photos"))
        left_out += [(p, "not a photo") for p in files_below(folder) if mine and not is_photo(p)]
    return photos


def files_below(folder: Path, above: frozenset[Path] = frozenset()) -> list[Path]:
    """Files at any depth, in a fixed order, without hidden ones.

    Args:
        folder: Where to look.
        above: Folders on the way there, resolved: a link back to one of them, or above it, is not
            followed.
    """
    here = folder.resolve()
    if any(path.is_relative_to(here) for path in above):
        return []
    found = []
    for path in list_visible(folder):
        found += files_below(path, above | {here}) if path.is_dir() else [path]
    return found


def photos_below(folder: Path) -> list[Path]:
    """Photos at any depth."""
    return [path for path in files_below(folder) if is_photo(path)]


def is_photo(path: Path) -> bool:
    """Whether a file's name is that of a photo."""
    return path.suffix.lower() in SUFFIXES


def explain_left_out(path: Path) -> str:
    """Explains why a file that is not a photo is left out."""
    return "only read next to a folder train/" if path.name == GROUPS else "not a photo"


def has_photos(folder: Path) -> bool:
    """Whether there are photos directly in a folder."""
    return any(path.is_file() and is_photo(path) for path in list_visible(folder))


def check_classes(found: SourceDataset) -> None:
    """Checks that there are two or more classes, and none in the test photos alone.

    Raises:
        BookclsError: Listing every problem.
    """
    names = found.class_names
    if len(names) < 2:
        what = f"one class, {names[0]}" if names else "no photos in class folders"
        loose = sum(is_photo(path) for path, _ in found.left_out)
        rest = f", and {loose} photos without a class" if loose else ""
        raise BookclsError(
            f"{found.root} contains {what}{rest}: put the photos into a folder per class, two or "
            "more, or give labels=FILE, a csv with the columns file,label."
        )
    tested = {photo.label for photos in found.tests.values() for photo in photos}
    problems = [
        f"{name}: a class of test photos that has no training photos"
        for name in sorted(tested - set(names))
    ]
    problems += find_bad_names(names)
    if problems:
        raise problems_error(found.root, problems)
