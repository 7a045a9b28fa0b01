"""conf/predict.yaml as typed values. Does not import torch, so that errors come early."""

from dataclasses import dataclass, field
from typing import Any

from bookcls.settings import EvaluateTrainer, check_positive, check_rotations


@dataclass
class PredictConfig:
    """conf/predict.yaml as a whole."""

    images: str
    ckpt: str | None = None
    output: str = "predictions.csv"
    unsure: Any = 0.5
    rotations: int = 1
    cam: str | None = None
    batch_size: int = 16
    trainer: EvaluateTrainer = field(default_factory=EvaluateTrainer)

    def __post_init__(self) -> None:
        check_rotations(self.rotations)
        check_positive("batch_size", self.batch_size)
