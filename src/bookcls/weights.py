"""Which weights, from where, verified, with their provenance."""

import hashlib
import json
import socket
import threading
from dataclasses import dataclass, replace
from functools import cache
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import torch
from torch import Tensor
from torchvision.models import VGG16_Weights

from bookcls.config import expand_home
from bookcls.errors import BookclsError
from bookcls.state_dict import read_features

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""ImageNet's mean and standard deviation of RGB in [0, 1], which torchvision's weights expect."""

IMAGENET = VGG16_Weights.IMAGENET1K_V1
SHIPPED = Path(__file__).parent / "rendered" / "vgg16_rendered.safetensors"
CARD = SHIPPED.with_suffix(".json")
"""The weights that ship with the package, and what is to be known of them."""

ANSWER_SECONDS = 4.0
"""How long the server of the ImageNet weights may take to answer before the others are taken."""
STALL_SECONDS = 60.0
"""How long a download may bring nothing before it is given up."""


@dataclass(frozen=True)
class Provenance:
    """Where a network's first weights came from.

    Attributes:
        source: "scratch", "imagenet", "rendered" or "file".
        name: A name for people.
        sha256: Hash of the file, or None from scratch.
        warning: What a person should know about the choice; empty for nothing.
    """

    source: str
    name: str
    sha256: str | None = None
    warning: str = ""


SCRATCH = Provenance("scratch", "none (from scratch)")


@dataclass(frozen=True)
class Tuning:
    """How weights want to be fine-tuned, where a person does not say.

    Attributes:
        freeze_to: See :func:`bookcls.layers.first_trained`.
        lr: Peak learning rate.
    """

    freeze_to: str | None
    lr: float


TUNING = {
    "scratch": Tuning(None, 2e-4),
    # The 2018 study's best train points lie in block 4.
    "imagenet": Tuning("block4_conv1", 1e-4),
    "file": Tuning("block4_conv1", 1e-4),
    # docs/pretraining.md has the measurements.
    "rendered": Tuning(None, 1e-4),
}
"""By a provenance's source."""


def load_features(weights: str) -> tuple[dict[str, Tensor], Provenance]:
    """Loads the state dict of ``features`` without executing anything in the file.

    Args:
        weights: ``imagenet`` for torchvision's, ``rendered`` for those that ship, ``auto`` for
            the first where they are cached or can be fetched and else the second; or the path of
            a ``.pth`` or ``.safetensors`` state dict of VGG16 or of its features. What is cached
            but damaged is an error, also for ``auto``.

    Returns:
        float32 tensors by name ("0.weight" ...), and where they are from.

    Raises:
        BookclsError: If they cannot be had, or are not VGG16's.
    """
    if weights == "auto":
        return _auto()
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
            f"model.weights={weights}: {why}. Give auto, imagenet, rendered, or "
            "the path of a .pth or .safetensors state dict of VGG16."
        )
    return read_features(path), Provenance("file", path.name, _digest(path))


def _auto() -> tuple[dict[str, Tensor], Provenance]:
    path = _imagenet_cache()
    why = "" if path.is_file() else unanswered(IMAGENET.url) or undelivered(IMAGENET.url, path)
    if not why:
        return _imagenet()
    state, provenance = _rendered()
    warning = (
        f"ImageNet weights are neither cached nor to be had ({why}); the weights that ship "
        "take their place, which have seen rendered scenes only."
    )
    return state, replace(provenance, warning=warning)


def _imagenet_cache() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(IMAGENET.url).name


def _imagenet() -> tuple[dict[str, Tensor], Provenance]:
    path = _imagenet_cache()
    why = "" if path.is_file() else undelivered(IMAGENET.url, path)
    if why:
        raise BookclsError(
            f"ImageNet weights: {IMAGENET.url} could not be had ({why}), and their place in the "
            f"cache, {path}, is empty. Connect once, or copy the file there, or give one "
            "with model.weights=PATH, or use the weights that ship with model.weights=rendered."
        )
    try:
        digest = _digest(path)
    except OSError as error:
        raise BookclsError(f"{path}, ImageNet weights, cannot be read ({error}).") from error
    # What is found there may be anything.
    wanted = _hash_prefix(path)
    if not digest.startswith(wanted):
        raise BookclsError(
            f"{path} is damaged (its sha256 does not begin with {wanted}): delete it."
        )
    return read_features(path), Provenance("imagenet", f"torchvision {IMAGENET}", digest)


def _rendered() -> tuple[dict[str, Tensor], Provenance]:
    try:
        expected = json.loads(CARD.read_text(encoding="utf-8"))["sha256"]
        digest = _digest(SHIPPED)
    except (OSError, ValueError, KeyError) as error:
        raise BookclsError(
            f"model.weights=rendered: the weights that ship, {SHIPPED}, or their card cannot be "
            f"read ({error}). Install bookcls again."
        ) from error
    if digest != expected:
        raise BookclsError(
            f"{SHIPPED} is not the file that shipped: its sha256 is {digest}, its card says "
            f"{expected}. Install bookcls again."
        )
    name = "rendered scenes (ships with bookcls; no natural images)"
    return read_features(SHIPPED), Provenance("rendered", name, digest)


@cache
def unanswered(url: str) -> str:
    """Asks a server for nothing but its answer; asked once per process.

    Returns:
        Why there was none within ``ANSWER_SECONDS``; empty if there was one.
    """
    why = [f"no answer within {ANSWER_SECONDS:g} s"]

    def ask() -> None:
        try:
            with urlopen(Request(url, method="HEAD"), timeout=ANSWER_SECONDS):
                why[0] = ""
        except (OSError, HTTPException, ValueError) as error:
            why[0] = _said(error)

    # A thread, since looking up a name knows no timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS + 1)
    return why[0]


@cache
def undelivered(url: str, path: Path) -> str:
    """Downloads a file whole or not at all, however long it takes while something comes.

    Tried once per process, so that all cells of a sweep get the same weights.

    Args:
        url: Where from.
        path: Where to; its name ends in the first digits of its sha256, as torch's do.

    Returns:
        Why it did not come; empty if it did.
    """
    print(f"weights  downloading {url} into {path}", flush=True)
    wanted, before = _hash_prefix(path), socket.getdefaulttimeout()
    # torch.hub sets none of its own; this one is for each read, not for the whole.
    socket.setdefaulttimeout(STALL_SECONDS)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=wanted)
    except RuntimeError:
        return f"what came is another file: its sha256 does not begin with {wanted}"
    except (OSError, HTTPException, ValueError) as error:
        return _said(error)
    finally:
        socket.setdefaulttimeout(before)
    return ""


def _said(error: Exception) -> str:
    """What a failed request says, in one line."""
    if isinstance(error, HTTPError):
        return f"the server answers {error.code}"
    said = str(getattr(error, "reason", error)).strip().partition("\n")[0][:120]
    if isinstance(error, HTTPException):
        return f"the answer is garbled: {said or type(error).__name__}"
    return said or type(error).__name__


def _hash_prefix(path: Path) -> str:
    return path.stem.rpartition("-")[2]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
