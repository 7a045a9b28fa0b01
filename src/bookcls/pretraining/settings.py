"""Dataclasses for conf/pretrain.yaml."""

from dataclasses import dataclass

from bookcls.errors import BookclsError, check_choice
from bookcls.settings import ACCELERATORS, PRECISIONS, check_between, check_positive

WEIGHTS = "vgg16_rendered.safetensors"
CARD = "vgg16_rendered.json"


@dataclass
class StageConfig:
    """A stretch of training at one image size."""

    image_size: int
    steps: int
    batch_size: int

    def __post_init__(self) -> None:
        check_between("stages.image_size", self.image_size, 32, 512)
        check_positive("stages.steps", self.steps)
        check_between("stages.batch_size", self.batch_size, 2, 65536)


@dataclass
class PretrainConfig:
    """conf/pretrain.yaml with one of conf/pretrain/preset."""

    num_identities: int
    num_unknown: int
    cover_height: int
    min_share: float
    stages: list[StageConfig]
    erase: float
    colour: float
    optimizer: str
    lr: float
    weight_decay: float
    warmup_steps: int
    clip_norm: float | None
    ema: float | None
    precision: str
    accelerator: str
    num_workers: int | None
    val_scenes: int
    round_steps: int
    val_every: int
    save_minutes: float
    max_minutes: float | None = None
    cache: str | None = None
    seed: int = 0
    show: str | None = None
    resume: str | None = None

    def __post_init__(self) -> None:
        check_between("num_identities", self.num_identities, 2, 100_000)
        check_between("num_unknown", self.num_unknown, 1, 100_000)
        check_between("cover_height", self.cover_height, 16, 512)
        check_between("min_share", self.min_share, 0, 0.5)
        if not self.stages:
            raise BookclsError("stages is empty: give [{image_size: 64, steps: 100, ...}].")
        check_between("erase", self.erase, 0, 1)
        check_between("colour", self.colour, 0, 1)
        check_choice("optimizer", self.optimizer, ("adamw", "sgd"))
        check_positive("lr", self.lr)
        check_between("weight_decay", self.weight_decay, 0, 1)
        check_between("warmup_steps", self.warmup_steps, 0, 1e9)
        if self.clip_norm is not None:
            check_positive("clip_norm", self.clip_norm)
        if self.ema is not None:
            check_between("ema", self.ema, 0, 0.99999)
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("accelerator", self.accelerator, ACCELERATORS)
        if self.num_workers is not None:
            check_between("num_workers", self.num_workers, 0, 256)
        for name in ("val_scenes", "round_steps", "val_every"):
            check_positive(name, getattr(self, name))
        check_between("save_minutes", self.save_minutes, 0, 1e6)
        if self.max_minutes is not None:
            check_positive("max_minutes", self.max_minutes)
        check_between("seed", self.seed, 0, 2**32 - 1)

    @property
    def num_rounds(self) -> int:
        """Rounds in all; the last stage is prolonged to a whole one."""
        return -(-sum(stage.steps for stage in self.stages) // self.round_steps)

    @property
    def num_steps(self) -> int:
        """Optimizer steps in all."""
        return self.num_rounds * self.round_steps

    def stage_at(self, step: int) -> StageConfig:
        """The stage that a step, counted from 0, belongs to."""
        for stage in self.stages:
            if step < stage.steps:
                return stage
            step -= stage.steps
        return self.stages[-1]

    def images_before(self, step: int) -> int:
        """Images that the steps before ``step`` saw."""
        seen = 0
        for stage in self.stages[:-1]:
            seen += min(step, stage.steps) * stage.batch_size
            step -= min(step, stage.steps)
        return seen + step * self.stages[-1].batch_size
