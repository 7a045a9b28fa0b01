"""Rooms without books, drawn at random: floors, light, carpets, furniture at the border."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bookcls.synthetic.arrays import Colour
from bookcls.synthetic.camera import Camera
from bookcls.synthetic.layout import Ground, Layout, Light, Prop
from bookcls.synthetic.placing import lying

PALE: tuple[Colour, ...] = (
    (208, 198, 184), (198, 186, 168), (214, 206, 194), (186, 174, 158), (202, 198, 190),
)  # fmt: skip
GREYS: tuple[Colour, ...] = ((172, 160, 138), (164, 154, 136), (178, 168, 150), (158, 146, 126))
CARPETS: tuple[tuple[Colour, ...], ...] = (
    ((112, 96, 68), (104, 92, 70), (196, 184, 148), (44, 56, 84), (214, 208, 192)),
    ((134, 44, 30), (112, 30, 24), (200, 130, 96), (70, 20, 20), (216, 198, 160)),
    ((146, 142, 124), (128, 128, 116), (206, 200, 182), (96, 120, 124), (222, 218, 208)),
    ((54, 62, 92), (60, 40, 44), (190, 172, 136), (150, 60, 48), (206, 196, 170)),
)
SPINES: tuple[Colour, ...] = (
    (22, 22, 26), (60, 62, 68), (200, 202, 206), (150, 152, 156), (36, 38, 44), (196, 160, 96),
    (228, 228, 226), (120, 60, 40), (90, 94, 100), (176, 178, 184), (70, 84, 120),
)  # fmt: skip
ORANGE: Colour = (166, 92, 56)


def ground(rng: np.random.Generator) -> Ground:
    """A floor: mostly pale boards, else a brown desk or tiles."""
    seed, angle = int(rng.integers(10_000)), float(rng.uniform(0, 180))
    way = rng.random()
    if way < 0.8:
        colour = PALE[int(rng.integers(len(PALE)))]
        return Ground("wood", seed, colour, angle, float(rng.uniform(0.5, 0.8)))
    if way < 0.9:
        return Ground("desk", seed, (152, 112, 70), angle)
    return Ground("tiles", seed, (178, 174, 166), angle, float(rng.uniform(0.5, 1.4)))


def daylight(rng: np.random.Generator, *, strength: float = 1.0) -> Light:
    """Light of an ordinary photo; ``strength`` scales all that is unusual about it."""
    warm = rng.normal(0.01, 0.025) * strength
    return Light(
        angle=float(rng.uniform(0, 360)),
        gradient=float(rng.uniform(0.02, 0.16) * strength),
        cast=(1 + warm, 1.0, 1 - warm * 1.4),
        exposure=float(np.exp(rng.normal(0, 0.09) * strength)),
        gamma=float(np.exp(rng.normal(0.03, 0.07) * strength)),
        glare=float(rng.uniform(0.05, 0.3) * strength) if rng.random() < 0.3 else 0.0,
        spot=(float(rng.uniform(0, 1)), float(rng.uniform(0, 1))),
        blur=float(rng.uniform(0.0005, 0.0014)),
        noise=float(rng.uniform(1.0, 3.0)),
        haze=float(rng.uniform(0.0, 0.05)),
    )


def lamplight(rng: np.random.Generator) -> Light:
    """Warm, uneven light of a lamp in the evening."""
    light = daylight(rng)
    warm = rng.uniform(0.03, 0.1)
    return replace(
        light,
        cast=(1 + warm, 1.0, 1 - 1.1 * warm),
        exposure=float(rng.uniform(0.72, 1.02)),
        gradient=float(rng.uniform(0.1, 0.28)),
    )


def sun(rng: np.random.Generator, reach: float) -> tuple[float, float]:
    """How far shadows move per unit of height, in any direction."""
    angle = rng.uniform(0, 2 * np.pi)
    return float(reach * np.cos(angle)), float(reach * np.sin(angle))


def view(rng: np.random.Generator, distance: float) -> Camera:
    """A look down at a floor, from any side."""
    return Camera(
        elevation=float(rng.uniform(58, 88)),
        azimuth=float(rng.uniform(-180, 180)),
        roll=float(rng.normal(0, 8)),
        distance=distance,
        focal=float(rng.uniform(0.85, 1.15)),
        spot=(float(rng.normal(0, 0.1)), float(rng.normal(0, 0.1)), 0.0),
    )


def shelf_corner(rng: np.random.Generator, camera: Camera) -> tuple[Prop, ...]:
    """A dark shelf of spines along the top left, with orange feet on the floor."""
    x, y = float(rng.uniform(-0.72, -0.5)), float(rng.uniform(0.0, 0.25))
    seed = int(rng.integers(10_000))
    turn = float(rng.normal(0, 4))
    dark = lying(camera, (x - 0.75, 1.35, 0.0), turn, (1.5, 4.0, 0.02))
    rows = lying(camera, (x - 0.42, y, 0.02), turn + 90, (1.5, 0.75, 0.12), (0.2, -0.1))
    feet = [
        lying(camera, (x + 0.62 + float(rng.normal(0, 0.08)), place, 0.0), turn + rng.normal(0, 4),
              (1.4, 0.3, 0.06), (0.3, -0.2))
        for place in (y + 0.72, y - 0.8)
    ]  # fmt: skip
    return (
        Prop("slab", seed, ((26, 25, 27),), dark),
        Prop("slab", seed + 1, (ORANGE,), feet[0]),
        Prop("slab", seed + 2, (ORANGE,), feet[1]),
        Prop("shelf", seed + 3, ((20, 20, 22), *SPINES), rows, (1.5, 0.75)),
    )


def carpet(rng: np.random.Generator, camera: Camera) -> Prop:
    """A carpet that covers part of the view."""
    colours = CARPETS[int(rng.integers(len(CARPETS)))]
    size = (float(rng.uniform(2.6, 4)), float(rng.uniform(4, 6)), 0.02)
    turn = float(rng.uniform(0, 360))
    angle = np.radians(turn + rng.choice([45, 90, 180, 225, 0, 270]))
    away = rng.uniform(1.3, 2.4)
    spot = (float(away * np.cos(angle)), float(away * np.sin(angle)), 0.0)
    body = lying(camera, spot, turn, size, sun(rng, 1.0), darkness=0.3)
    return Prop("carpet", int(rng.integers(10_000)), colours, body, size[:2])


def thing(rng: np.random.Generator, camera: Camera) -> Prop:
    """A piece of furniture or the like near the border of the view."""
    angle = rng.uniform(0, 2 * np.pi)
    away = rng.uniform(0.9, 1.6) * camera.distance / 3
    spot = (float(away * np.cos(angle)), float(away * np.sin(angle)), 0.0)
    seed, turn = int(rng.integers(10_000)), float(rng.uniform(0, 360))
    kind = str(
        rng.choice(
            np.array(["grille", "slab", "slab", "glass", "disk", "leaves", "shag", "shelf", "rod"])
        )
    )
    sizes: dict[str, tuple[float, float, float]] = {
        "grille": (1.3, 2.8, 0.5), "slab": (float(rng.uniform(0.2, 2)), 2.6, 0.4),
        "glass": (1.2, 1.8, 0.1), "disk": (1.0, 1.0, 0.03), "leaves": (1.2, 1.2, 0.1),
        "shag": (2.4, 4.0, 0.08), "shelf": (2.4, 0.9, 0.5), "rod": (0.07, 2.8, 0.05),
    }  # fmt: skip
    tone = int(rng.integers(6))
    slab: Colour = (
        (236, 234, 228), (186, 160, 124), (52, 38, 32), ORANGE, (150, 72, 76), (40, 40, 44),
    )[tone]  # fmt: skip
    colours: dict[str, tuple[Colour, ...]] = {
        "grille": ((236, 236, 234), (70, 72, 76)), "slab": (slab,),
        "glass": ((26, 30, 34), (150, 170, 190)), "disk": ((240, 240, 242),),
        "leaves": ((120, 62, 54), (88, 66, 50), (150, 120, 90), (70, 60, 66)),
        "shag": ((190, 184, 172),), "shelf": ((20, 20, 22), *SPINES), "rod": ((142, 156, 176),),
    }  # fmt: skip
    darkness = 0.0 if kind in ("leaves", "disk") else 0.4
    body = lying(camera, spot, turn, sizes[kind], sun(rng, 0.6), darkness=darkness)
    return Prop("slab" if kind == "rod" else kind, seed, colours[kind], body, sizes[kind][:2])


def sunlight(rng: np.random.Generator, camera: Camera) -> Prop:
    """Light that falls through a window onto the floor."""
    spot = (float(rng.uniform(-1.2, 1.2)), float(rng.uniform(-1.0, 1.0)), 0.0)
    size = (float(rng.uniform(0.5, 1.4)), float(rng.uniform(1.5, 3.0)), 0.0)
    body = lying(camera, spot, float(rng.uniform(0, 360)), size, darkness=0.0)
    return Prop("sunlight", int(rng.integers(10_000)), ((255, 246, 222),), body, size[:2])


def empty(rng: np.random.Generator) -> Layout:
    """A floor without a book: boards, carpets, furniture at the border."""
    camera = replace(view(rng, float(rng.uniform(2.6, 4.6))), elevation=float(rng.uniform(45, 85)))
    way = rng.random()
    props: tuple[Prop, ...] = ()
    if way < 0.16:
        props = (carpet(rng, camera),)
    elif way < 0.62:
        props = tuple(thing(rng, camera) for _ in range(int(rng.integers(1, 3))))
    elif way < 0.78:
        camera = replace(camera, azimuth=float(rng.choice([0.0, 40.0, 180.0, 230.0])))
        props = shelf_corner(rng, camera)
    elif way < 0.86:
        props = (carpet(rng, camera), thing(rng, camera))
    if rng.random() < 0.3:
        props = (*props, sunlight(rng, camera))
    light = daylight(rng) if rng.random() < 0.7 else lamplight(rng)
    patch = replace(light, glare=float(rng.uniform(0.1, 0.5))) if rng.random() < 0.5 else light
    return Layout(int(rng.integers(2**31)), camera, ground(rng), props, (), patch)
