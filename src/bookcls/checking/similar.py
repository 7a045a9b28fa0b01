"""Finds photos that show the same picture or were taken within seconds."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bookcls.checking.inspection import PhotoInfo

NEAR = 0.12
"""Two hashes that differ in a smaller share of their bits are near-duplicates.

The median difference of a photo and its copy is 0.01 (JPEG at quality 40, or half the size), 0.07
(brightened), 0.14 (cropped by 2 %) and 0.15 (rotated by 2 degrees). Different prints in the same
framing come close to the last two, and a few such pairs would link a whole class."""

Pair = tuple[PhotoInfo, PhotoInfo]


def near_pairs(infos: Sequence[PhotoInfo]) -> list[Pair]:
    """Finds near-duplicates, also after right-angle rotations, mirroring or saving again.

    Byte-for-byte copies are left out.
    """
    if len(infos) < 2:
        return []
    # With bits as -1 and 1, a dot product is the number that agree minus the number that differ.
    signs = np.stack([info.hashes for info in infos]).astype(np.float32) * 2 - 1
    num_bits = signs.shape[2]
    agreement = signs[:, 0] @ signs[:, 0].T
    for turn in range(1, signs.shape[1]):
        np.maximum(agreement, signs[:, 0] @ signs[:, turn].T, out=agreement)
    near = np.triu((1 - agreement / num_bits) / 2 < NEAR, k=1)
    found = [(infos[int(i)], infos[int(j)]) for i, j in np.argwhere(near)]
    return [pair for pair in found if differ(*pair)]


def burst_pairs(infos: Sequence[PhotoInfo], seconds: float) -> list[Pair]:
    """Finds consecutive photos of one camera that were taken at most ``seconds`` apart.

    Consecutive among all its photos, or among those of one class and split: a photo of another
    class in between does not split a burst. Byte-for-byte copies are left out.
    """
    shots: dict[tuple[object, ...], list[PhotoInfo]] = {}
    for info in sorted(infos, key=lambda info: (str(info.taken), str(info.path))):
        if info.taken is not None:
            shots.setdefault((info.camera,), []).append(info)
            shots.setdefault((info.camera, info.split, info.sample.label), []).append(info)
    pairs = dict.fromkeys(pair for series in shots.values() for pair in pairwise(series))
    return [pair for pair in pairs if seconds_between(*pair) <= seconds and differ(*pair)]


def differ(a: PhotoInfo, b: PhotoInfo) -> bool:
    """Whether two files differ in their bytes."""
    return a.sample.sha256 != b.sample.sha256


def seconds_between(a: PhotoInfo, b: PhotoInfo) -> float:
    """Seconds between a photo and a later one."""
    assert a.taken is not None
    assert b.taken is not None
    return (b.taken - a.taken).total_seconds()


def linked_groups(pairs: Iterable[Pair]) -> list[list[PhotoInfo]]:
    """Groups of photos linked by pairs, directly or through others, in the order of the pairs."""
    pairs = list(pairs)
    infos = list(dict.fromkeys(info for pair in pairs for info in pair))
    if not infos:
        return []
    number = {info: i for i, info in enumerate(infos)}
    ends = np.array([[number[a], number[b]] for a, b in pairs]).T
    links = coo_array((np.ones(len(pairs)), ends), shape=(len(infos), len(infos)))
    _, labels = connected_components(links, directed=False)
    groups: dict[int, list[PhotoInfo]] = {}
    for info, label in zip(infos, labels.tolist(), strict=True):
        groups.setdefault(label, []).append(info)
    return list(groups.values())
