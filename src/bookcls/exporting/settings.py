"""conf/export.yaml as typed values. Does not import torch, so that errors come early."""

from dataclasses import dataclass, field

from bookcls.errors import BookclsError, check_choice

SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
"""Format -> suffix of its files."""
PRECISIONS = ("fp32", "fp16", "int8")


@dataclass
class ExportData:
    """The photos to check on; None means those of the run."""

    root: str | None = None


@dataclass
class ExportConfig:
    """conf/export.yaml as a whole."""

    ckpt: str | None = None
    format: str = "onnx"
    precision: str = "fp32"
    output: str | None = None
    overwrite: bool = False
    data: ExportData = field(default_factory=ExportData)

    def __post_init__(self) -> None:
        check_choice("format", self.format, tuple(SUFFIXES))
        check_choice("precision", self.precision, PRECISIONS)
        if self.format == "torch" and self.precision != "fp32":
            raise BookclsError(
                f"precision={self.precision} is for format=onnx; format=torch is written in fp32."
            )
        if self.output is not None and not self.output.endswith(self.suffix):
            raise BookclsError(
                f"output={self.output}: give a file whose name ends in {self.suffix}, the "
                f"suffix of format={self.format}."
            )

    @property
    def suffix(self) -> str:
        """Suffix of the file."""
        return SUFFIXES[self.format]
