"""The fixed plan of ``dataset/sample``: which photo shows what, from which seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from bookcls.synthetic import rooms, sampling
from bookcls.synthetic.books import BOOKS, UNKNOWN
from bookcls.synthetic.layout import Layout, Light

BACKGROUND = "background"
CLASS_NAMES: tuple[str, ...] = tuple(sorted([BACKGROUND, *BOOKS]))
NAMES: tuple[str, ...] = (*BOOKS, *UNKNOWN)
MIN_VISIBLE = 0.35
MIN_SHARE = 0.01
LEAD = 2.0
SEED = 2018


@dataclass(frozen=True)
class Photo:
    """One photo of the sample.

    Attributes:
        split: ``train``, ``test_easy`` or ``test_difficult``.
        stem: File name without suffix, unique in the sample.
        folder: Class folder of a training photo, else empty.
        layout: Where things lie; items count into ``NAMES``.
        band_shift: How far the paper bands have slipped, in fractions of the height.
        orientation: EXIF orientation (1, 3, 6 or 8) that turns the stored pixels upright.
    """

    split: str
    stem: str
    folder: str
    layout: Layout
    band_shift: float = 0.0
    orientation: int = 1


def sizes(names: Sequence[str]) -> list[sampling.Size]:
    """Sizes (width, height, thickness) of known and unknown books by name, in book heights."""
    designs = [{**BOOKS, **UNKNOWN}[name] for name in names]
    scale = {"vardo": 1.1, "pikari": 1.08, "cinda": 0.96, "mossa": 0.98, "lunelo": 0.93}
    return [
        (plan.aspect * k, k, plan.thickness * k)
        for plan, k in zip(designs, (scale.get(name, 1.0) for name in names), strict=True)
    ]


def _layout(sampler: Callable[..., Layout], seed: int, books: str, **options: float) -> Layout:
    names = books.split()
    covers = [NAMES.index(name) for name in names]
    return sampler(np.random.default_rng([SEED, seed]), sizes(names), covers, **options)


def _on_carpet(layout: Layout, seed: int) -> Layout:
    return replace(layout, props=(rooms.carpet(np.random.default_rng(seed), layout.camera),))


def _lit(layout: Layout, **changes: float) -> Layout:
    light: Light = replace(layout.light, **changes)  # type: ignore[arg-type]
    return replace(layout, light=light)


strewn = partial(_layout, sampling.strewn)
pile = partial(_layout, sampling.pile)
leaning = partial(_layout, sampling.leaning)


def _difficult() -> list[Layout]:
    return [
        strewn(1, "cinda lunelo mossa pikari vardo yellow", distance=4.2),
        strewn(2, "vardo yellow pikari", distance=3.2),
        pile(3, "cinda vardo mossa", distance=2.3, spread=0.45),
        pile(4, "mossa lunelo cinda yellow", distance=2.1, spread=0.18),
        pile(5, "yellow lunelo pikari", distance=2.2, spread=0.45),
        pile(6, "yellow mossa lunelo", distance=2.5, spread=0.6),
        pile(7, "mossa yellow vardo", distance=2.2, spread=0.4),
        leaning(8, "pikari yellow", distance=2.0),
        leaning(9, "yellow mossa", distance=2.0),
        leaning(10, "vardo cinda", distance=2.0),
        _on_carpet(strewn(11, "lunelo", distance=2.7), 11),
        strewn(12, "vardo yellow", distance=3.2),
        pile(13, "mossa cinda", distance=2.5, spread=0.5),
        _lit(pile(14, "blue pikari", distance=1.55, spread=0.6), blur=0.004),
        _lit(strewn(15, "cinda", distance=2.2), motion=0.022, blur=0.002),
        _on_carpet(strewn(16, "yellow blue", distance=3.0), 16),
        _lit(pile(17, "vardo lunelo cinda", distance=2.5, spread=0.5), exposure=0.6, noise=5.0),
        _on_carpet(strewn(18, "mossa yellow", distance=3.0), 18),
        leaning(19, "lunelo blue", distance=2.2),
        _lit(pile(20, "vardo yellow mossa", distance=2.3, spread=0.5), blur=0.006),
    ]


def photos() -> list[Photo]:
    """All 99 photos of the sample, in the order of their numbers."""
    plan: list[Photo] = []

    def add(split: str, folder: str, layout: Layout, shift: float = 0.0) -> None:
        number = len(plan)
        turned = (6, 8, 3)[number // 6 % 3] if number % 6 == 2 else 1
        stem = f"img_{1001 + number}"
        plan.append(Photo(split, stem, folder, layout, shift, turned))

    for index, name in enumerate(BOOKS):
        for k in range(8 if name == "pikari" else 9):
            rng = np.random.default_rng([SEED, 100 + index, k])
            layout = sampling.alone(rng, sizes([name])[0], NAMES.index(name), shelf=k % 3 == 2)
            add("train", name, layout)
    for k in range(29):
        add("train", BACKGROUND, rooms.empty(np.random.default_rng([SEED, 200, k])))
    easy = ("mossa", "cinda", "cinda", "vardo", "lunelo", "pikari")
    shifts = (0.02, -0.14, -0.3, 0.06, -0.12, -0.09)
    for k, (name, shift) in enumerate(zip(easy, shifts, strict=True)):
        rng = np.random.default_rng([SEED, 300, k])
        layout = sampling.alone(rng, sizes([name])[0], NAMES.index(name), steady=True)
        add("test_easy", "", layout, shift)
    for layout in _difficult():
        add("test_difficult", "", layout)
    return plan


def label(photo: Photo, shares: Sequence[float]) -> tuple[str, tuple[str, ...]]:
    """The photo's label by the rule on visible area.

    A known book is accepted where at least ``MIN_VISIBLE`` of its outline is visible and fills at
    least ``MIN_SHARE`` of the picture. It is dominant where its visible area is at least ``LEAD``
    times that of every other known book. Without an accepted book the answer is
    ``background``.

    Args:
        photo: The photo.
        shares: Visible area of each item as a share of the picture.

    Returns:
        The dominant class, empty where none leads, and the accepted classes in sorted order.
    """
    seen: dict[str, float] = {}
    for item, share in zip(photo.layout.items, shares, strict=True):
        name = NAMES[item.cover]
        clear = share >= MIN_SHARE and share >= MIN_VISIBLE * item.body.area()
        if clear and name in BOOKS:
            seen[name] = share
    if not seen:
        return BACKGROUND, (BACKGROUND,)
    best = max(seen, key=lambda name: seen[name])
    rest = [
        share
        for item, share in zip(photo.layout.items, shares, strict=True)
        if NAMES[item.cover] in BOOKS and NAMES[item.cover] != best
    ]
    leads = all(seen[best] >= LEAD * share for share in rest)
    return best if leads else "", tuple(sorted(seen))
