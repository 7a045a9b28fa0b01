"""What the rest knows of a photo: its file, its answers, its hash; the validation split."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bookcls.errors import BookclsError
from bookcls.images import HEIC, HEIC_SUFFIXES, SUFFIXES

SYSTEM_FILES = ("thumbs.db", "desktop.ini", "icon\r")


@dataclass(frozen=True)
class Sample:
    """One photo and its answers.

    Attributes:
        path: The photo.
        name: Its path below the split's folder, with forward slashes.
        label: Index of its class; for a test photo that of the dominant class, or -1 where no
            single class leads.
        accepted: Indices of every class that is a fair answer.
        sha256: Hash of the file's bytes.
    """

    path: Path
    name: str
    label: int
    accepted: tuple[int, ...]
    sha256: str


@dataclass
class PhotoFolder:
    """A dataset on disk: ``train/<class>/*`` and any number of test splits.

    Attributes:
        root: Its folder.
        class_names: Sorted; a label is an index into it.
        train: Training photos.
        tests: Split name ("easy") -> its photos.
        skipped: Photos left out under ``on_bad=skip``, each with the reason.
        problems: A line for each thing that keeps the dataset from being used.
    """

    root: Path
    class_names: list[str]
    train: list[Sample]
    tests: dict[str, list[Sample]]
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def fingerprint(self) -> str:
        """SHA-256 over every photo's split, name, answers and bytes."""
        digest = hashlib.sha256("\n".join(self.class_names).encode())
        for split, samples in [("train", self.train), *sorted(self.tests.items())]:
            for s in sorted(samples, key=lambda s: s.name):
                digest.update(f"\n{split}|{s.name}|{s.label}|{s.accepted}|{s.sha256}".encode())
        return digest.hexdigest()


def problems_error(root: Path, problems: Sequence[str]) -> BookclsError:
    """One error that names every offender."""
    lines = "".join(f"\n  - {p}" for p in problems)
    return BookclsError(f"{root} cannot be used as it is:{lines}")


def is_hidden(path: Path) -> bool:
    """True for what operating systems leave behind: dot files, Thumbs.db and the like."""
    return path.name.startswith(".") or path.name.lower() in SYSTEM_FILES


def visible(folder: Path) -> list[Path]:
    """Entries of a folder in a fixed order, without hidden and system files."""
    return sorted((p for p in folder.iterdir() if not is_hidden(p)), key=lambda p: p.name)


def list_photos(folder: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Photos of one folder, and for each visible entry that is none the reason."""
    photos, rest = [], []
    for path in visible(folder):
        if path.is_dir():
            rest.append((path, "a folder inside a class folder"))
        elif path.suffix.lower() in SUFFIXES:
            photos.append(path)
        elif path.suffix.lower() in HEIC_SUFFIXES:
            rest.append((path, HEIC))
        else:
            rest.append((path, f"not an image (read are {' '.join(SUFFIXES)})"))
    return photos, rest


def make_sample(path: Path, base: Path, label: int, accepted: Iterable[int]) -> Sample:
    """A sample with the hash of its bytes (that of nothing where it cannot be read)."""
    try:
        content = path.read_bytes()
    except OSError:  # Decoding names the reason.
        content = b""
    name = path.relative_to(base).as_posix()
    sha256 = hashlib.sha256(content).hexdigest()
    return Sample(path, name, label, tuple(sorted(accepted)), sha256)


def split_train_val(
    samples: Sequence[Sample], class_names: Sequence[str], val_fraction: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Holds out a share of each class for validation, before any oversampling.

    Every class keeps at least one photo on either side, and copies of a photo stay together.

    Args:
        samples: Training photos.
        class_names: Names by label, for the message.
        val_fraction: Share to hold out; 0 holds out nothing.
        seed: Decides which photos.

    Returns:
        Training part and validation part.

    Raises:
        BookclsError: If a class has fewer than two different photos.
    """
    if val_fraction == 0:
        return list(samples), []
    distinct: dict[int, list[str]] = {}
    for label, sha256 in dict.fromkeys((s.label, s.sha256) for s in samples):
        distinct.setdefault(label, []).append(sha256)
    few = [class_names[label] for label, hashes in sorted(distinct.items()) if len(hashes) < 2]
    if few:
        raise BookclsError(
            f"class {', '.join(few)} has a single photo, so none can be held out for validation: "
            "add photos, or set data.val_fraction=0 to train on all of them."
        )
    rng = np.random.default_rng([seed, 1])
    held = set[str]()
    for _, hashes in sorted(distinct.items()):
        n = len(hashes)
        num_val = min(max(1, math.floor(n * val_fraction + 0.5)), n - 1)
        held.update(hashes[i] for i in rng.permutation(n)[:num_val])
    train = [s for s in samples if s.sha256 not in held]
    return train, [s for s in samples if s.sha256 in held]


def refuse_few(samples: Sequence[Sample], class_names: Sequence[str], cv: int) -> None:
    """Refuses folds of which some would hold no photo of a class.

    Raises:
        BookclsError: Naming each class with fewer different photos than folds.
    """
    distinct = Counter(label for label, _ in {(s.label, s.sha256) for s in samples})
    few = [f"{class_names[k]} ({n})" for k, n in sorted(distinct.items()) if n < cv]
    if few:
        least = min(distinct.values())
        advice = f"set data.cv={least} or less, or add photos" if least > 1 else "add photos"
        raise BookclsError(
            f"data.cv={cv} folds need {cv} different photos of each class, and there are fewer of "
            f"{', '.join(few)}: {advice}."
        )


def floor_correct(samples: Sequence[Sample]) -> int:
    """How many photos the best constant answer gets right."""
    return max(Counter(a for s in samples for a in s.accepted).values(), default=0)
