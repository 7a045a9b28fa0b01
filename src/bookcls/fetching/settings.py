"""Dataclass for conf/fetch.yaml."""

from dataclasses import dataclass

from bookcls.errors import BookclsError
from bookcls.settings import check_between


@dataclass
class FetchConfig:
    """conf/fetch.yaml."""

    source: str
    manifest: str | None
    output: str
    size: int | str
    jobs: int

    def __post_init__(self) -> None:
        if not self.output.strip():
            raise BookclsError("output is empty: give the dataset's folder.")
        if isinstance(self.size, int):
            check_between("size", self.size, 32, 16384)
        elif self.size != "full":
            raise BookclsError(f"size={self.size}: give a long side in pixels, or full.")
        check_between("jobs", self.jobs, 1, 32)
