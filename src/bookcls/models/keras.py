"""The 2014 paper's VGG16 as Keras distributes it: downloaded, rewritten for RGB, cached.

The weights are by Karen Simonyan and Andrew Zisserman (arXiv 1409.1556), CC BY 4.0; the 2018 study
used this file.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from safetensors.torch import save
from torch import Tensor
from torchvision.models import VGG16_Weights

from bookcls.errors import BookclsError
from bookcls.models import download
from bookcls.models.layers import CONV_INDEX
from bookcls.models.state_dict import UNREADABLE, expected_shapes, extract_features

FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
MD5 = "6d6bbae143d832006294945121d1f1fc"
URLS = (
    f"https://storage.googleapis.com/tensorflow/keras-applications/vgg16/{FILE}",
    f"https://github.com/fchollet/deep-learning-models/releases/download/v0.1/{FILE}",
)
"""Its URLs, in the order in which they are tried."""

CAFFE_MEAN = (123.68, 116.779, 103.939)
"""The mean colour, RGB in 0..255, that the original subtracts from its input."""

STEM = "vgg16_keras"
DIGITS = 16
ABOUT = {"about": "VGG16 of Simonyan & Zisserman 2014 (CC BY 4.0), rewritten for torchvision's RGB"}


def cache_dir() -> Path:
    """Folder in which the rewritten weights are cached."""
    return Path(torch.hub.get_dir()) / "checkpoints" / "bookcls"


def find_cached() -> Path | None:
    """Finds the cached file, if any; its name ends in the first digits of its sha256."""
    found = sorted(cache_dir().glob(f"{STEM}-{'?' * DIGITS}.safetensors"))
    return found[0] if found else None


def fetch(*, quick: bool = False) -> str:
    """Downloads Keras's file, rewrites it and caches the result; several processes may do so.

    If there is a copy of Keras's file in :func:`cache_dir`, it is used instead, and kept.

    Args:
        quick: Whether to give up where no server answers within some seconds.

    Returns:
        Why it failed; empty if it did not.

    Raises:
        BookclsError: If that copy is another file, or does not hold VGG16's convolutions.
    """
    path = cache_dir() / FILE
    given = path.is_file()
    why = "" if given else _download(path, quick)
    if why:
        return why
    try:
        _store(read_h5(path))
        if not given:
            path.unlink()
    except OSError as error:
        # Another process has stored the same weights, and has deleted what both downloaded.
        return "" if find_cached() else download.describe_error(error)
    return ""


def _download(path: Path, quick: bool) -> str:
    whys = [""] * len(URLS)
    if quick:
        with ThreadPoolExecutor() as pool:
            whys = list(pool.map(download.check_url, URLS))
    for number, url in enumerate(URLS):
        whys[number] = whys[number] or download.download(url, path, f"md5:{MD5}")
        if not whys[number]:
            return ""
    if len(set(whys)) == 1:
        return whys[0]
    hosts = (urlsplit(url).netloc for url in URLS)
    return "; ".join(f"{host}: {why}" for host, why in zip(hosts, whys, strict=True))


def _store(state: dict[str, Tensor]) -> None:
    content = save(state, ABOUT)
    digits = hashlib.sha256(content).hexdigest()[:DIGITS]
    with download.partial_file(cache_dir() / f"{STEM}-{digits}.safetensors") as part:
        part.write_bytes(content)


def read_h5(path: Path) -> dict[str, Tensor]:
    """Reads Keras's file and rewrites it for RGB; loads only arrays and executes nothing.

    Returns:
        float32 tensors by torchvision's name, "0.weight" to "28.bias".

    Raises:
        BookclsError: If it is another file, or does not hold VGG16's convolutions.
        OSError: If it cannot be read.
    """
    import h5py  # takes a moment, and only a new file needs it

    content = path.read_bytes()
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 != MD5:
        raise BookclsError(f"{path} is another file or damaged (md5 {md5}, not {MD5}): delete it.")
    state: dict[str, Tensor] = {}
    try:
        with h5py.File(BytesIO(content), "r") as file:
            for layer, index in CONV_INDEX.items():
                kernel, bias = _convolution(file, layer, f"{index}.weight", path)
                state[f"{index}.weight"], state[f"{index}.bias"] = kernel, bias
    except UNREADABLE as error:
        said = str(error).strip().partition("\n")[0][:120]
        raise BookclsError(f"{path} is not a readable HDF5 file ({said}): delete it.") from error
    state["0.weight"], state["0.bias"] = to_rgb(state["0.weight"], state["0.bias"])
    return extract_features(state, path)


def _convolution(file: Any, layer: str, name: str, path: Path) -> tuple[Tensor, Tensor]:  # noqa: ANN401
    """A layer's kernel (out, in, height, width) and bias (out,).

    They are identified by shape, since their names differ among versions of Keras.
    """
    import h5py

    members = _members(file, layer)
    out, into, height, width = expected_shapes()[name]
    arrays = {}
    for shape in ((height, width, into, out), (out,)):
        found = [m for m in members if isinstance(m, h5py.Dataset) and m.shape == shape]
        # Keras does not write external, virtual or filtered (plug-in) datasets.
        if len(found) != 1 or (
            found[0].dtype != "float32"
            or found[0].external
            or found[0].is_virtual
            or found[0].id.get_create_plist().get_nfilters()
        ):
            raise BookclsError(
                f"{path} does not hold VGG16's convolutions: {layer} needs one plain float32 array "
                f"of shape {shape}."
            )
        arrays[len(shape)] = torch.from_numpy(found[0][()])
    return arrays[4].permute(3, 2, 0, 1).contiguous(), arrays[1]


def _members(file: Any, layer: str) -> list[Any]:  # noqa: ANN401
    """Members of a group; links elsewhere are not followed."""
    import h5py

    def own(group: Any, name: str) -> bool:  # noqa: ANN401
        return isinstance(group.get(name, getlink=True), h5py.HardLink)

    if layer not in file or not own(file, layer) or not isinstance(file[layer], h5py.Group):
        return []
    return [file[layer][name] for name in file[layer] if own(file[layer], name)]


def to_rgb(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Rewrites a first convolution for RGB with torchvision's mean and standard deviation.

    It was made for BGR in 0..255 less ``CAFFE_MEAN`` and gives the same output, but for the border:
    padding is zero, thus the mean colour, and the two mean colours differ by up to half a level of
    255.

    Args:
        weight: float32, (out, 3 for BGR, height, width).
        bias: float32, (out,).

    Returns:
        Both for RGB, float32 of the same shapes.
    """
    preset = VGG16_Weights.IMAGENET1K_V1.transforms()
    mean, std = (255 * torch.tensor(v, dtype=torch.float64) for v in (preset.mean, preset.std))
    rgb = weight.double().flip(1)
    shift = mean - torch.tensor(CAFFE_MEAN, dtype=torch.float64)
    moved = bias.double() + (rgb * shift.view(1, 3, 1, 1)).sum((1, 2, 3))
    return (rgb * std.view(1, 3, 1, 1)).float(), moved.float()
