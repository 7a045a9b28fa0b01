"""Checks the hyperparameters in a checkpoint, which may come from anywhere."""

import math
from collections.abc import Collection, Mapping
from typing import Any

from bookcls.models.layers import HEADS


def check_hparams(hparams: Mapping[str, Any], known: Collection[str]) -> None:
    """Rejects names and values of hyperparameters that training never writes.

    Args:
        hparams: The hyperparameters of a checkpoint.
        known: The names that a classifier accepts.

    Raises:
        ValueError: If a name is unknown, such as ``_instantiator``, or a value is invalid.
        LookupError: If a hyperparameter is missing. A value of another type can also raise the
            other errors of :data:`bookcls.models.state_dict.UNREADABLE`.
    """
    unknown = {str(name) for name in hparams} - set(known)
    if unknown:
        raise ValueError(f"unknown hyperparameters: {', '.join(sorted(unknown))}")
    names, size = hparams["class_names"], hparams["image_size"]
    valid = {
        "class_names": isinstance(names, list)
        and all(isinstance(name, str) for name in names)
        and len(set(names)) == len(names) > 1,
        "image_size": type(size) is int and 32 <= size <= 1024,
        "fit": hparams["fit"] in ("letterbox", "squash"),
        "head": hparams["head"] in HEADS,
        "mean": len(hparams["mean"]) == 3 and all(math.isfinite(v) for v in hparams["mean"]),
        "std": len(hparams["std"]) == 3 and all(0 < v < math.inf for v in hparams["std"]),
        "weights": isinstance(hparams["weights"], str),
        "activation": hparams.get("activation", "softmax") in ("softmax", "sigmoid"),
    }
    for name, is_valid in valid.items():
        if not is_valid:
            raise ValueError(f"{name} is {str(hparams[name])[:60]}")
