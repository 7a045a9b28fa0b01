"""Photos with their labels and hashes, and the validation split."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bookcls.data.leavings import LINKS, RESULTS, Leavings, is_hidden, is_results
from bookcls.data.photo_files import explain_other, is_photo
from bookcls.data.streams import Stream
from bookcls.errors import BookclsError

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
"""The hash of a file that is empty or cannot be read."""
SCORES = ("acc", "n", "correct", "ci_low", "ci_high", "nll", "brier", "strict_acc", "strict_n",
          "floor")  # fmt: skip
"""Names of the scores of a test split; in metrics.json, ``test/<split>_<name>``."""


@dataclass(frozen=True)
class Sample:
    """One photo and its labels.

    Attributes:
        path: The photo.
        name: Its path below the split's folder, with forward slashes.
        label: Index of its class; for a test photo, of the dominant class, or -1 if there is none.
        accepted: Indices of the classes that count as correct.
        sha256: Hash of the file's bytes.
        group: Name of its group from groups.csv, which stays in the same split; "" if none.
    """

    path: Path
    name: str
    label: int
    accepted: tuple[int, ...]
    sha256: str
    group: str = ""

    @property
    def unit(self) -> str:
        """Key of the photos that must stay in the same split: a group, or copies of a photo."""
        return f"{self.label} {self.group}" if self.group else self.sha256


@dataclass
class PhotoFolder:
    """A dataset on disk: ``train/<class>/*`` and any number of test splits.

    Attributes:
        root: Folder of the dataset.
        class_names: Sorted; a label is an index into it.
        train: Training photos.
        tests: Split name ("easy") -> photos.
        skipped: Photos left out under ``on_bad=skip``, each with the reason.
        problems: A line for each problem that prevents the use of the dataset.
        leavings: What was passed over: hidden files, other programs' folders, our results.
    """

    root: Path
    class_names: list[str]
    train: list[Sample]
    tests: dict[str, list[Sample]]
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    leavings: Leavings = field(default_factory=Leavings)

    def fingerprint(self) -> str:
        """SHA-256 of every photo's split, name, labels, bytes and group."""

        def encoded(text: str) -> bytes:
            return text.encode("utf-8", "backslashreplace")  # A file name may not be UTF-8.

        digest = hashlib.sha256(encoded("\n".join(self.class_names)))
        for split, samples in [("train", self.train), *sorted(self.tests.items())]:
            for s in sorted(samples, key=lambda s: s.name):
                group = f"|{s.group}" if s.group else ""
                line = f"\n{split}|{s.name}|{s.label}|{s.accepted}|{s.sha256}{group}"
                digest.update(encoded(line))
        return digest.hexdigest()


def find_bad_names(names: Sequence[str]) -> list[str]:
    """Finds class names that do not work on every file system, and describes each in a line."""
    problems = []
    first: dict[str, str] = {}
    for name in names:
        # Compare like file systems that ignore case and the encoding of accents.
        other = first.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if other != name or names.count(name) > 1:
            problems.append(f"{other} and {name}: two classes whose names differ only in case")
        if not name or set(name) & set(";/\\") or name.startswith(".") or name != name.strip():
            problems.append(
                f"{name!r}: a class name must not contain ; / \\, start with a dot, or start or "
                "end with a space"
            )
    return list(dict.fromkeys(problems))


def problems_error(root: Path, problems: Sequence[str]) -> BookclsError:
    """Creates an error that lists all problems."""
    lines = "".join(f"\n  - {p}" for p in problems)
    return BookclsError(f"{root} cannot be used as it is:{lines}")


def list_visible(folder: Path) -> list[Path]:
    """Lists a folder in a fixed order, without hidden and system files."""
    return sorted((p for p in folder.iterdir() if not is_hidden(p)), key=lambda p: p.name)


def list_entries(folder: Path, leavings: Leavings) -> list[Path]:
    """Lists a folder in a fixed order, without anything that is passed over among photos.

    Args:
        folder: The folder.
        leavings: Counts what is passed over.
    """
    entries = []
    for path in sorted(folder.iterdir(), key=lambda p: p.name):
        if is_hidden(path):
            leavings.add(path)
        elif path.is_dir() and is_results(path):
            leavings.add(path, RESULTS)
        else:
            entries.append(path)
    return entries


def list_photos(
    folder: Path, leavings: Leavings | None = None
) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Lists the photos of a folder, and every other entry that is not passed over.

    Args:
        folder: The folder.
        leavings: Counts what is passed over, including links to photos of the same folder.

    Returns:
        The photos, and each other entry with the reason.
    """
    photos, rest = [], []
    leavings = leavings or Leavings()
    for path in list_entries(folder, leavings):
        if path.is_dir():
            rest.append((path, "a folder inside a class folder"))
        elif is_photo(path):
            photos.append(path)
        else:
            rest.append((path, explain_other(path)))
    again = find_second_names(photos)
    for path in again:
        leavings.add(path, LINKS)
    return [path for path in photos if path not in again], rest


def find_second_names(photos: Sequence[Path]) -> set[Path]:
    """Finds links to a photo that is in the list under its own name, or an earlier link's.

    Args:
        photos: Of one folder.
    """
    links = [path for path in photos if path.is_symlink()]
    if not links:
        return set()
    folder = photos[0].parent.resolve()
    known = {folder / path.name for path in photos if not path.is_symlink()}
    again = set()
    for path in links:
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError):  # Decoding says that there is no such file.
            continue
        if target in known:
            again.add(path)
        known.add(target)
    return again


def make_sample(path: Path, base: Path, label: int, accepted: Iterable[int]) -> Sample:
    """Creates a sample with the hash of its bytes (of empty bytes if it cannot be read)."""
    try:
        # Reading a pipe would block forever.
        content = path.read_bytes() if path.is_file() else b""
    except OSError:  # Decoding names the reason.
        content = b""
    name = path.relative_to(base).as_posix()
    sha256 = hashlib.sha256(content).hexdigest()
    return Sample(path, name, label, tuple(sorted(accepted)), sha256)


def split_train_val(
    samples: Sequence[Sample], class_names: Sequence[str], val_fraction: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Holds out a share of each class for validation, before any oversampling.

    Every class keeps at least one photo on either side; copies of a photo and photos of a group
    stay together, and each photo counts.

    Args:
        samples: Training photos.
        class_names: Names by label, for the message.
        val_fraction: Share to hold out; 0 holds out nothing.
        seed: Decides which photos.

    Returns:
        Training part and validation part.

    Raises:
        BookclsError: If a class has fewer than two different photos or groups.
    """
    if val_fraction == 0:
        return list(samples), []
    distinct: dict[int, Counter[str]] = {}  # label -> unit -> its photos
    for s in samples:
        distinct.setdefault(s.label, Counter())[s.unit] += 1
    few = [class_names[label] for label, units in sorted(distinct.items()) if len(units) < 2]
    if few:
        grouped = " or a single group" if any(s.group for s in samples) else ""
        raise BookclsError(
            f"class {', '.join(few)} has a single photo{grouped}, so none can be held out for "
            "validation: add photos, or set data.val_fraction=0 to train on all of them."
        )
    rng = np.random.default_rng([seed, Stream.SPLIT])
    held = set[str]()
    for _, sizes in sorted(distinct.items()):
        units = list(sizes)
        shuffled = [units[i] for i in rng.permutation(len(units))]
        held.update(pick_nearest(shuffled, sizes, val_fraction * sizes.total()))
    train = [s for s in samples if s.unit not in held]
    return train, [s for s in samples if s.unit in held]


def count_units(samples: Iterable[Sample]) -> Counter[int]:
    """Counts the different photos, or groups, of each label."""
    return Counter(label for label, _ in {(s.label, s.unit) for s in samples})


def pick_nearest(units: Sequence[str], sizes: Mapping[str, int], target: float) -> list[str]:
    """Picks units in order, taking each that brings the number of photos nearer to a target.

    Args:
        units: Two or more.
        sizes: Unit -> number of its photos.
        target: Photos to take.

    Returns:
        At least one unit, and not all.
    """
    taken, total = [], 0
    for unit in units:
        if abs(total + sizes[unit] - target) <= abs(total - target):
            taken.append(unit)
            total += sizes[unit]
    taken = taken or [min(units, key=sizes.__getitem__)]
    return taken if len(taken) < len(units) else taken[:-1]


def check_enough_photos(samples: Sequence[Sample], class_names: Sequence[str], cv: int) -> None:
    """Checks that every fold can contain a photo of each class.

    Raises:
        BookclsError: Naming each class with fewer different photos, or groups, than folds.
    """
    distinct = count_units(samples)
    few = [f"{class_names[k]} ({n})" for k, n in sorted(distinct.items()) if n < cv]
    if few:
        least = min(distinct.values())
        advice = f"set data.cv={least} or less, or add photos" if least > 1 else "add photos"
        raise BookclsError(
            f"data.cv={cv} folds need {cv} different photos of each class, and there are fewer of "
            f"{', '.join(few)}: {advice}."
        )


def floor_correct(samples: Sequence[Sample]) -> int:
    """Number of photos that the best constant prediction gets right."""
    return max(Counter(a for s in samples for a in s.accepted).values(), default=0)
