"""Names of folders, columns and values: those of splits, those of other programs, look-alikes."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from bookcls.layouts.vocabulary import NEUTRAL

TRAIN, VAL, TEST, UNLABELLED = "train", "val", "test", "unlabelled"

WORDS = {
    TRAIN: ("train", "training", "trn", "trainval"),
    VAL: ("val", "valid", "validation", "validate", "dev", "development", "eval", "evaluation"),
    TEST: ("test", "tests", "testing", "tst", "holdout", "heldout"),
    UNLABELLED: ("pred", "predict", "unlabeled", "unlabelled", "unsup"),
}
"""Role -> the usual words for it."""

OUR_FOLDERS = frozenset({"runs", "checks", "tuning", "evaluations", "predictions"})
"""Folders that this program's own verbs write: no classes, unless ``classes`` names them."""

BATCH = re.compile(
    r"(?:batch|part|chunk|fold|session|day|week|month|shoot|dcim|roll)[\W_]*\d+"
    r"|(?:19|20)\d\d([\W_]?\d\d?([\W_]?\d\d?)?)?|\d\d?[\W_]\d\d?[\W_](?:\d\d){1,2}"
    r"|\d{3}(?:apple|canon|nikon|_?pana|nd\w+|msdcf|olymp|_?fuji)\w*",
    re.IGNORECASE,
)
"""Names of folders by date, batch or camera."""


@dataclass(frozen=True)
class Split:
    """What a name says about a split.

    Attributes:
        role: train, val, test or unlabelled.
        rest: Its other words, without neutral ones and numbers.
    """

    role: str
    rest: tuple[str, ...]


def composed(name: str) -> str:
    """A name with composed accents: file systems differ in how they store them."""
    return unicodedata.normalize("NFC", name)


def alike(name: str) -> str:
    """Equal for names that differ in case, accents' encoding or surrounding spaces alone."""
    return composed(composed(name).strip().casefold())


def plain(name: str) -> str:
    """The letters and digits of a name of a column, in lower case."""
    return "".join(c for c in alike(name) if c.isalnum())


def words_of(name: str) -> list[str]:
    """Words of a name, in lower case; a capital inside it or a number starts a word.

    Example:
        >>> words_of("my-TrainImages_2017")
        ['my', 'train', 'images', '2017']
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])", " ", name)
    words = re.findall(r"[^\W_]+", spaced)
    joined = re.sub(r"\b(hold|held) out\b", r"\1out", " ".join(words).lower())
    return joined.split()


def role_of_word(word: str) -> str | None:
    """The role that a word names, also with a neutral word glued to it; None if there is none."""
    for role, names in WORDS.items():
        for name in names:
            if word == name or (word.startswith(name) and word[len(name) :] in NEUTRAL):
                return role
    return None


def split_of(name: str) -> Split | None:
    """What a name says about a split; None if it says nothing.

    Example:
        >>> split_of("seg_train"), split_of("Test Images"), split_of("contest")
        (Split(role='train', rest=('seg',)), Split(role='test', rest=()), None)
    """
    words = words_of(name)
    roles = {role: word for word in words if (role := role_of_word(word))}
    if len(roles) != 1:
        return None
    rest = (w for w in words if not role_of_word(w) and w not in NEUTRAL and not w.isdigit())
    return Split(next(iter(roles)), tuple(rest))


def is_neutral(name: str) -> bool:
    """Whether a name consists of words such as images and data."""
    return all(word in NEUTRAL or word.isdigit() for word in words_of(name))


def find_alike(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of names that differ in case or surrounding spaces alone."""
    first: dict[str, str] = {}
    pairs = []
    for name in sorted(set(names)):
        other = first.setdefault(alike(name), name)
        if composed(other) != composed(name):
            pairs.append((other, name))
    return pairs


def setting(names: Iterable[str]) -> str:
    """The setting ``classes=[...]`` with these names, as it is typed."""
    listed = sorted(set(names))
    shown = ",".join(n if re.fullmatch(r"[\w.-]+", n) else repr(n) for n in listed[:20])
    return f"classes=[{shown}{',...' if len(listed) > 20 else ''}]"
