"""Photos that show the same picture, or were taken in one go."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from bookcls.checking.look import Look

NEAR = 0.18
"""Two hashes that differ in a smaller share of their bits belong to one picture.

Of the 8,592 pairs of different photos in the sample and the study, each in 8 symmetries, the
closest differ in 0.27; a photo and its copy, saved as JPEG at quality 40 or at half the size,
brighter, cropped by 2 % or turned by 2 degrees, in 0.01 to 0.15 (medians of the seven)."""

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
    return [(a, b) for a, b in found if a.sample.sha256 != b.sample.sha256]


def burst_pairs(looks: Sequence[Look], seconds: float) -> list[Pair]:
    """Neighbours in time that one camera took at most so many seconds apart.

    Byte-for-byte copies are left out.
    """
    dated = [look for look in looks if look.taken is not None]
    pairs = []
    for camera in sorted({look.camera for look in dated}):
        mine = [look for look in dated if look.camera == camera]
        mine.sort(key=lambda look: (str(look.taken), str(look.path)))
        for a, b in pairwise(mine):
            assert a.taken is not None
            assert b.taken is not None
            gap = (b.taken - a.taken).total_seconds()
            if gap <= seconds and a.sample.sha256 != b.sample.sha256:
                pairs.append((a, b))
    return pairs


def joined(pairs: Iterable[Pair]) -> list[list[Look]]:
    """Photos that are linked by pairs, directly or through others, in the order of the pairs."""
    groups: list[list[Look]] = []
    for pair in pairs:
        touched = [g for g in groups if any(look in g for look in pair)]
        rest = [g for g in groups if not any(look in g for look in pair)]
        members = {id(look): look for g in [*touched, list(pair)] for look in g}
        groups = [*rest, list(members.values())]
    return groups
