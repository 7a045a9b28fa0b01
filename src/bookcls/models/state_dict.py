"""Reads files of VGG16 weights without running code in them, and checks each tensor."""

import hashlib
import pickle
import struct
import warnings
import zipfile
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor
from torchvision.models import vgg16

from bookcls.errors import BookclsError
from bookcls.models.layers import CONV_INDEX

SCALE = "_scale"
"""``<name>_scale`` beside an int8 tensor: float32, one value per output channel."""

UNREADABLE = (
    SafetensorError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    LookupError,
    EOFError,
    OSError,
)
"""What reading a damaged or foreign file raises; torch checks little of a pickle's structure."""


class FeaturesFile(NamedTuple):
    """A file of VGG16's convolutions.

    Attributes:
        sha256: Hash of its bytes.
        state: float32 tensors by name, "0.weight" to "28.bias".
    """

    sha256: str
    state: dict[str, Tensor]


def read_features(path: Path, *, sha256_prefix: str = "") -> FeaturesFile:
    """Reads the tensors of VGG16's ``features``: a file is read and hashed once per process.

    Args:
        path: A ``.pth`` or ``.safetensors`` state dict of VGG16 or of its features, in floating
            point or as int8 with scales.
        sha256_prefix: First digits of the expected hash; other files are not parsed.

    Raises:
        BookclsError: If the file is damaged, contains code, or is not VGG16's.
    """
    try:
        status = path.stat()
        return _read_features(path, sha256_prefix, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise BookclsError(f"{path} cannot be read ({error}).") from error


@cache
def _read_features(path: Path, sha256_prefix: str, *_: int) -> FeaturesFile:
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    if not sha256.startswith(sha256_prefix):
        raise BookclsError(
            f"{path} is damaged (its sha256 does not begin with {sha256_prefix}): delete it."
        )
    return FeaturesFile(sha256, extract_features(read_state(content, path), path))


def load_plain(file: Path | BytesIO) -> Any:  # noqa: ANN401
    """Tensors and plain values of a file that torch has saved, on the CPU; nothing in it is run.

    Raises:
        UNREADABLE: Any of these, if it is damaged or holds anything else.
    """
    with warnings.catch_warnings():
        # Of a pickle that is then refused by name.
        warnings.simplefilter("ignore")
        return torch.load(file, map_location="cpu", weights_only=True)


def read_state(content: bytes, path: Path) -> dict[str, Tensor]:
    """Reads a state dict from a file's bytes; refuses anything but tensors by name.

    Raises:
        BookclsError: If the file is damaged, or holds anything else.
    """
    try:
        if path.suffix == ".safetensors":
            return load_safetensors(content)
        state = load_plain(BytesIO(content))
    except UNREADABLE as error:
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


def expected_shapes() -> dict[str, torch.Size]:
    """Shapes of VGG16's ``features`` by name, "0.weight" to "28.bias"."""
    with torch.device("meta"):
        return {k: v.shape for k, v in vgg16(weights=None).features.state_dict().items()}


def extract_features(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Picks VGG16's convolutions out of a state dict and checks name, type and shape of each.

    Raises:
        BookclsError: If they are not VGG16's, or not finite floating point numbers.
    """
    prefix = "features." if any(key.startswith("features.") for key in state) else ""
    found = {
        key.removeprefix(prefix): value
        for key, value in state.items()
        if key.startswith(prefix) and not key.startswith("classifier.")
    }
    found = dequantise(found)
    expected = expected_shapes()
    odd = [
        f"{prefix}{key} of {str(found[key].dtype).removeprefix('torch.')}"
        for key in expected
        if key in found and not found[key].is_floating_point()
    ]
    if odd:
        rest = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
        raise BookclsError(
            f"{path} holds {', '.join(odd[:3])}{rest}. Weights are floating point, or int8 with a "
            f"floating point NAME{SCALE} beside them that has one value per output channel."
        )
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


def quantise(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Converts weights to int8, in steps of 1/127 of their channel's maximum; biases stay float32.

    Args:
        state: float32 tensors; those with more than one dimension are quantised.

    Returns:
        The tensors, and a float32 ``<name>_scale`` of shape (out channels,) for each int8 one.
    """
    small: dict[str, Tensor] = {}
    for name, value in state.items():
        if value.ndim < 2:
            small[name] = value.float()
            continue
        largest = value.float().flatten(1).abs().amax(dim=1)
        # A channel of zeros stays zero.
        scale = torch.where(largest > 0, largest / 127, torch.ones_like(largest))
        small[name] = (
            (value.float() / scale.view(-1, *[1] * (value.ndim - 1))).round().to(torch.int8)
        )
        small[name + SCALE] = scale
    return small


def dequantise(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Undoes :func:`quantise`; other tensors, and scales that do not match, are kept."""
    large = dict(state)
    for name, value in state.items():
        scale = state.get(name + SCALE)
        if value.dtype != torch.int8 or scale is None or not scale.is_floating_point():
            continue
        if value.ndim and scale.shape == value.shape[:1]:
            del large[name + SCALE]
            large[name] = value.float() * scale.float().view(-1, *[1] * (value.ndim - 1))
    return large
