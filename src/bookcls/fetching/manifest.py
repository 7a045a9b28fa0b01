"""The repository's files in the dataset, their paths, and the texts added to them."""

import csv
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bookcls.errors import BookclsError

HERE = Path(__file__).resolve().parent
MANIFEST = HERE / "manifest.csv"
LABELS = HERE / "labels.csv"
REPOSITORY = "https://github.com/daisukelab/small_book_image_dataset"
COMMIT = "61350e5ecf6ee637ebbd1560172dee1c9c868316"
CREDIT = "photos by Daisuke Niizumi, copyright (c) 2018, MIT licence (see LICENSE)"
EXTRA = "dataset/automl_train_extra/"
LAYOUT = re.compile(r"dataset/(train/[^/]+|test|test_difficult)/[^/]+\.jpe?g", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """One file of the repository.

    Attributes:
        path: Its path there.
        sha1: Its git blob hash.
        stored: Its path in the dataset.
    """

    path: str
    sha1: str
    stored: str


def blob_sha1(content: bytes) -> str:
    """The hash by which git knows a file's content.

    >>> blob_sha1(b"")
    'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def format_list(lines: Iterable[str]) -> str:
    """Formats a list for an error message."""
    return "".join(f"\n  - {line}" for line in lines)


def read_rows(path: Path, columns: list[str]) -> list[tuple[int, list[str]]]:
    """Rows of a csv file with their line numbers.

    Raises:
        BookclsError: If it cannot be read or has other columns.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [(number, row) for number, row in enumerate(csv.reader(file), start=1) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BookclsError(f"{path} cannot be read as a csv file ({error}).") from error
    if not rows or rows[0][1] != columns:
        raise BookclsError(f"{path}: its first line must be {','.join(columns)}.")
    return rows[1:]


def read_manifest(path: Path) -> list[Entry]:
    """The files to fetch; those that enter no dataset are left out.

    Args:
        path: A csv file with the columns path and git_blob_sha1.

    Raises:
        BookclsError: Naming every line that is malformed, could lead out of the target folder, or
            has no place in the dataset.
    """
    entries: dict[str, Entry] = {}
    problems = []
    for number, row in read_rows(path, ["path", "git_blob_sha1"]):
        name, sha1 = row if len(row) == 2 else ("", "")
        if not name or not re.fullmatch("[0-9a-f]{40}", sha1):
            problems.append(f"line {number}: needs a path and 40 hex digits, got {','.join(row)}")
        elif "\\" in name or ":" in name or any(p[:1] in ("", ".") for p in name.split("/")):
            problems.append(f"line {number}: {name} could lead out of the target folder")
        elif not name.startswith(EXTRA):
            stored = re.sub("^test/", "test_easy/", name.removeprefix("dataset/"))
            if name != "LICENSE" and not (LAYOUT.fullmatch(name) and name.isprintable()):
                problems.append(f"line {number}: {name!r} has no place in the dataset")
            elif stored.casefold() in entries:
                problems.append(f"line {number}: {name} is listed twice")
            entries[stored.casefold()] = Entry(name, sha1, stored)
    if not problems and "license" not in entries:
        problems.append("LICENSE is not listed, and the photos must not be distributed without it")
    if not problems and not any(name.startswith("train/") for name in entries):
        problems.append("no training photos are listed")
    if problems:
        raise BookclsError(f"manifest {path} cannot be used:{format_list(problems)}")
    return list(entries.values())


def make_texts(entries: Iterable[Entry], size: int | str, own_manifest: bool) -> dict[str, str]:
    """Makes the texts that go with the photos: ``labels.csv`` of each test folder, and SOURCE.md.

    Args:
        entries: The files of the dataset.
        size: Long side of the stored photos, or "full".
        own_manifest: Whether the files are others than those that bookcls knows.

    Returns:
        Path in the dataset -> text.

    Raises:
        BookclsError: If bookcls has no label for a test photo.
    """
    rows = read_rows(LABELS, ["split", "file", "dominant", "accepted"])
    known = {f"{row[0]}/{row[1]}": ",".join(row[1:]) for _, row in rows}
    tests = sorted(e.stored for e in entries if e.stored.startswith("test_"))
    unknown = [name for name in tests if name not in known]
    if unknown:
        raise BookclsError(f"bookcls has no label for these test photos:{format_list(unknown)}")
    texts: dict[str, str] = {}
    for name in tests:
        path = f"{name.split('/')[0]}/labels.csv"
        texts[path] = texts.get(path, "file,dominant,accepted\n") + known[name] + "\n"
    resized = "stored as they are" if size == "full" else f"resized to a long side of {size} px"
    files = "listed by a manifest of the user's own" if own_manifest else f"of commit {COMMIT}"
    texts["SOURCE.md"] = (
        f"# Source\n\nRepository: {REPOSITORY}\nFiles: {files}, each checked by its git hash\n"
        f"Credit: {CREDIT}\nChanged: photos {resized}; `dataset/test` is called `test_easy`; "
        f"`{EXTRA}` is left out\nAdded by bookcls: labels.csv of the test folders, its own reading "
        "of the photos\n"
    )
    return texts
