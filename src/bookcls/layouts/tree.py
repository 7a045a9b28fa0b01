"""Which photos and other files lie below a folder."""

from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from bookcls.data.leavings import is_hidden, is_results
from bookcls.data.photo_files import is_photo
from bookcls.data.samples import list_visible
from bookcls.layouts.names import OUR_FOLDERS, alike

OUR_COLUMNS = b"file,dominant,accepted"


class Tree:
    """The visible files below a folder; links back to a folder on the way are not followed.

    Args:
        root: The folder.
        kept: Folder names that are used although other programs have such folders.

    Attributes:
        root: The folder.
        photos: At any depth, in a fixed order.
        others: Files that are not photos.
        leavings: Hidden files, and folders of this and other programs.
    """

    def __init__(self, root: Path, kept: Collection[str] = ()) -> None:
        self.root = root
        self.kept = {alike(name) for name in kept}
        self.photos: list[Path] = []
        self.others: list[Path] = []
        self.leavings: list[Path] = []
        self._kids: defaultdict[Path, list[Path]] = defaultdict(list)
        self._direct: defaultdict[Path, list[Path]] = defaultdict(list)
        self._below: defaultdict[Path, list[Path]] = defaultdict(list)
        self._scan(root, frozenset(), ())

    def _scan(self, folder: Path, above: frozenset[Path], chain: tuple[Path, ...]) -> None:
        here = folder.resolve()
        if any(path.is_relative_to(here) for path in above):
            return
        chain = (*chain, folder)
        for path in sorted(folder.iterdir(), key=lambda p: p.name):
            if self._is_left(path):
                self.leavings.append(path)
            elif path.is_dir():
                self._kids[folder].append(path)
                self._scan(path, above | {here}, chain)
            elif is_photo(path):
                self.photos.append(path)
                self._direct[folder].append(path)
                for parent in chain:
                    self._below[parent].append(path)
            else:
                self.others.append(path)

    def _is_left(self, path: Path) -> bool:
        if alike(path.name) in self.kept:
            return False
        return is_hidden(path) or (path.is_dir() and (path.name in OUR_FOLDERS or is_results(path)))

    def below(self, folder: Path) -> list[Path]:
        """Photos at any depth."""
        return self._below.get(folder, [])

    def direct(self, folder: Path) -> list[Path]:
        """Photos in the folder itself."""
        return self._direct.get(folder, [])

    def kids(self, folder: Path) -> list[Path]:
        """Folders in it that contain photos."""
        return [path for path in self._kids.get(folder, []) if self.below(path)]

    def empty(self, folder: Path) -> list[Path]:
        """Folders in it that contain none."""
        return [path for path in self._kids.get(folder, []) if not self.below(path)]

    def folders(self, folder: Path) -> list[Path]:
        """Folders with photos at any depth."""
        return [p for kid in self.kids(folder) for p in (kid, *self.folders(kid))]


def count_photos(folder: Path) -> int:
    """Photos below a folder, hidden ones and links to folders aside."""
    if not folder.is_dir():
        return 0
    paths = list_visible(folder)
    return sum(count_photos(p) if p.is_dir() and not p.is_symlink() else is_photo(p) for p in paths)


def is_labelled(folder: Path) -> bool:
    """Whether it is a flat test folder of ours, with its labels.csv."""
    table = folder / "labels.csv"
    if not table.is_file():
        return False
    with table.open("rb") as file:
        head = file.readline(200).removeprefix(b"\xef\xbb\xbf").strip().replace(b'"', b"")
    return head == OUR_COLUMNS
