"""Which covers pretraining knows: integers far from anything else, never a book of the sample.

The sample's books (``synthetic.books``) are designed by hand and by name; no integer stands for
one of them. Pretraining takes its covers from ``designs.design`` alone, from BASE up, and its
distractors from another range, so that neither meets the other.
"""

from bookcls.synthetic.covers import Design
from bookcls.synthetic.designs import design

BASE = 1_000_000_000
"""First integer of the identities."""

UNKNOWN_BASE = 2_000_000_000
"""First integer of the covers that no class knows."""

TWIN_EVERY = 4
"""One identity in so many is a near-duplicate of the one before it, like volumes of a series."""


def known_design(identity: int) -> tuple[int, int]:
    """Integer and member, as ``designs.design`` takes them, of identity 0, 1, ..."""
    twin = identity % TWIN_EVERY == TWIN_EVERY - 1
    return BASE + identity - twin, int(twin)


def unknown_design(number: int) -> tuple[int, int]:
    """Integer and member of a distractor."""
    return UNKNOWN_BASE + number, 0


def design_of_row(row: int, num_identities: int) -> Design:
    """The design in a row of the bank: the identities come first, then the distractors."""
    if row < num_identities:
        return design(*known_design(row))
    return design(*unknown_design(row - num_identities))


def size_of_row(row: int, num_identities: int) -> tuple[float, float, float]:
    """Width, height and thickness of a row's book in book heights; twins share theirs."""
    number = (
        known_design(row)[0] if row < num_identities else unknown_design(row - num_identities)[0]
    )
    plan = design(number)
    return plan.aspect, 1.0, plan.thickness
