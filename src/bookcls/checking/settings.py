"""conf/check.yaml as typed values."""

from dataclasses import dataclass

from bookcls.errors import BookclsError
from bookcls.settings import DataConfig, check_between


@dataclass
class CheckConfig:
    """conf/check.yaml as a whole."""

    data: DataConfig
    burst_seconds: float = 3.0
    output: str | None = None

    def __post_init__(self) -> None:
        check_between("burst_seconds", self.burst_seconds, 0, 3600)
        if self.output is not None and not self.output.strip():
            raise BookclsError("output is empty: give a folder, or leave it out.")
