"""Photos that show the same picture, or were taken in one go."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bookcls.checking.look import Look

NEAR = 0.12
"""Two hashes that differ in a smaller share of their bits belong to one picture.

A photo and its copy differ in 0.01 (JPEG at quality 40; half the size), 0.07 (brighter), 0.14
(cropped by 2 %) and 0.15 (turned by 2 degrees; all medians); different prints in one framing come
near the last two, and a few such pairs would join a whole class."""

Pair = tuple[Look, Look]


def near_pairs(looks: Sequence[Look]) -> list[Pair]:
    """Pairs of photos that look alike, also turned by right angles, mirrored or saved again.

    Byte-for-byte copies are left out.
    """
    if len(looks) < 2:
        return []
    # The bits as -1 and 1: a scalar product counts those that agree less those that differ.
    signs = np.stack([look.hashes for look in looks]).astype(np.float32) * 2 - 1
    num_bits = signs.shape[2]
    most = signs[:, 0] @ signs[:, 0].T
    for turn in range(1, signs.shape[1]):
        np.maximum(most, signs[:, 0] @ signs[:, turn].T, out=most)
    near = np.triu((1 - most / num_bits) / 2 < NEAR, k=1)
    found = [(looks[int(i)], looks[int(j)]) for i, j in np.argwhere(near)]
    return [pair for pair in found if differ(*pair)]


def burst_pairs(looks: Sequence[Look], seconds: float) -> list[Pair]:
    """Neighbours in time that one camera took at most so many seconds apart.

    Neighbours among all its photos, and among those of each class of each split: a photo of
    another class in between takes no burst apart. Byte-for-byte copies are left out.
    """
    shots: dict[tuple[object, ...], list[Look]] = {}
    for look in sorted(looks, key=lambda look: (str(look.taken), str(look.path))):
        if look.taken is not None:
            shots.setdefault((look.camera,), []).append(look)
            shots.setdefault((look.camera, look.split, look.sample.label), []).append(look)
    pairs = dict.fromkeys(pair for series in shots.values() for pair in pairwise(series))
    return [pair for pair in pairs if gap(*pair) <= seconds and differ(*pair)]


def differ(a: Look, b: Look) -> bool:
    """Whether two files are not the same, byte for byte."""
    return a.sample.sha256 != b.sample.sha256


def gap(a: Look, b: Look) -> float:
    """Seconds from one photo to a later one."""
    assert a.taken is not None
    assert b.taken is not None
    return (b.taken - a.taken).total_seconds()


def joined(pairs: Iterable[Pair]) -> list[list[Look]]:
    """Photos that are linked by pairs, directly or through others, in the order of the pairs."""
    pairs = list(pairs)
    looks = list(dict.fromkeys(look for pair in pairs for look in pair))
    if not looks:
        return []
    number = {look: i for i, look in enumerate(looks)}
    ends = np.array([[number[a], number[b]] for a, b in pairs]).T
    links = coo_array((np.ones(len(pairs)), ends), shape=(len(looks), len(looks)))
    _, labels = connected_components(links, directed=False)
    groups: dict[int, list[Look]] = {}
    for look, label in zip(looks, labels.tolist(), strict=True):
        groups.setdefault(label, []).append(look)
    return list(groups.values())
