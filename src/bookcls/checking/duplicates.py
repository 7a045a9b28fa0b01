"""Copies, near-duplicates and bursts, which a split or a test must not treat as independent."""

from collections.abc import Sequence
from itertools import count

from bookcls.checking.finding import Finding
from bookcls.checking.inspection import PhotoInfo
from bookcls.checking.similar import Pair, burst_pairs, linked_groups, near_pairs
from bookcls.data.groups import GROUPS

KEEP_TOGETHER = (
    f"copy {GROUPS}, which is next to this page, into the folder, and every split keeps these "
    "photos together"
)


def find_similar(
    infos: Sequence[PhotoInfo], seconds: float
) -> tuple[list[Finding], dict[str, str]]:
    """Finds copies, near-duplicates and bursts, also across training and test photos.

    Args:
        infos: The photos.
        seconds: Maximum time between two photos of the same burst.

    Returns:
        The findings, and the contents of ``groups.csv``: training photo -> name of its group.
        These are the existing groups and the photos that should stay together with others of
        their class; empty if there is nothing to add. Photos that already share a group are not
        reported.

    """
    near, bursts = near_pairs(infos), burst_pairs(infos, seconds)
    # A pair that is both is reported as a near-duplicate, the stronger statement.
    near_ids = {frozenset(map(id, pair)) for pair in near}
    bursts = [pair for pair in bursts if frozenset(map(id, pair)) not in near_ids]
    representative: dict[tuple[str, int, str], PhotoInfo] = {}
    near, bursts = ([p for p in pairs if not is_grouped(p)] for pairs in (near, bursts))
    keep_together = [p for p in [*near, *bursts] if both_train(p) and same_location(*p)]
    matches = [(representative.setdefault(location(info), info), info) for info in infos]
    copied = [pair for pair in matches if pair[0] is not pair[1]]
    two_classes = [p for p in near if both_train(p) and not same_location(*p)]
    findings = [
        pair_finding(
            "near-duplicate in train and test",
            "look at each pair; if both show the same picture, delete one: a test photo that was "
            "used for training tests nothing",
            [pair for pair in near if crosses_splits(pair)],
        ),
        pair_finding(
            "burst in train and test",
            "taken within seconds, so almost copies: move the whole burst to one of the two",
            [pair for pair in bursts if crosses_splits(pair)],
        ),
        pair_finding(
            "near-duplicate in two classes",
            "look at each pair; if both show the same thing, one label is wrong",
            two_classes,
        ),
        pair_finding("copy", "delete all but one: copies add nothing", copied),
        pair_finding(
            "near-duplicate",
            f"delete all but one, or {KEEP_TOGETHER}",
            [pair for pair in near if both_train(pair) and same_location(*pair)],
        ),
        pair_finding(
            "near-duplicate in a test",
            "delete all but one: the score counts the same picture several times",
            [pair for pair in near if not both_train(pair) and same_location(*pair)],
        ),
        pair_finding(
            "burst", KEEP_TOGETHER, [p for p in bursts if both_train(p) and same_location(*p)]
        ),
    ]
    return findings, name_groups(infos, keep_together)


def pair_finding(name: str, advice: str, pairs: Sequence[Pair]) -> Finding:
    """Creates a finding that shows linked photos side by side."""
    shown = [("", [info.path for info in group]) for group in linked_groups(pairs)]
    return Finding(name, False, advice, photos=shown)


def name_groups(infos: Sequence[PhotoInfo], pairs: Sequence[Pair]) -> dict[str, str]:
    """Maps photos, named as in groups.csv, to groups, from the user's groups and the pairs."""
    if not pairs:
        return {}
    grouped = [info for info in infos if info.split == "train" and info.sample.group]
    used = {info.sample.group for info in grouped}
    unused = (name for name in (f"g{number}" for number in count(1)) if name not in used)
    representative: dict[str, PhotoInfo] = {}
    # Photos of a group are linked, so that a pair adds the whole group.
    links = [(representative.setdefault(info.sample.unit, info), info) for info in grouped]
    group_names: dict[str, str] = {}
    for group in linked_groups([*links, *pairs]):
        name = next((info.sample.group for info in group if info.sample.group), "") or next(unused)
        group_names |= {f"train/{info.sample.name}": name for info in group}
    return group_names


def is_grouped(pair: Pair) -> bool:
    """Whether both training photos have the same class and group."""
    a, b = (info.sample for info in pair)
    return both_train(pair) and bool(a.group) and a.unit == b.unit


def both_train(pair: Pair) -> bool:
    """Whether both are training photos."""
    return all(info.split == "train" for info in pair)


def crosses_splits(pair: Pair) -> bool:
    """Whether one is a training photo and the other a test photo."""
    return sum(info.split == "train" for info in pair) == 1


def location(info: PhotoInfo) -> tuple[str, int, str]:
    """Split, class and content of a photo."""
    return info.split, info.sample.label if info.split == "train" else 0, info.sample.sha256


def same_location(a: PhotoInfo, b: PhotoInfo) -> bool:
    """Whether both are in the same split and, for training photos, in the same class."""
    return location(a)[:2] == location(b)[:2]
