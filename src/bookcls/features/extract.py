"""Pooled features of the frozen backbone, computed once per photo and cached on disk."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from bookcls.data.photos import Decoded
from bookcls.data.preprocessing import Preprocessing
from bookcls.data.samples import Sample
from bookcls.models.precision import choose_precision
from bookcls.models.start import Start
from bookcls.models.vgg16 import VGG16, to_channels_last
from bookcls.models.weights import MEAN, STD
from bookcls.storage.files import atomic_write

Features = npt.NDArray[np.float32]
BATCH_PIXELS = 16 * 224**2
"""Maximum number of pixels per forward pass, which limits its memory."""
CACHE = "BOOKCLS_CACHE"
"""Environment variable: folder of the cached features; if empty, nothing is cached."""


def cache_folder() -> Path | None:
    """Returns the cache folder: ``$BOOKCLS_CACHE``, or ``~/.cache/bookcls``; None for no cache."""
    given = os.environ.get(CACHE)
    if given == "":
        return None
    try:
        return Path(given or "~/.cache/bookcls").expanduser() / "features"
    except RuntimeError:  # no home directory
        return None


def pooled_features(
    samples: Sequence[Sample],
    images: Decoded,
    start: Start,
    *,
    device: str = "cpu",
) -> Features:
    """Computes VGG16's last features of each photo, averaged over all positions.

    Features are cached by the hashes of the photo's bytes and of the weights, so that every command
    shares them, also if a photo is renamed.

    Args:
        samples: The photos.
        images: The decoded photos.
        start: The weights; must not be random.
        device: Where to compute: ``cpu``, ``cuda`` or ``mps``.

    Returns:
        float32 (N, 512), at least 0.
    """
    assert start.sha256 is not None
    precision = choose_precision(device)
    folder = cache_folder()
    if folder is not None:
        folder /= f"vgg16-{start.sha256[:16]}-{images.size}-{images.fit}-{device}-{precision}"
    features = np.zeros((len(samples), 512), np.float32)
    missing = []
    for row, sample in enumerate(samples):
        cached = _read(folder / f"{sample.sha256}.npy") if folder else None
        if cached is None:
            missing.append(row)
        else:
            features[row] = cached
    if missing:
        for row, value in zip(
            missing, _compute([samples[i] for i in missing], images, start, device), strict=True
        ):
            features[row] = value
            if folder:
                _write(folder / f"{samples[row].sha256}.npy", value)
    return features


def _compute(samples: Sequence[Sample], images: Decoded, start: Start, device: str) -> Features:
    backbone = VGG16(2, image_size=images.size).features
    state = start.load()
    assert state is not None
    backbone.load_state_dict(state)
    to_channels_last(backbone.eval().to(device))
    preprocess = Preprocessing(images.size, images.fit, MEAN, STD)
    bf16 = choose_precision(device) != "32-true"
    console = Console(stderr=True)
    parts: list[Tensor] = []
    size = max(1, BATCH_PIXELS // images.size**2)
    for first in track(
        range(0, len(samples), size),
        description="Computing features",
        transient=True,
        console=console,
        disable=not console.is_terminal,
    ):
        batch = torch.stack([preprocess(images[s.path]) for s in samples[first : first + size]])
        batch = batch.to(device).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=bf16):
            parts.append(backbone(batch).float().mean(dim=(2, 3)).cpu())
    features: Features = torch.cat(parts).numpy()
    return features


def _read(path: Path) -> Features | None:
    """Reads cached features; returns None if there are none, or if the file is damaged."""
    try:
        features = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return features if features.shape == (512,) and features.dtype == np.float32 else None


def _write(path: Path, features: Features) -> None:
    """Caches features; if that fails, they are computed again next time."""
    try:
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.save(file, features)
    except OSError:
        return
