"""Finds the photo that a cell of a table names."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from bookcls.data.images import SUFFIXES
from bookcls.layouts.names import UNLABELLED, alike, split_of
from bookcls.layouts.tree import Tree

UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of an uploaded file."""


def parts_of(value: str) -> list[str]:
    """The folders and the name in a path of any system, or in an address."""
    text = value.strip()
    if re.match(r"[a-z][a-z0-9+]+://", text, re.IGNORECASE) or text.startswith("/data/"):
        address = urlsplit(text)
        local = parse_qs(address.query).get("d")
        text = local[0] if local else unquote(address.path)
    text = re.sub(r"^[A-Za-z]:", "", text.replace("\\", "/"))
    return [part for part in text.split("/") if part not in ("", ".", "..")]


def has_suffix(value: str) -> bool:
    """Whether a cell ends like the name of a photo."""
    parts = parts_of(value)
    return bool(parts) and PurePosixPath(parts[-1]).suffix.lower() in SUFFIXES


def roles_of(parts: Sequence[str]) -> set[str]:
    """The splits that the folders in a path name."""
    return {split.role for part in parts if (split := split_of(part))} - {UNLABELLED}


def is_file(path: Path) -> bool:
    """Whether there is such a file; names that are too long, as in signed addresses, are none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


class Index:
    """The photos below a folder, by name.

    Args:
        tree: The photos.
    """

    def __init__(self, tree: Tree) -> None:
        self.root = tree.root
        self.photos = tree.photos
        self.folders = {alike(path.name) for path in tree.folders(tree.root)}
        self._names: defaultdict[str, list[Path]] = defaultdict(list)
        for path in tree.photos:
            for name in {alike(path.name), alike(path.stem)}:
                self._names[name].append(path)

    def find(self, name: str) -> list[Path]:
        """Photos of a name, with or without suffix; also without Label Studio's prefix."""
        found = self._names.get(alike(name), [])
        if not found and UPLOAD.match(name):
            found = self._names.get(alike(UPLOAD.sub("", name, count=1)), [])
        return found

    def knows(self, value: str) -> bool:
        """Whether a photo has the name in a cell, whatever its folder."""
        parts = parts_of(value)
        return bool(parts) and bool(self.find(parts[-1]))

    def match(self, values: Sequence[str], table: Path, role: str | None) -> list[Path | str]:
        """Finds the photo of each cell.

        A path that is not relative to the table's folder or the root must end like exactly one
        photo's, with every folder in which the table's paths differ; or the names alone are unique
        in the table and below the root.

        Args:
            values: The cells.
            table: Their file.
            role: Of a table for one split: which.

        Returns:
            For each, the photo, or why there is none.
        """
        split = [parts_of(value) for value in values]
        folders = [parts[:-1] for parts in split if parts]
        common = 0
        while folders and all(len(f) > common for f in folders) and (
            len({alike(f[common]) for f in folders}) == 1
        ):  # fmt: skip
            common += 1
        counts = Counter(alike(parts[-1]) for parts in {tuple(p) for p in split if p})
        bare = all(count == 1 for count in counts.values())
        return [
            self._match_one(value, parts, table, role, common, bare)
            for value, parts in zip(values, split, strict=True)
        ]

    def _match_one(
        self, value: str, parts: list[str], table: Path, role: str | None, common: int, bare: bool
    ) -> Path | str:
        if not parts:
            return f"there is no file {value.strip() or '(empty)'}"
        for folder in (table.parent, self.root):
            for path in (folder / value.strip(), folder.joinpath(*parts)):
                if is_file(path):
                    return path
        named = roles_of(parts[:-1])
        # A photo in another folder is another photo, even if it is the only one of that name.
        known = {alike(part) for part in parts[:-1]} & self.folders
        ends = []
        for path in self.find(parts[-1]):
            inside = path.relative_to(self.root).parts
            roles = roles_of(inside[:-1])
            if known - {alike(part) for part in inside[:-1]}:
                continue
            if (named and roles and not named & roles) or (role and roles and role not in roles):
                continue
            ends.append((self._shared(parts[:-1], inside[:-1]) + 1, path))
        best = max((length for length, _ in ends), default=0)
        paths = [path for length, path in ends if length == best]
        if not paths or not (best >= len(parts) - common or bare):
            return f"there is no file {value.strip()}"
        if len(paths) > 1:
            shown = " and ".join(p.relative_to(self.root).as_posix() for p in paths[:2])
            return f"{value.strip()} can be {shown}: write the path from {self.root.name}/ on"
        return paths[0]

    @staticmethod
    def _shared(left: Sequence[str], right: Sequence[str]) -> int:
        """Folders that two paths have in common at their end."""
        count = 0
        for a, b in zip(reversed(left), reversed(right), strict=False):
            if alike(a) != alike(b):
                break
            count += 1
        return count
