"""Iterates over the photos of a setting, with one folder's names in memory at a time."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from bookcls.config import expand_home, full_path
from bookcls.data.images import SUFFIXES, ImageError
from bookcls.data.leavings import LINKS, RESULTS, Leavings, has_results, holds_results, is_hidden
from bookcls.data.photo_files import RAW_SUFFIXES, is_photo
from bookcls.data.samples import Sample
from bookcls.errors import BookclsError

Pattern = tuple[str, ...]
"""Parts of a glob; ``**`` matches any number of folders."""
ANYTHING: Pattern = ("**", "*")
MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class Source:
    """The photos given by ``images=``.

    Attributes:
        base: The folder that names are relative to.
        file: The one photo that was named, or None.
        pattern: Otherwise, which files below ``base``.
    """

    base: Path
    file: str | None = None
    pattern: Pattern = ANYTHING

    @property
    def photos_only(self) -> bool:
        """Whether only photos match: unless the pattern has a suffix."""
        return self.file is None and self.suffix == ""

    @property
    def suffix(self) -> str:
        """The suffix that the pattern requires (``.jpg``), or "" if none."""
        suffix = Path(self.pattern[-1]).suffix.lower()
        return "" if MAGIC & set(suffix) else suffix

    def matches(self, path: Path) -> bool:
        """Whether a photo, given by its resolved path, is listed under that name."""
        if self.file is not None or not path.is_relative_to(self.base):
            return False
        patterns, folder = _expand({self.pattern}), self.base
        *folders, name = path.relative_to(self.base).parts
        for part in folders:
            folder /= part
            if is_hidden(folder) or has_results(folder):
                return False
            patterns = _descend(patterns, part)
        if is_hidden(path) or (self.photos_only and not is_photo(path)):
            return False
        return any(len(p) == 1 and _matches(name, p[0]) for p in patterns)

    def may_match_in(self, folder: Path, suffix: str) -> bool:
        """Whether files with this suffix in a folder, or in folders in it, may be among these."""
        if self.file is not None or not folder.is_relative_to(self.base):
            return False
        patterns = _expand({self.pattern})
        for part in folder.relative_to(self.base).parts:
            patterns = set() if is_hidden(Path(part)) else _descend(patterns, part)
        return bool(patterns) and self.suffix in ("", suffix)


def find_source(images: str) -> Source:
    """Resolves ``images=``: a photo, a folder (recursively), or a glob.

    Raises:
        BookclsError: If there is no such file or folder.
    """
    path = full_path("images", images)
    if path.is_dir():
        return Source(path)
    if path.exists():
        return Source(path.parent, file=path.name)
    parts = expand_home("images", images).parts
    fixed = next((i for i, part in enumerate(parts) if MAGIC & set(part)), len(parts))
    if fixed == len(parts):
        raise BookclsError(f"images={images}: there is no such photo or folder.")
    base = full_path("images", str(Path(*parts[:fixed])))
    if not base.is_dir():
        raise BookclsError(f"images={images}: there is no folder {base}.")
    return Source(base, pattern=(*parts[fixed:], "*") if parts[-1] == "**" else parts[fixed:])


def list_photos(source: Source) -> Iterator[tuple[str, Path | ImageError]]:
    """Yields name and path of each photo, by name; or an error for an unreadable folder."""
    for path, error in _files(source, Leavings()):
        name = path.relative_to(source.base).as_posix()
        if error is not None:
            yield name, error
        elif not source.photos_only or is_photo(path):
            yield name, path


@dataclass
class Counts:
    """What there is in a source.

    Attributes:
        num_photos: Photos.
        others: Suffix -> number of other files.
        leavings: What was passed over.
    """

    num_photos: int = 0
    others: Counter[str] = field(default_factory=Counter)
    leavings: Leavings = field(default_factory=Leavings)


def count_photos(source: Source) -> Counts:
    """Counts the photos, and what is ignored.

    Raises:
        BookclsError: If there is no photo.
    """
    counts = Counts()
    others = counts.others
    for path, error in _files(source, counts.leavings):
        if error is not None or not source.photos_only or is_photo(path):
            counts.num_photos += 1
        else:
            others[path.suffix.lower() or "no suffix"] += 1
    if not counts.num_photos:
        folder = source.pattern == ANYTHING
        where = source.base.joinpath(*(() if folder else source.pattern))
        what = "no photo in it" if folder else "no photo matches"
        hint = (
            f" {'It contains' if folder else 'What matches is'} {summarise_suffixes(others)}."
            if others
            else ""
        )
        if passed_over := str(counts.leavings):
            hint += f" Skipped: {passed_over}."
        raise BookclsError(f"images={where}: {what} (supported: {' '.join(SUFFIXES)}).{hint}")
    return counts


def summarise_suffixes(suffixes: Counter[str]) -> str:
    """Formats suffixes with their counts, the most frequent first.

    Example:
        >>> summarise_suffixes(Counter({".txt": 2, ".mov": 5}))
        '5 x .mov, 2 x .txt'
    """
    parts = [f"{n} x {suffix}" for suffix, n in suffixes.most_common(5)]
    advice = " (export raw photos as JPEG)" if set(suffixes) & set(RAW_SUFFIXES) else ""
    return ", ".join([*parts, "..."] if len(suffixes) > len(parts) else parts) + advice


def list_images(images: str) -> list[Sample]:
    """Lists a photo, all photos below a folder, or those of a glob; without labels.

    Raises:
        BookclsError: If there is none, or a folder that cannot be listed.
    """
    source = find_source(images)
    count_photos(source)  # raises an error if there is none
    samples = []
    for name, path in list_photos(source):
        if isinstance(path, ImageError):
            raise BookclsError(f"{source.base / name}: {path}.")
        samples.append(Sample(path, name, -1, (), ""))
    return samples


def _files(source: Source, leavings: Leavings) -> Iterator[tuple[Path, ImageError | None]]:
    """Yields the files of a source; a photo with several names only once."""
    if source.file is not None:
        yield source.base / source.file, None
        return
    linked = set[Path]()
    for path, error in _walk(source.base, _expand({source.pattern}), {}, leavings):
        if error is None and path.is_symlink():
            try:
                target = path.resolve(strict=True)
            except (OSError, RuntimeError):  # Decoding says that there is no such file.
                yield path, None
                continue
            if target in linked or source.matches(target):
                leavings.add(path, LINKS)
                continue
            linked.add(target)
        yield path, error


def _expand(patterns: set[Pattern]) -> set[Pattern]:
    """Adds the patterns that remain if ``**`` matches no folder."""
    while more := {p[1:] for p in patterns if p[0] == "**" and len(p) > 1} - patterns:
        patterns |= more
    return patterns


def _matches(name: str, part: str) -> bool:
    return part != "**" and fnmatchcase(name.lower(), part.lower())


def _descend(patterns: set[Pattern], name: str) -> set[Pattern]:
    """Returns the remaining patterns inside a folder of this name."""
    left = {p[1:] for p in patterns if len(p) > 1 and _matches(name, p[0])}
    return _expand(left | {p for p in patterns if p[0] == "**"})


def _walk(
    folder: Path,
    patterns: set[Pattern],
    seen: dict[tuple[int, int], set[Pattern]],
    leavings: Leavings,
    *,
    is_base: bool = True,
) -> Iterator[tuple[Path, ImageError | None]]:
    """Yields the files that match any pattern. Links are followed, but no folder is read twice.

    All patterns are suffixes of the same one, so a file in a folder can only match the pattern
    that consists of the last part alone.
    """
    try:
        status = folder.stat()
        before = seen.setdefault((status.st_dev, status.st_ino), set())
        patterns = patterns - before
        if not patterns:
            return
        before |= patterns
        with os.scandir(folder) as entries:
            listed = sorted((e.name, _is_dir(e)) for e in entries)
    except OSError as error:
        yield folder, ImageError(f"a folder that cannot be listed ({error.strerror})")
        return
    if not is_base and holds_results({name for name, _ in listed}.__contains__):
        leavings.add(folder, RESULTS)
        return
    for name, is_dir in listed:
        if is_hidden(Path(name)):
            leavings.add(folder / name)
        elif is_dir:
            if left := _descend(patterns, name):
                yield from _walk(folder / name, left, seen, leavings, is_base=False)
        elif any(len(p) == 1 and _matches(name, p[0]) for p in patterns):
            yield folder / name, None


def _is_dir(entry: os.DirEntry[str]) -> bool:
    if entry.is_symlink():
        return os.path.isdir(entry.path)  # noqa: PTH112  # raises no error for any kind of link
    return entry.is_dir()
