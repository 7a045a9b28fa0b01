"""Dataclasses for conf/init.yaml."""

from dataclasses import dataclass, field

from bookcls.errors import BookclsError, check_choice
from bookcls.settings import check_between

FOLDERS = "folders"
"""The value of ``labels`` that leaves every table aside."""
FILE_MODES = ("copy", "hardlink", "symlink")


@dataclass
class InitData:
    """The existing photos."""

    root: str

    def __post_init__(self) -> None:
        if not self.root.strip():
            raise BookclsError("data.root is empty: give the folder of your photos, or a new one.")


@dataclass
class InitConfig:
    """conf/init.yaml."""

    data: InitData
    output: str | None = None
    files: str = "copy"
    labels: str | None = None
    label_column: str | None = None
    classes: list[str] = field(default_factory=list)
    test_fraction: float = 0.0
    burst_seconds: float = 3.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("files", self.files, FILE_MODES)
        check_between("burst_seconds", self.burst_seconds, 0, 3600)
        check_between("seed", self.seed, 0, 2**32 - 1)
        if not 0 <= self.test_fraction < 1:
            raise BookclsError(
                f"test_fraction={self.test_fraction}: must be at least 0 (hold out none) and "
                "below 1."
            )
        for name in ("output", "labels", "label_column"):
            value = getattr(self, name)
            if value is not None and not value.strip():
                what = "the name of a column" if name == "label_column" else "a path"
                raise BookclsError(f"{name} is empty: give {what}, or leave it out.")
        if self.labels == FOLDERS and self.label_column is not None:
            raise BookclsError(
                f"labels={FOLDERS} reads no table, so label_column={self.label_column} has no "
                "meaning: leave one of them out."
            )
