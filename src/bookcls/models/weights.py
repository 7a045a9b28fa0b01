"""Finds, downloads and verifies pretrained weights."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torchvision.models import VGG16_Weights

from bookcls.config import expand_home
from bookcls.errors import BookclsError
from bookcls.models import download, keras
from bookcls.models.state_dict import read_features

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""ImageNet's mean and standard deviation of RGB in [0, 1], which torchvision's weights expect."""

IMAGENET = VGG16_Weights.IMAGENET1K_V1
SHIPPED = Path(__file__).parent / "rendered" / "vgg16_rendered.safetensors"
CARD = SHIPPED.with_suffix(".json")
"""The weights that ship with the package, and their model card."""


@dataclass(frozen=True)
class Weights:
    """Pretrained weights of VGG16's ``features``.

    Attributes:
        source: ``keras``, ``imagenet``, ``rendered`` or ``file``.
        name: Name to display.
        path: Their file.
        sha256: Its hash.
        state: float32 tensors by name, "0.weight" to "28.bias"; shared, so do not change them.
        warning: A warning about the choice to show the user; empty for none.
    """

    source: str
    name: str
    path: Path
    sha256: str
    state: dict[str, Tensor]
    warning: str = ""


def find_weights(weights: str) -> Weights:
    """Finds weights, downloads them if necessary, and reads them without running code in the file.

    Args:
        weights: ``keras`` for those of the 2014 paper, ``imagenet`` for torchvision's,
            ``rendered`` for those that ship, ``auto`` for whichever of the first two is cached,
            else ``keras`` if a server answers quickly, else ``rendered``; or the path of a
            ``.pth`` or ``.safetensors`` state dict of VGG16 or of its features. A damaged file in
            the cache is an error, also for ``auto``.

    Raises:
        BookclsError: If they are missing, or are not VGG16's.
    """
    if weights == "auto":
        return _auto()
    if weights == "keras":
        return _keras()
    if weights == "imagenet":
        return _imagenet()
    if weights == "rendered":
        return _rendered()
    path, why = expand_home("model.weights", weights), "there is no such file"
    try:
        found = path.is_file()
    except OSError as error:
        found, why = False, str(error).rstrip(".")
    if not found:
        raise BookclsError(
            f"model.weights={weights}: {why}. Give auto, keras, imagenet, rendered, "
            "or the path of a .pth or .safetensors state dict of VGG16."
        )
    file = read_features(path)
    return Weights("file", path.name, path, file.sha256, file.state)


def _auto() -> Weights:
    if keras.find_cached() is None and _imagenet_cache().is_file():
        return _imagenet()
    why = "" if keras.find_cached() else keras.fetch(quick=True)
    if not why:
        return _keras()
    return _rendered(
        f"ImageNet weights are not cached and could not be downloaded ({why}), so training starts "
        "from the weights that ship, which have seen rendered scenes only."
    )


def _keras() -> Weights:
    why = "" if keras.find_cached() else keras.fetch()
    path = keras.find_cached()
    if path is None:
        raise BookclsError(
            f"model.weights=keras: {' and '.join(keras.URLS)} could not be downloaded ({why}), and "
            f"no copy is cached. Connect once, or copy {keras.FILE} into {keras.cache_dir()}, "
            "or use the weights that ship with model.weights=rendered."
        )
    file = read_features(path, sha256_prefix=_sha256_prefix(path))
    return Weights("keras", "ImageNet (Keras, 2014 paper)", path, file.sha256, file.state)


def _imagenet_cache() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(IMAGENET.url).name


def _sha256_prefix(path: Path) -> str:
    """Names in torch's cache end in the first digits of the file's sha256."""
    return path.stem.rpartition("-")[2]


def _download_imagenet() -> str:
    path = _imagenet_cache()
    return download.download(IMAGENET.url, path, f"sha256:{_sha256_prefix(path)}")


def _imagenet() -> Weights:
    path = _imagenet_cache()
    why = "" if path.is_file() else _download_imagenet()
    if why:
        raise BookclsError(
            f"ImageNet weights: {IMAGENET.url} could not be downloaded ({why}), and {path}, where "
            "they are cached, does not exist. Connect once, or copy the file there, or give one "
            "with model.weights=PATH, or use the weights that ship with model.weights=rendered."
        )
    file = read_features(path, sha256_prefix=_sha256_prefix(path))
    return Weights("imagenet", f"torchvision {IMAGENET}", path, file.sha256, file.state)


def _rendered(warning: str = "") -> Weights:
    try:
        expected = json.loads(CARD.read_text(encoding="utf-8"))["sha256"]
        file = read_features(SHIPPED, sha256_prefix=expected)
    except (OSError, ValueError, KeyError, BookclsError) as error:
        raise BookclsError(
            f"model.weights=rendered: the weights that ship, or their card, are damaged ({error}). "
            "Install bookcls again."
        ) from error
    name = "rendered scenes (ships with bookcls; no natural images)"
    return Weights("rendered", name, SHIPPED, file.sha256, file.state, warning)
