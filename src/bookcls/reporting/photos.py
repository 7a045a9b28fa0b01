"""Where the photos of a report are."""

from pathlib import Path

from bookcls.config import full_path
from bookcls.data.dataset import read_folder
from bookcls.errors import BookclsError
from bookcls.pages.thumbnails import find_photo, thumbnail
from bookcls.reporting.collect import Run

MAX_NAMED = 5
"""Photos that are named; of more, the number is given."""


class PhotoFolders:
    """Finds the photos of runs, whose folders may be a stranger's.

    A run's own word for where its photos are would put any image of this machine on a page that
    may be passed on. A folder counts only if it was given, or if the photos and labels in it have
    the run's fingerprint, which only those who have them can know.
    """

    def __init__(self, given: str | None) -> None:
        """Takes the folder that was given with ``data.root=``, if any.

        Raises:
            BookclsError: If there is no such folder.
        """
        self.given = None if given is None else full_path("data.root", given)
        if self.given is not None and not self.given.is_dir():
            raise BookclsError(f"data.root={given} does not exist. Give the folder of the photos.")
        self.fingerprints: dict[Path, str] = {}
        self.left_out: dict[str, None] = {}
        self.outside: dict[str, None] = {}

    def find(self, run: Run) -> Path | None:
        """The folder of a run's photos; None if they are to be left out."""
        if self.given is not None:
            return self.given
        root = Path(str(run.environment["dataset"].get("root", "")))
        if root not in self.fingerprints:
            self.fingerprints[root] = _fingerprint(root)
        if self.fingerprints[root] == run.data:
            return root
        self.left_out[str(root)] = None
        return None

    def thumbnail(self, run: Run, split: str, file: str) -> str | None:
        """A test photo as a data URL; None if it is to be left out, or cannot be read."""
        root = self.find(run)
        if root is None:
            return None
        if find_photo(root, split, file) is None:
            self.outside[file] = None
        return thumbnail(root, split, file)

    def describe(self) -> list[str]:
        """What the page says of photos that were left out."""
        lines = [
            f"photos not shown: what is in {root} is not what the run was tested on (to show it "
            "all the same, give data.root=DIR)"
            for root in self.left_out
        ]
        if self.outside:
            named = ", ".join(list(self.outside)[:MAX_NAMED])
            lines.append(
                "photos not shown, outside the folder of their run's photos "
                f"({len(self.outside)}): {named}"
            )
        return lines


def _fingerprint(root: Path) -> str:
    """The fingerprint of a dataset; empty if it is none."""
    try:
        return read_folder(root, on_bad="skip").fingerprint() if root.is_absolute() else ""
    except (BookclsError, OSError, ValueError):
        return ""
