"""Which weights, from where, verified, with their provenance."""

import hashlib
import json
import threading
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from pickle import UnpicklingError
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import torch
from torch import Tensor
from torchvision.models import VGG16_Weights

from bookcls.errors import BookclsError
from bookcls.state_dict import features_of, read_features

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""ImageNet's mean and standard deviation of RGB in [0, 1], which torchvision's weights expect."""

IMAGENET = VGG16_Weights.IMAGENET1K_V1
SHIPPED = Path(__file__).parent / "rendered" / "vgg16_rendered.safetensors"
CARD = SHIPPED.with_suffix(".json")
"""The weights that ship with the package, and what is to be known of them."""

ANSWER_SECONDS = 4.0
"""How long the server of the ImageNet weights may take to answer before the others are taken."""


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
            a ``.pth`` or ``.safetensors`` state dict of VGG16 or of its features.

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
    path = Path(weights).expanduser()
    if not path.is_file():
        raise BookclsError(
            f"model.weights={weights}: there is no such file. Give auto, imagenet, rendered, or "
            "the path of a .pth or .safetensors state dict of VGG16."
        )
    return read_features(path), Provenance("file", path.name, _digest(path))


def _auto() -> tuple[dict[str, Tensor], Provenance]:
    silent = "" if _imagenet_cache().is_file() else unanswered(IMAGENET.url)
    if not silent:
        return _imagenet()
    state, provenance = _rendered()
    warning = (
        f"ImageNet weights are neither cached nor to be had ({silent}); the weights that ship "
        "take their place, which have seen rendered scenes only."
    )
    return state, replace(provenance, warning=warning)


def _imagenet_cache() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(IMAGENET.url).name


def _imagenet() -> tuple[dict[str, Tensor], Provenance]:
    path = _imagenet_cache()
    try:
        state = IMAGENET.get_state_dict(progress=True, check_hash=True)
    except (URLError, OSError, RuntimeError, EOFError, UnpicklingError) as error:
        reason = str(getattr(error, "reason", error)).partition("\n")[0]
        state_of_cache = "is damaged: delete it" if path.is_file() else "is not there"
        raise BookclsError(
            f"ImageNet weights: {IMAGENET.url} could not be had ({reason}), and their place in the "
            f"cache, {path}, {state_of_cache}. Connect once, or copy the file there, or give one "
            "with model.weights=PATH, or use the weights that ship with model.weights=rendered."
        ) from error
    # torch checks what it downloads, but not what it finds.
    digest, wanted = _digest(path), path.stem.rpartition("-")[2]
    if not digest.startswith(wanted):
        raise BookclsError(
            f"{path} is damaged (its sha256 does not begin with {wanted}): delete it."
        )
    return features_of(state, path), Provenance("imagenet", f"torchvision {IMAGENET}", digest)


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
        except HTTPError as error:
            why[0] = f"the server answers {error.code}"
        except (OSError, ValueError) as error:
            why[0] = str(getattr(error, "reason", error))

    # A thread, since looking up a name knows no timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS + 1)
    return why[0]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
