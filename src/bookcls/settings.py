"""Dataclasses that mirror conf/: their fields are the keys of the YAML files.

A wrong type, an unknown key or a value out of range raises an error that names the setting, before
any slow import.
"""

import math
from dataclasses import dataclass, field

from bookcls.errors import BookclsError, check_choice
from bookcls.models.layers import HEADS, first_trained

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


def check_positive(name: str, value: float) -> None:
    """Checks that a setting is positive and finite."""
    if not value > 0:
        raise BookclsError(f"{name}={value}: must be above 0.")
    if not math.isfinite(value):
        raise BookclsError(f"{name}={value}: must be a finite number.")


def check_between(name: str, value: float, low: float, high: float) -> None:
    """Checks that a setting is in [low, high]."""
    if not low <= value <= high:
        raise BookclsError(f"{name}={value}: must be between {low:g} and {high:g}.")


@dataclass
class DataConfig:
    """conf/data: which photos, at what size, and how they are split."""

    root: str
    image_size: int
    fit: str
    val_fraction: float
    oversample: bool
    batch_size: int
    on_bad: str
    num_workers: int | None
    cache_mb: int
    cached_views: int

    def __post_init__(self) -> None:
        if not self.root.strip():
            raise BookclsError("data.root is empty: give the folder that contains train/.")
        if not 32 <= self.image_size <= 1024:
            raise BookclsError(
                f"data.image_size={self.image_size}: must be 32 to 1024 pixels; VGG16 halves the "
                "side five times."
            )
        check_choice("data.fit", self.fit, ("letterbox", "squash"))
        if not 0 <= self.val_fraction < 1:
            raise BookclsError(
                f"data.val_fraction={self.val_fraction}: must be at least 0 (train on every photo) "
                "and below 1."
            )
        check_positive("data.batch_size", self.batch_size)
        check_choice("data.on_bad", self.on_bad, ("error", "skip"))
        if self.num_workers is not None:
            check_between("data.num_workers", self.num_workers, 0, 64)
        check_between("data.cache_mb", self.cache_mb, 0, 1e9)
        check_between("data.cached_views", self.cached_views, 0, 1000)


@dataclass
class ModelConfig:
    """conf/model: VGG16, its weights, what is frozen, and the head."""

    pretrained: bool
    weights: str
    freeze_to: str | int | None
    head: str
    dropout: float
    activation: str
    init_seed: int | None
    fallback: str | None = None

    def __post_init__(self) -> None:
        if self.freeze_to != "auto":
            first_trained(self.freeze_to)
        check_choice("model.head", self.head, HEADS)
        check_choice("model.activation", self.activation, ("softmax", "sigmoid"))
        if self.init_seed is not None:
            check_between("model.init_seed", self.init_seed, 0, 2**32 - 1)
        check_between("model.dropout", self.dropout, 0, 0.95)


@dataclass
class AugConfig:
    """conf/aug: strengths of the augmentations; zero disables one."""

    hflip: float
    vflip: float
    rotate: float
    zoom: float
    erase: float
    colour: float
    mixup_alpha: float
    scenes: float
    scene_unknown: float

    def __post_init__(self) -> None:
        for name in ("hflip", "vflip", "erase", "colour", "scenes", "scene_unknown"):
            check_between(f"aug.{name}", getattr(self, name), 0, 1)
        check_between("aug.rotate", self.rotate, 0, 180)
        check_between("aug.zoom", self.zoom, 0, 0.9)
        check_between("aug.mixup_alpha", self.mixup_alpha, 0, 100)


@dataclass
class OptimConfig:
    """conf/optim: the stages of training and their learning rates."""

    probe_epochs: int
    probe_lr: float
    epochs: int
    images_seen: int | None
    lr: float | None
    layer_decay: float
    warmup_images: int
    weight_decay: float
    label_smoothing: float
    clip_norm: float | None
    ema: float | None
    patience: int | None

    def __post_init__(self) -> None:
        for name in ("probe_lr", "layer_decay"):
            check_positive(f"optim.{name}", getattr(self, name))
        for name in ("lr", "images_seen", "clip_norm", "patience"):
            if getattr(self, name) is not None:
                check_positive(f"optim.{name}", getattr(self, name))
        for name in ("probe_epochs", "epochs", "warmup_images", "weight_decay"):
            check_between(f"optim.{name}", getattr(self, name), 0, 1e9)
        check_between("optim.label_smoothing", self.label_smoothing, 0, 0.9)
        if self.ema is not None:
            check_between("optim.ema", self.ema, 0, 0.99999)


@dataclass
class TrainerConfig:
    """conf/trainer: device, precision and limits of Lightning's trainer."""

    accelerator: str
    devices: int
    num_nodes: int
    strategy: str
    precision: str
    limit_train_batches: int | float | None
    limit_val_batches: int | float | None
    max_epochs: int | None

    def __post_init__(self) -> None:
        check_choice("trainer.accelerator", self.accelerator, ACCELERATORS)
        check_choice("trainer.precision", self.precision, PRECISIONS)
        check_choice("trainer.strategy", self.strategy, ("auto", "ddp"))
        if self.devices < -1 or self.devices == 0:
            raise BookclsError(f"trainer.devices={self.devices}: a number, or -1 for all.")
        check_positive("trainer.num_nodes", self.num_nodes)
        for name in ("max_epochs", "limit_train_batches", "limit_val_batches"):
            if getattr(self, name) is not None:
                check_positive(f"trainer.{name}", getattr(self, name))

    @property
    def is_distributed(self) -> bool:
        """Whether there may be more than one process."""
        return self.devices != 1 or self.num_nodes > 1


@dataclass
class LoggerConfig:
    """conf/logger: the logger of losses and accuracy, in addition to csv."""

    kind: str = "csv"
    tracking_uri: str = "sqlite:///runs/mlflow.db"

    def __post_init__(self) -> None:
        check_choice("logger.kind", self.kind, ("csv", "tensorboard", "mlflow"))


@dataclass
class TrainConfig:
    """conf/train.yaml."""

    data: DataConfig
    model: ModelConfig
    aug: AugConfig
    optim: OptimConfig
    trainer: TrainerConfig
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    seed: int = 0
    ensemble: int = 1
    resume: str | None = None

    def __post_init__(self) -> None:
        check_between("seed", self.seed, 0, 2**32 - 1)
        check_between("ensemble", self.ensemble, 1, 100)


@dataclass
class EvaluateData:
    """The photos to test on; None for the photos of the run."""

    root: str | None = None
    batch_size: int | None = None

    def __post_init__(self) -> None:
        if self.batch_size is not None:
            check_positive("data.batch_size", self.batch_size)


@dataclass
class EvaluateTrainer:
    """The device to test on."""

    accelerator: str = "auto"

    def __post_init__(self) -> None:
        check_choice("trainer.accelerator", self.accelerator, ACCELERATORS)


def check_rotations(rotations: int) -> None:
    """Checks that the number of rotations is 1, 2 or 4."""
    if rotations not in (1, 2, 4):
        raise BookclsError(
            f"rotations={rotations}: choose 1, 2 (also upside down) or 4 (quarter turns)."
        )


@dataclass
class EvaluateConfig:
    """conf/evaluate.yaml."""

    ckpt: str
    rotations: int = 1
    data: EvaluateData = field(default_factory=EvaluateData)
    trainer: EvaluateTrainer = field(default_factory=EvaluateTrainer)

    def __post_init__(self) -> None:
        check_rotations(self.rotations)
