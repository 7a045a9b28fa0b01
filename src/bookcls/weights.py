"""Which weights, from where, verified, with their provenance."""

import pickle
import warnings
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.error import URLError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models import VGG16_Weights, vgg16

from bookcls.errors import BookclsError
from bookcls.layers import CONV_INDEX

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""ImageNet's mean and standard deviation of RGB in [0, 1], which torchvision's weights expect."""


@dataclass(frozen=True)
class Provenance:
    """Where a network's first weights came from.

    Attributes:
        source: "scratch", "imagenet" or "file".
        name: A name for people.
        sha256: Hash of the file, or None from scratch.
    """

    source: str
    name: str
    sha256: str | None = None


SCRATCH = Provenance("scratch", "none (from scratch)")


def load_features(weights: str) -> tuple[dict[str, Tensor], Provenance]:
    """Loads the state dict of ``features`` without executing anything in the file.

    Args:
        weights: ``auto`` or ``imagenet`` for torchvision's, else the path of a ``.pth`` or
            ``.safetensors`` state dict of VGG16 or of its features.

    Returns:
        float32 tensors by name ("0.weight" ...), and where they are from.

    Raises:
        BookclsError: If they cannot be had, or are not VGG16's.
    """
    if weights in ("auto", "imagenet"):
        return _imagenet()
    path = Path(weights).expanduser()
    if not path.is_file():
        raise BookclsError(
            f"model.weights={weights}: there is no such file. Give auto, imagenet, or the path of "
            "a .pth or .safetensors state dict of VGG16."
        )
    state = _read(path)
    digest = sha256(path.read_bytes()).hexdigest()
    return _features(state, path), Provenance("file", path.name, digest)


def _imagenet() -> tuple[dict[str, Tensor], Provenance]:
    enum = VGG16_Weights.IMAGENET1K_V1
    cache = Path(torch.hub.get_dir()) / "checkpoints" / Path(enum.url).name
    try:
        state = enum.get_state_dict(progress=True, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        reason = getattr(error, "reason", error)
        raise BookclsError(
            f"ImageNet weights: {enum.url} could not be had ({reason}) and they are not in the "
            f"cache at {cache}. Connect once, or copy the file there, or give one with "
            "model.weights=PATH, or train from scratch with model.pretrained=false."
        ) from error
    digest = sha256(cache.read_bytes()).hexdigest() if cache.is_file() else None
    return _features(state, cache), Provenance("imagenet", f"torchvision {enum}", digest)


def _read(path: Path) -> dict[str, Tensor]:
    """Reads a state dict; refuses anything but tensors by name."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            # Of a pickle that is then refused by name.
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (
        SafetensorError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
        RuntimeError,
        ValueError,
        EOFError,
        KeyError,
        OSError,
    ) as error:
        first = str(error).strip().splitlines()
        raise BookclsError(
            f"{path} is not a state dict that can be loaded without running code "
            f"({first[0][:120] if first else type(error).__name__}). Save one with "
            "torch.save(model.state_dict(), PATH) or as .safetensors."
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise BookclsError(
            f"{path} holds a {type(state).__name__}, not a state dict of tensors by name."
        )
    return state


def _features(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Picks VGG16's convolutions out of a state dict and checks name and shape of each."""
    prefix = "features." if any(key.startswith("features.") for key in state) else ""
    found = {
        key.removeprefix(prefix): value
        for key, value in state.items()
        if key.startswith(prefix) and not key.startswith("classifier.")
    }
    with torch.device("meta"):
        expected = {k: v.shape for k, v in vgg16(weights=None).features.state_dict().items()}
    problems = [f"no {prefix}{key}" for key in expected if key not in found]
    problems += [f"an unknown {prefix}{key}" for key in found if key not in expected]
    problems += [
        f"{prefix}{key} of shape {tuple(found[key].shape)} instead of {tuple(shape)}"
        for key, shape in expected.items()
        if key in found and found[key].shape != shape
    ]
    if problems:
        rest = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise BookclsError(
            f"{path} does not hold VGG16's {len(CONV_INDEX)} convolutions: it has "
            f"{', '.join(problems[:3])}{rest}. Are these weights of another architecture?"
        )
    values = {key: value.float() for key, value in found.items()}
    if not all(bool(torch.isfinite(value).all()) for value in values.values()):
        raise BookclsError(f"{path} holds values that are not finite numbers.")
    return values
