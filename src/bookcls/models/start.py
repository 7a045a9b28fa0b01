"""The weights that training starts from, and their defaults for fine-tuning."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from bookcls.models.state_dict import read_features
from bookcls.models.weights import find_weights

DEFAULTS: dict[str, tuple[str | None, float]] = {
    "scratch": (None, 2e-4),
    # The 2018 study's best train points lie in block 4.
    "keras": ("block4_conv1", 1e-4),
    "imagenet": ("block4_conv1", 1e-4),
    "file": ("block4_conv1", 1e-4),
    # docs/pretraining.md has the measurements.
    "rendered": (None, 1e-4),
}
"""Defaults of ``freeze_to`` and the peak learning rate, by source of the weights."""
LINEAR_LR = {"rendered": 1e-5}
"""Default peak learning rate with a ``linear`` head, where it differs.

With the rendered weights, the features of real photos are all similar, so the weights of the probe
are large, and at 1e-4 the loss diverges.
"""


@dataclass(frozen=True)
class Start:
    """The weights that training starts from, chosen once per command.

    Attributes:
        source: "scratch", "keras", "imagenet", "rendered" or "file".
        name: Name to display.
        path: The file of the weights; None from scratch.
        sha256: Its hash.
        warning: A warning about the choice to show the user; empty for none.
        freeze_to: See :func:`bookcls.models.layers.first_trained`; never ``auto``.
        lr: Peak learning rate of fine-tuning.
    """

    source: str
    name: str
    path: str | None = None
    sha256: str | None = None
    warning: str = ""
    freeze_to: str | int | None = None
    lr: float = DEFAULTS["scratch"][1]

    def load(self) -> dict[str, Tensor] | None:
        """The weights of ``features``, float32 tensors by name; None from scratch.

        Raises:
            BookclsError: If the file is missing or has changed.
        """
        if self.path is None:
            return None
        return read_features(Path(self.path), sha256_prefix=self.sha256 or "").state

    def to_dict(self) -> dict[str, Any]:
        """Converts to a dict for environment.json: ``weights``, ``freeze_to`` and ``lr``."""
        weights = asdict(self)
        return {"freeze_to": weights.pop("freeze_to"), "lr": weights.pop("lr"), "weights": weights}


def start_from_dict(environment: Mapping[str, Any]) -> Start:
    """Restores what :meth:`Start.to_dict` returned."""
    rest = {name: environment[name] for name in ("freeze_to", "lr")}
    return Start(**environment["weights"], **rest)


def resolve(
    weights: str | None,
    freeze_to: str | int | None = "auto",
    lr: float | None = None,
    head: str = "gap256",
) -> Start:
    """Chooses the weights that training starts from.

    Args:
        weights: See :func:`bookcls.models.weights.find_weights`; None for random ones.
        freeze_to: A layer; ``auto`` for the default of the weights.
        lr: Peak learning rate; None for the default of the weights and the head.
        head: See :class:`bookcls.models.vgg16.VGG16`.

    Raises:
        BookclsError: If there are no such weights.
    """
    start = Start("scratch", "none (from scratch)")
    if weights is not None:
        found = find_weights(weights)
        start = Start(found.source, found.name, str(found.path), found.sha256, found.warning)
    default_freeze_to, default_lr = DEFAULTS[start.source]
    if head == "linear":
        default_lr = LINEAR_LR.get(start.source, default_lr)
    return replace(
        start,
        freeze_to=default_freeze_to if freeze_to == "auto" else freeze_to,
        lr=lr or default_lr,
    )
