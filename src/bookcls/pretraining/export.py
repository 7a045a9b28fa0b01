"""From trained weights to the file that ships: BatchNorm folded away, int8, hashes and a card."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import vgg16

from bookcls.errors import BookclsError
from bookcls.models.state_dict import quantise
from bookcls.pretraining.settings import WEIGHTS
from bookcls.storage.files import atomic_write, write_json

FORMAT = "bookcls.models.vgg16-features.2"
GOOD_FOR = (
    "Starting VGG16 on few photos of books and other flat, printed things where ImageNet's weights "
    "cannot be had or their licence is unwelcome; fine-tune most layers."
)
BAD_FOR = (
    "Natural objects, people, animals and scenes, of which it has seen none; use as fixed features "
    "without fine-tuning; any claim about ImageNet classes."
)


def fold_batchnorm(features: nn.Sequential) -> dict[str, Tensor]:
    """Folds each BatchNorm into the convolution before it.

    Args:
        features: torchvision's ``vgg16_bn().features``.

    Returns:
        float32 tensors on the CPU, named and shaped as torchvision's ``vgg16().features`` state
        dict: "0.weight", "0.bias" ... "28.bias". In evaluation mode both give the same outputs.

    Raises:
        ValueError: If a convolution has no BatchNorm after it.
    """
    with torch.device("meta"):
        plain = vgg16(weights=None).features
    slots = [index for index, module in enumerate(plain) if isinstance(module, nn.Conv2d)]
    layers = list(features)
    state: dict[str, Tensor] = {}
    places = (index for index, module in enumerate(layers) if isinstance(module, nn.Conv2d))
    for slot, index in zip(slots, places, strict=True):
        conv, norm = layers[index], layers[index + 1]
        if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
            raise ValueError(f"features[{index}] is not a convolution before a BatchNorm")
        was_training = conv.training, norm.training
        fused = fuse_conv_bn_eval(conv.eval(), norm.eval())
        conv.train(was_training[0])
        norm.train(was_training[1])
        assert fused.bias is not None
        for name, value in (("weight", fused.weight), ("bias", fused.bias)):
            state[f"{slot}.{name}"] = value.detach().float().cpu().contiguous().clone()
    return state


def tensors_hash(state: Mapping[str, Tensor]) -> str:
    """sha256 over names, shapes, types and bytes, in order of the names."""
    digest = sha256()
    for name in sorted(state):
        value = state[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def write_weights(path: Path, features: nn.Sequential, about: Mapping[str, str]) -> str:
    """Writes the folded weights as int8 with a scale per output channel, atomically.

    ``load_file(path)`` restores them: weight = int8 * scale; see ``models.state_dict``.

    Args:
        path: A ``.safetensors`` file.
        features: torchvision's ``vgg16_bn().features``.
        about: Further metadata for the file's header.

    Returns:
        The file's sha256.

    Raises:
        BookclsError: If a value is not finite.
    """
    folded = fold_batchnorm(features)
    if not all(bool(torch.isfinite(value).all()) for value in folded.values()):
        raise BookclsError(
            "the folded weights are not finite: training diverged. Train again with a lower lr."
        )
    state = quantise(folded)
    metadata = {"format": FORMAT, "tensors_sha256": tensors_hash(state), **about}
    content = _in_order(save(state, metadata))
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return sha256(content).hexdigest()


def _in_order(content: bytes) -> bytes:
    """A safetensors file with its metadata sorted, so that equal weights make equal files."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def write_card(path: Path, facts: Mapping[str, Any]) -> None:
    """Writes the model card of the weights.

    Args:
        path: A ``.json`` file.
        facts: Data, recipe, cost and hashes of this run.
    """
    card = {
        "name": "VGG16 features pretrained on rendered book scenes",
        "file": WEIGHTS,
        "format": FORMAT,
        "licence": "MIT",
        "natural_images": 0,
        "good_for": GOOD_FOR,
        "bad_for": BAD_FOR,
        "sources": [
            "Anderson & Farrell, Improving Fractal Pre-training, WACV 2022",
            "Baradad et al., Learning to See by Looking at Noise, NeurIPS 2021",
            "Dwibedi et al., Cut, Paste and Learn, ICCV 2017",
        ],
    }
    write_json(path, {**card, **facts})
