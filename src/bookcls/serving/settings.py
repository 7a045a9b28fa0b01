"""conf/serve.yaml as typed values. Does not import torch, so that errors come early."""

import re
from dataclasses import dataclass, field
from typing import Any

from bookcls.errors import BookclsError
from bookcls.predicting.settings import PredictConfig
from bookcls.settings import EvaluateTrainer, check_between, check_positive


@dataclass
class ServeData:
    """The photos to show next to predictions; None means those of the run."""

    root: str | None = None


@dataclass
class ServeConfig:
    """conf/serve.yaml as a whole."""

    ckpt: str | None = None
    host: str = "127.0.0.1"
    port: int = 7860
    hosts: list[str] = field(default_factory=list)
    unsure: Any = 0.5
    rotations: int = 1
    max_mb: float = 30
    max_waiting: int = 8
    timeout: float = 30
    data: ServeData = field(default_factory=ServeData)
    trainer: EvaluateTrainer = field(default_factory=EvaluateTrainer)

    def __post_init__(self) -> None:
        check_between("port", self.port, 0, 65535)
        PredictConfig("", rotations=self.rotations)  # only for its check
        for name in ("max_mb", "max_waiting", "timeout"):
            check_positive(name, getattr(self, name))
        for name in self.hosts:
            if not re.fullmatch(r"[\w.:-]+", name, re.ASCII) or name.count(":") == 1:
                raise BookclsError(
                    f"hosts: {name} is not a name; give names as in an address bar, without "
                    "http:// and port: hosts=[desk.local,192.168.1.5]."
                )

    @property
    def max_bytes(self) -> int:
        """Maximum size of a request."""
        return int(self.max_mb * 1e6)
