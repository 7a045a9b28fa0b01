"""conf/report.yaml as typed values."""

from dataclasses import dataclass, field

from bookcls.errors import BookclsError


@dataclass
class ReportDataConfig:
    """Where the photos are."""

    root: str | None = None


@dataclass
class ReportConfig:
    """conf/report.yaml as a whole."""

    runs: str
    output: str | None = None
    data: ReportDataConfig = field(default_factory=ReportDataConfig)

    def __post_init__(self) -> None:
        if not self.runs.strip():
            raise BookclsError(
                "runs is empty: give the folder of a sweep, or a folder that contains runs."
            )
        if self.output is not None and not self.output.strip():
            raise BookclsError("output is empty: give a folder, or leave it out.")
