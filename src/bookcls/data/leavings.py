"""Files and folders that are passed over among photos: hidden ones, other programs', our own."""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PICTURES = ".bookcls-pictures"
"""An empty file that marks a folder as made by predict, for its pictures."""
SYSTEM_FILES = ("thumbs.db", "desktop.ini", "icon\r")
UNREMARKABLE = (*SYSTEM_FILES, ".ds_store", ".localized", ".directory", ".gitkeep", ".gitignore",
                PICTURES)  # fmt: skip
"""Passed over without being counted: they are nearly everywhere and never were photos."""
OTHER_PROGRAMS = ("@eadir", "__macosx", "#recycle", "@recycle", "$recycle.bin",
                  "system volume information", "lost+found", "__pycache__")  # fmt: skip
"""Folders of thumbnails, of forks or of deleted files: Synology, macOS, QNAP, Windows, Linux."""
CONFIG = "config.yaml"
WITH_CONFIG = ("metrics.json", "environment.json", "last.ckpt", "vgg16_rendered.json")
"""One of these next to config.yaml makes a folder a run of train, tune or pretrain."""
MAPS = "cam.json"
REPORT = ("report.html", "results.csv")


@dataclass
class Leavings:
    """Counts what was passed over.

    Attributes:
        counts: Kind, in words -> number.
        examples: Kind -> the first name.
    """

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, path: Path, kind: str | None = None) -> None:
        """Counts a file or folder; the kind of a hidden one follows from its name."""
        name = path.name.lower()
        if kind is None and name in UNREMARKABLE:
            return
        kind = kind or ("of other programs" if name in OTHER_PROGRAMS else "hidden")
        self.counts[kind] += 1
        self.examples.setdefault(kind, path.name)

    def __str__(self) -> str:
        """The counts in a line; empty if nothing was passed over."""
        parts = [f"{n} {kind} ({self.examples[kind]})" for kind, n in self.counts.items()]
        return ", ".join(parts)


RESULTS = "with results of bookcls"
LINKS = "linked to photos that are here already"


def is_hidden(path: Path) -> bool:
    """Whether a file or folder is hidden, of the system, or of a program that manages photos."""
    name = path.name.lower()
    return name.startswith(".") or name in SYSTEM_FILES or name in OTHER_PROGRAMS


def holds_results(has: Callable[[str], bool]) -> bool:
    """Whether a folder was written by bookcls, so that its pictures are no photos.

    Args:
        has: Returns whether the folder contains a file of a name.
    """
    is_run = has(CONFIG) and any(map(has, WITH_CONFIG))
    return is_run or has(MAPS) or has(PICTURES) or all(map(has, REPORT))


def has_results(folder: Path) -> bool:
    """Same as :func:`holds_results`, for a folder that need not be listed for it."""
    return holds_results(lambda name: (folder / name).exists())


def is_results(folder: Path) -> bool:
    """Whether a folder was written by bookcls, or contains only such folders.

    The name does not matter: a folder ``runs`` with photos may be a class.
    """
    try:
        with os.scandir(folder) as entries:
            found = {e.name: e.is_dir() for e in entries}
        if holds_results(found.__contains__):
            return True
        visible = [name for name in found if not is_hidden(Path(name))]
        return bool(visible) and all(found[n] and is_results(folder / n) for n in visible)
    except (OSError, RecursionError):  # links that form a cycle
        return False
