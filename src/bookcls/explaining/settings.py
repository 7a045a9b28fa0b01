"""conf/cam.yaml as typed values. Does not import torch, so that errors come early."""

from dataclasses import dataclass, field
from typing import Any

from bookcls.errors import BookclsError, check_choice
from bookcls.models.layers import CONV_INDEX, POOL_INDEX
from bookcls.settings import EvaluateData, EvaluateTrainer, check_between

METHODS = (
    "gradcam",
    "gradcam++",
    "layercam",
    "hirescam",
    "xgradcam",
    "elementwise",
    "eigencam",
    "eigengradcam",
    "scorecam",
    "ablationcam",
)
SLOW = ("scorecam", "ablationcam")
"""Methods that need one forward pass per channel: 512 for each photo and class."""
LAYERS = tuple(sorted({**CONV_INDEX, **POOL_INDEX}, key=lambda n: {**CONV_INDEX, **POOL_INDEX}[n]))
TARGETS = ("predicted", "dominant", "accepted")


@dataclass
class CamData(EvaluateData):
    """The photos to explain; None means those of the run."""

    split: str = "test"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("data.split", self.split, ("test", "train"))


@dataclass
class CamConfig:
    """conf/cam.yaml as a whole.

    OmegaConf has no type for a text or a list; ``given_as`` says what Any stands for.
    """

    ckpt: Any = field(default=None, metadata={"given_as": str | list[str] | None})
    images: str | None = None
    data: CamData = field(default_factory=CamData)
    method: str = "gradcam"
    layer: Any = field(default="block5_conv3", metadata={"given_as": str | list[str]})
    target: str = "predicted"
    size: int | None = None
    unsure: float = 0.5
    road: bool | None = None
    external: str | None = None
    output: str | None = None
    trainer: EvaluateTrainer = field(default_factory=EvaluateTrainer)

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)
        if not self.layers:
            raise BookclsError(f"layer={self.layer}: give a name or a list of names.")
        for name in self.layers:
            check_choice("layer", name, LAYERS)
        if self.size is not None and not 32 <= self.size <= 2048:
            raise BookclsError(
                f"size={self.size}: must be 32 to 2048 pixels, or null for the size that the map "
                "needs to be readable."
            )
        check_between("unsure", self.unsure, 0, 1)
        if self.images is not None and self.target in ("dominant", "accepted"):
            raise BookclsError(
                f"target={self.target} needs labels, and images={self.images} has none: use "
                "target=predicted or a class name."
            )
        if self.images is not None and self.external is not None:
            raise BookclsError(
                "external=FILE needs labels, and images=... has none: leave one out."
            )

    @property
    def layers(self) -> list[str]:
        """Names of the layers whose maps are combined."""
        return _texts(self.layer)

    @property
    def ckpts(self) -> list[str]:
        """The given runs or files; empty for the latest run."""
        return _texts(self.ckpt)


def _texts(value: object) -> list[str]:
    """Converts a value or a list to a list of strings; a folder may be called 5."""
    if value is None:
        return []
    return [str(v) for v in value] if isinstance(value, list | tuple) else [str(value)]
