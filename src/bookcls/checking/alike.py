"""Photos that a split or a test must not take for different ones."""

from collections.abc import Sequence
from itertools import count

from bookcls.checking.finding import Finding
from bookcls.checking.look import Look
from bookcls.checking.similar import Pair, burst_pairs, joined, near_pairs
from bookcls.data.groups import GROUPS

KEEP_TOGETHER = (
    f"copy {GROUPS}, which lies beside this page, into the folder, and every split keeps them on "
    "one side"
)


def similar(looks: Sequence[Look], seconds: float) -> tuple[list[Finding], dict[str, str]]:
    """Copies, near-duplicates and bursts, and which of them stand in train and test.

    Args:
        looks: What was seen of each photo.
        seconds: Photos of one camera at most so far apart belong to a burst.

    Returns:
        The findings, and for ``groups.csv`` each training photo that should not be parted from
        another of its class -> name of its group, with the groups that there are; empty if no
        photo is to be added. Photos that share a group are no finding: they stay together.
    """
    near, bursts = near_pairs(looks), burst_pairs(looks, seconds)
    # A near-duplicate says more of a pair than that it was taken in one go.
    alike = {frozenset(map(id, pair)) for pair in near}
    bursts = [pair for pair in bursts if frozenset(map(id, pair)) not in alike]
    first: dict[tuple[str, int, str], Look] = {}
    near, bursts = ([p for p in pairs if not is_grouped(p)] for pairs in (near, bursts))
    together = [p for p in [*near, *bursts] if both_train(p) and same_place(*p)]
    known = [(first.setdefault(place_of(look), look), look) for look in looks]
    copied = [pair for pair in known if pair[0] is not pair[1]]
    two_classes = [p for p in near if both_train(p) and not same_place(*p)]
    findings = [
        finding(
            "near-duplicate in train and test",
            "look at each pair; if they show one picture, delete one: a test photo that trained "
            "tests nothing",
            [pair for pair in near if leaks(pair)],
        ),
        finding(
            "burst in train and test",
            "taken in one go, so almost a copy: move all of a burst to one side",
            [pair for pair in bursts if leaks(pair)],
        ),
        finding(
            "near-duplicate in two classes",
            "look at each pair; if they show one thing, one label is wrong",
            two_classes,
        ),
        finding("copy", "delete all but one: copies add nothing", copied),
        finding(
            "near-duplicate",
            f"delete all but one, or {KEEP_TOGETHER}",
            [pair for pair in near if both_train(pair) and same_place(*pair)],
        ),
        finding(
            "near-duplicate in a test",
            "delete all but one: the score counts one picture so many times",
            [pair for pair in near if not both_train(pair) and same_place(*pair)],
        ),
        finding("burst", KEEP_TOGETHER, [p for p in bursts if both_train(p) and same_place(*p)]),
    ]
    return findings, groups(looks, together)


def finding(name: str, advice: str, pairs: Sequence[Pair]) -> Finding:
    """Photos that are linked, side by side."""
    shown = [("", [look.path for look in group]) for group in joined(pairs)]
    return Finding(name, False, advice, photos=shown)


def groups(looks: Sequence[Look], pairs: Sequence[Pair]) -> dict[str, str]:
    """Photo, as groups.csv names it, -> name of its group: the user's groups and the pairs'."""
    if not pairs:
        return {}
    mine = [look for look in looks if look.split == "train" and look.sample.group]
    used = {look.sample.group for look in mine}
    fresh = (name for name in (f"g{number}" for number in count(1)) if name not in used)
    first: dict[str, Look] = {}
    # Photos of one group are linked, so that a pair brings the whole group along.
    links = [(first.setdefault(look.sample.unit, look), look) for look in mine]
    named: dict[str, str] = {}
    for group in joined([*links, *pairs]):
        name = next((look.sample.group for look in group if look.sample.group), "") or next(fresh)
        named |= {f"train/{look.sample.name}": name for look in group}
    return named


def is_grouped(pair: Pair) -> bool:
    """Whether both are of one class and group."""
    a, b = (look.sample for look in pair)
    return both_train(pair) and bool(a.group) and a.unit == b.unit


def both_train(pair: Pair) -> bool:
    """Whether both are training photos."""
    return all(look.split == "train" for look in pair)


def leaks(pair: Pair) -> bool:
    """Whether one is a training photo and the other a test photo."""
    return sum(look.split == "train" for look in pair) == 1


def place_of(look: Look) -> tuple[str, int, str]:
    """Split, class and content of a photo."""
    return look.split, look.sample.label if look.split == "train" else 0, look.sample.sha256


def same_place(a: Look, b: Look) -> bool:
    """Whether both are in one split and, of training, in one class."""
    return place_of(a)[:2] == place_of(b)[:2]
