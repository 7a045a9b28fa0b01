"""A dataset in the user's own layout, and what may be wrong with its classes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bookcls.data.samples import find_bad_names, problems_error
from bookcls.errors import BookclsError
from bookcls.layouts.names import TEST, TRAIN, VAL, composed, find_alike, setting


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
        notes: Lines that say how something was understood.
        leavings: Hidden files, and folders of this and other programs.
        is_ours: Whether its folders have the names that training reads.
        train_folder: Of a tree: what groups.csv calls ``train/``.
    """

    root: Path
    kind: str
    train: list[Photo] = field(default_factory=list)
    tests: dict[str, list[Photo]] = field(default_factory=dict)
    labelled: list[Path] = field(default_factory=list)
    left_out: list[tuple[Path, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    leavings: list[Path] = field(default_factory=list)
    is_ours: bool = False
    train_folder: Path | None = None

    @property
    def is_ready(self) -> bool:
        """Whether training can read it unchanged."""
        visible = [path for path in self.leavings if not path.name.startswith(".")]
        unused = [path for path, _ in self.left_out] + [p for p in visible if p.is_dir()]
        kept = all(path.parent == self.root for path in unused)
        flat = all(photo.path.parent.parent.parent == self.root for photo in self.train)
        # macOS decomposes accents in the names of files.
        named = all(composed(p.path.parent.name) == composed(p.label) for p in self.train)
        return self.is_ours and kept and flat and named

    @property
    def class_names(self) -> list[str]:
        """Of the training photos, sorted."""
        return sorted({photo.label for photo in self.train})


def add_by_role(
    found: SourceDataset, photos: Iterable[tuple[str, Photo]], val: str = "validation"
) -> None:
    """Adds photos to training and testing.

    Validation photos train too if there are test photos, since training holds out its own; else
    they are the test photos.

    Args:
        found: Is changed.
        photos: Role, or name of a test folder, and photo.
        val: How to name the validation photos in the notes.
    """
    held = []
    for role, photo in photos:
        if role == TRAIN:
            found.train.append(photo)
        elif role == VAL:
            held.append(photo)
        else:
            found.tests.setdefault(role, []).append(photo)
    if held and (found.tests or found.labelled):
        found.train += held
        found.kind += f"; photos of {val} will train too, since training holds out its own"
    elif held:
        found.tests[TEST] = held
        found.kind += f"; photos of {val} will be test photos, since there are no others"


def refuse_alike(root: Path, names: Iterable[str]) -> None:
    """Refuses classes whose names differ in case or surrounding spaces alone.

    Raises:
        BookclsError: Naming both, and what decides.
    """
    names = sorted(set(names))
    pairs = find_alike(names)
    if not pairs:
        return
    shown = ", ".join(f"{a} and {b}" if a == a.strip() and b == b.strip() else f"{a!r} and {b!r}"
                      for a, b in pairs)  # fmt: skip
    doubled = {b for _, b in pairs}
    raise BookclsError(
        f"{root} cannot be used as it is:\n  - {shown}: two classes whose names differ only in "
        f"case or in surrounding spaces. {setting(n.strip() for n in names if n not in doubled)} "
        "makes each pair one class with the name that is given; if they are different things, "
        "rename one."
    )


def check_classes(found: SourceDataset, wanted: Sequence[str] = ()) -> None:
    """Checks that there are two or more classes, and none in the test photos alone.

    Raises:
        BookclsError: Listing every problem.
    """
    names = found.class_names
    missing = sorted(set(wanted) - set(names))
    if missing:
        raise BookclsError(
            f"{setting(wanted)}: there are no training photos of {', '.join(missing)} in "
            f"{found.root}. Name the classes as the folders or labels are named"
            f"{': found ' + ', '.join(names[:20]) if names else ''}."
        )
    if len(names) < 2:
        what = f"one class, {names[0]}" if names else "no photos in class folders"
        loose = sum(why == NO_CLASS for _, why in found.left_out)
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


NO_CLASS = "a photo without a class"
