"""conf/tune.yaml as typed values."""

from dataclasses import dataclass, fields
from typing import Any

from bookcls.errors import BookclsError
from bookcls.settings import (
    AugConfig,
    DataConfig,
    ModelConfig,
    OptimConfig,
    TrainConfig,
    TrainerConfig,
    check_between,
    check_positive,
)


@dataclass
class TuneData(DataConfig):
    """conf/data, and how the training photos are divided into folds."""

    cv: int
    repeats: int
    views: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_between("data.cv", self.cv, 2, 1000)
        check_between("data.repeats", self.repeats, 1, 1000)
        check_between("data.views", self.views, 0, 100)


@dataclass
class TuneConfig:
    """conf/tune.yaml."""

    data: TuneData
    model: ModelConfig
    aug: AugConfig
    optim: OptimConfig
    trainer: TrainerConfig
    space: dict[str, Any]
    trials: int
    minutes: float | None
    seed: int = 0
    resume: str | None = None

    def __post_init__(self) -> None:
        check_between("seed", self.seed, 0, 2**32 - 1)
        check_positive("trials", self.trials)
        if self.minutes is not None:
            check_positive("minutes", self.minutes)
        if self.trainer.is_distributed:
            raise BookclsError(
                f"trainer.devices={self.trainer.devices}, trainer.num_nodes="
                f"{self.trainer.num_nodes}: the folds train one after another on one device; set "
                "both to 1."
            )

    @property
    def start(self) -> TrainConfig:
        """Settings of the first trial; no photos of a fold's training part are held out again."""
        data = {f.name: getattr(self.data, f.name) for f in fields(DataConfig)}
        return TrainConfig(
            data=DataConfig(**data | {"val_fraction": 0.0}),
            model=self.model,
            aug=self.aug,
            optim=self.optim,
            trainer=self.trainer,
            seed=self.seed,
        )
