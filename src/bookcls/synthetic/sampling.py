"""Drawing layouts at random: a book alone, books strewn, piled or standing, empty floors.

Every sampler takes a Generator, so that a seed fixes the layout; sizes of the covers are given as
(width, height, thickness) in book heights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bookcls.synthetic import rooms
from bookcls.synthetic.camera import Camera
from bookcls.synthetic.layout import Ground, Item, Layout, Prop
from bookcls.synthetic.placing import lying, standing

Size = tuple[float, float, float]


def alone(
    rng: np.random.Generator, size: Size, cover: int, *, shelf: bool = False, steady: bool = False
) -> Layout:
    """One book on its side, nearly along the axes, as the training photos have it.

    Args:
        rng: Source of randomness.
        size: Size of the book.
        cover: Number of its texture.
        shelf: Before a dark shelf instead of on a bare floor.
        steady: Seen nearly from above and hardly turned, as the Easy photos have it.
    """
    ease = 0.45 if steady else 1.0
    camera = Camera(
        elevation=90 - abs(float(rng.normal(13, 12 * ease))),
        azimuth=float(rng.normal(0, 6 * ease)),
        roll=float(rng.normal(0, 2 * ease)),
        distance=float(rng.uniform(1.75, 2.3)),
        focal=float(rng.uniform(1.05, 1.2)),
        spot=(float(rng.normal(0, 0.06)), float(rng.normal(0, 0.04)), 0.0),
    )
    base = Ground(
        "wood", int(rng.integers(10_000)), rooms.GREYS[int(rng.integers(len(rooms.GREYS)))],
        float(rng.normal(0, 6)), 0.95,
    )  # fmt: skip
    props = rooms.shelf_corner(rng, replace(camera)) if shelf else ()
    light = rooms.daylight(rng, strength=0.8)
    light = replace(light, exposure=light.exposure * (1.08 if shelf else 0.95))
    turn = 90 + float(rng.normal(0, 5 * ease))
    lift = 0.12 if shelf and rng.random() < 0.5 else 0.0
    body = lying(camera, (0.0, 0.0, lift), turn, size, rooms.sun(rng, 0.45), darkness=0.36)
    return Layout(int(rng.integers(2**31)), camera, base, props, (Item(cover, body),), light)


def strewn(
    rng: np.random.Generator, sizes: Sequence[Size], covers: Sequence[int], distance: float = 6.0
) -> Layout:
    """Books apart on a floor, each turned as it fell, seen from ``distance``."""
    camera = rooms.view(rng, distance)
    reach = distance * 0.36
    places: list[tuple[float, float]] = []
    gap = 1.3
    while len(places) < len(covers):
        x, y = rng.uniform(-reach, reach), rng.uniform(-reach * 0.7, reach * 0.7)
        cos, sin = np.cos(np.radians(camera.azimuth)), np.sin(np.radians(camera.azimuth))
        spot = (float(cos * x - sin * y), float(sin * x + cos * y))
        if all(np.hypot(spot[0] - a, spot[1] - b) > gap for a, b in places):
            places.append(spot)
        gap *= 0.995
    sun = rooms.sun(rng, 0.9)
    items = tuple(
        Item(cover, lying(camera, (*spot, 0.0), float(rng.uniform(0, 360)), size, sun,
                          darkness=0.45))
        for cover, size, spot in zip(covers, sizes, places, strict=True)
    )  # fmt: skip
    return Layout(
        int(rng.integers(2**31)), camera, rooms.ground(rng), (), items, rooms.lamplight(rng)
    )


def pile(
    rng: np.random.Generator,
    sizes: Sequence[Size],
    covers: Sequence[int],
    distance: float = 3.0,
    spread: float = 0.5,
) -> Layout:
    """Books on one another, the last on top.

    Args:
        rng: Source of randomness.
        sizes: Sizes of the books.
        covers: Numbers of their textures, from the floor up.
        distance: From which the pile is seen; below 2.2 the frame crops it.
        spread: How far the books lie from the middle, in book heights.
    """
    camera = rooms.view(rng, distance)
    sun, level, items = rooms.sun(rng, 0.8), 0.0, []
    start = rng.uniform(0, 360)
    for num, (cover, size) in enumerate(zip(covers, sizes, strict=True)):
        away = spread * rng.uniform(0.6, 1.2) if num < len(covers) - 1 else spread * 0.2
        angle = np.radians(start + num * 137.5)
        spot = (float(away * np.cos(angle)), float(away * np.sin(angle)), level)
        tilt = (float(rng.normal(0, 0.04)), float(rng.normal(0, 0.04))) if num else (0.0, 0.0)
        turn = float(rng.uniform(0, 360))
        items.append(Item(cover, lying(camera, spot, turn, size, sun, tilt=tilt, darkness=0.5)))
        level += size[2] * 0.85
    return Layout(
        int(rng.integers(2**31)), camera, rooms.ground(rng), (), tuple(items), rooms.lamplight(rng)
    )


def leaning(
    rng: np.random.Generator,
    sizes: Sequence[Size],
    covers: Sequence[int],
    distance: float = 2.4,
    offset: float = 0.0,
) -> Layout:
    """Books that stand before a dark shelf or a pale sofa, in warm light, some on their heads."""
    camera = Camera(
        elevation=float(rng.uniform(9, 22)),
        azimuth=float(rng.normal(0, 5)),
        roll=float(rng.normal(0, 2)),
        distance=distance,
        focal=float(rng.uniform(0.9, 1.1)),
        spot=(offset, 0.3, 0.42),
    )
    wall = standing(camera, (0.0, 0.75), 0.0, (9.0, 3.2, 0.02), lean=0.0, darkness=0.0)
    seed = int(rng.integers(10_000))
    if rng.random() < 0.6:
        back = Prop("shelf", seed, ((24, 17, 14), *((c[0] // 2, c[1] // 2, c[2] // 2)
                    for c in rooms.SPINES)), wall, (9.0, 3.2))  # fmt: skip
        low = standing(camera, (0.0, 0.7), 0.0, (9.0, 0.3, 0.05), lean=0.0, darkness=0.0)
        props = (back, Prop("slab", seed + 1, ((30, 20, 16),), low))
    else:
        seat = standing(camera, (0.0, 0.72), 0.0, (9.0, 0.8, 0.1), lean=14.0, darkness=0.3)
        props = (Prop("slab", seed, ((190, 176, 150),), wall),
                 Prop("slab", seed + 1, ((224, 214, 192),), seat))  # fmt: skip
    items, sun = [], (float(rng.uniform(-0.5, 0.5)), 0.6)
    across = -0.5 * sum(0.75 if size[0] < size[1] else 1.1 for size in sizes)
    for cover, size in zip(covers, sizes, strict=True):
        quarter = int(rng.choice([0, 0, 2, 2, 0, 1]))
        wide = size[0] if quarter % 2 == 0 else size[1]
        place = (across + wide / 2, float(rng.uniform(0.1, 0.35)))
        facing = float(rng.normal(0, 14))
        lean = float(rng.uniform(7, 16))
        body = standing(camera, place, facing, size, sun, lean=lean, quarter=quarter, darkness=0.45)
        items.append(Item(cover, body))
        across += wide + float(rng.uniform(0.05, 0.4))
    base = Ground("wood", seed, (222, 208, 182), float(rng.choice([0, 90])), 0.5)
    light = replace(rooms.lamplight(rng), exposure=float(rng.uniform(0.95, 1.1)))
    return Layout(int(rng.integers(2**31)), camera, base, props, tuple(items), light)


def anywhere(rng: np.random.Generator, sizes: Sequence[Size], covers: Sequence[int]) -> Layout:
    """Any scene of one book or more: strewn, piled or standing, near or far, as a mix."""
    way = rng.random()
    if way < 0.45 or len(covers) == 1:
        distance = float(rng.uniform(1.15, 2.5)) * (1 + 0.45 * (len(covers) - 1) ** 0.7)
        layout = strewn(rng, sizes, covers, distance)
    elif way < 0.8:
        distance, spread = float(rng.uniform(1.5, 3.4)), float(rng.uniform(0.3, 0.8))
        layout = pile(rng, sizes, covers, distance, spread)
    else:
        layout = leaning(rng, sizes, covers, float(rng.uniform(1.4, 3.0)))
    if not layout.props and rng.random() < 0.3:
        layout = replace(layout, props=(rooms.carpet(rng, layout.camera),))
    if rng.random() < 0.3:
        light = replace(layout.light, blur=float(rng.uniform(0.001, 0.006)))
        layout = replace(layout, light=light)
    return layout
