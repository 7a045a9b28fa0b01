"""groups.csv: groups of training photos, such as bursts, that must stay in the same split."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bookcls.data.samples import EMPTY_SHA256, Sample
from bookcls.errors import BookclsError
from bookcls.storage.files import read_csv, unescape_field, write_csv

GROUPS = "groups.csv"
COLUMNS = ["file", "group"]


def read_groups(root: Path, train: Sequence[Sample], problems: list[str]) -> list[Sample]:
    """Adds the groups to training photos.

    Args:
        root: Folder of the dataset; without a ``groups.csv``, no photo has a group.
        train: Training photos.
        problems: A line is added for each problem.

    Returns:
        The photos in the same order. A copy of a grouped photo belongs to its group too.
    """
    if not (root / GROUPS).is_file():
        return list(train)
    try:
        rows = read_csv(root / GROUPS, COLUMNS)
    except BookclsError as error:
        problems.append(f"{GROUPS}: {error}")
        return list(train)
    photos = {f"train/{s.name}": s for s in train}
    groups: dict[tuple[int, str], str] = {}
    for number, row in rows:
        file_name, group = (unescape_field((row[key] or "").strip()) for key in COLUMNS)
        photo = photos.get(file_name)
        if None in row or not file_name or not group:
            problems.append(f"{GROUPS} line {number}: needs two columns, file,group")
        elif photo is None:
            problems.append(
                f"{GROUPS} line {number}: there is no training photo {file_name}; delete the row "
                "or fix the path (train/<class>/<file>)"
            )
        elif groups.setdefault(copy_key(photo), group) != group:
            problems.append(
                f"{GROUPS} line {number}: {file_name} is in group {group}, but it or a copy of "
                f"it is in {groups[copy_key(photo)]}"
            )
    return [replace(s, group=groups.get(copy_key(s), "")) for s in train]


def copy_key(sample: Sample) -> tuple[int, str]:
    """Key shared by all copies of a photo in a class; unreadable files have no copies."""
    return sample.label, sample.name if sample.sha256 == EMPTY_SHA256 else sample.sha256


def write_groups(path: Path, groups: Mapping[str, str]) -> None:
    """Writes groups.csv.

    Args:
        path: The csv file.
        groups: Photo, as ``train/<class>/<file>``, -> name of its group.
    """
    write_csv(path, COLUMNS, groups.items())
