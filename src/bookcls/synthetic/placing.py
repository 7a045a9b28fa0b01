"""From a place in the room to a body in the picture: boxes that lie or stand, sheets."""

from __future__ import annotations

import numpy as np

from bookcls.synthetic.arrays import Points
from bookcls.synthetic.camera import Camera
from bookcls.synthetic.layout import Body


def _rotate(angle: float) -> Points:
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def _body(
    camera: Camera,
    front: Points,
    back: Points,
    sun: tuple[float, float],
    *,
    on: float = 0.0,
    darkness: float = 0.4,
) -> Body:
    """A box from its world corners; its shadow falls along ``sun`` on the level ``on``."""
    corners = np.concatenate([front, back])
    rise = corners[:, 2:] - on
    ground = np.concatenate([corners[:, :2] + rise * np.array(sun), np.full_like(rise, on)], 1)
    soft = 0.006 + 0.25 * float(rise.max()) * camera.focal / camera.distance * 0.2
    return Body(
        camera.project(front),
        camera.project(back),
        camera.project(ground),
        softness=min(soft, 0.03),
        darkness=darkness,
    )


def lying(
    camera: Camera,
    place: tuple[float, float, float],
    turn: float,
    size: tuple[float, float, float],
    sun: tuple[float, float] = (0.5, -0.5),
    *,
    tilt: tuple[float, float] = (0.0, 0.0),
    darkness: float = 0.4,
) -> Body:
    """A box that lies on its back.

    Args:
        camera: Who looks.
        place: Centre of the box's underside in the world (x, y, z).
        turn: Degrees about the vertical, counter-clockwise seen from above.
        size: Width, height, thickness.
        sun: How far a shadow moves per unit of height (x, y).
        tilt: Slope along x and y, as on an uneven pile.
        darkness: See ``Body``.
    """
    width, height, thickness = size
    flat = np.array([[-1, 1, 0], [1, 1, 0], [1, -1, 0], [-1, -1, 0]]) * [width / 2, height / 2, 1]
    under = flat @ _rotate(turn).T
    under[:, 2] += under[:, :2] @ np.array(tilt)
    under = under + np.array(place)
    front = under + np.array([0.0, 0.0, thickness])
    return _body(camera, front, under, sun, on=place[2], darkness=darkness)


def standing(
    camera: Camera,
    place: tuple[float, float],
    facing: float,
    size: tuple[float, float, float],
    sun: tuple[float, float] = (0.5, 0.5),
    *,
    lean: float = 10.0,
    quarter: int = 0,
    darkness: float = 0.4,
) -> Body:
    """A box that stands on an edge.

    Args:
        camera: Who looks.
        place: Middle of the lower front edge (x, y).
        facing: Degrees about the vertical; 0 looks towards -y.
        size: Width, height, thickness of the thing itself, before ``quarter``.
        sun: How far a shadow moves per unit of height (x, y).
        lean: Degrees that the top leans back.
        quarter: Quarter turns of the front, clockwise: 2 stands on its head.
        darkness: See ``Body``.
    """
    width, height, thickness = size
    across, upward = (width, height) if quarter % 2 == 0 else (height, width)
    turn = _rotate(facing)
    right = turn @ np.array([1.0, 0.0, 0.0])
    up = turn @ np.array([0.0, np.sin(np.radians(lean)), np.cos(np.radians(lean))])
    normal = np.cross(right, up)
    base = np.array([*place, thickness * np.sin(np.radians(lean))])
    grid = [(-0.5, 1), (0.5, 1), (0.5, 0), (-0.5, 0)]
    front = np.stack([base + a * across * right + b * upward * up for a, b in grid])
    front = np.roll(front, -(quarter % 4), axis=0)
    return _body(camera, front, front - thickness * normal, sun, darkness=darkness)


def sheet(corners: Points) -> Body:
    """A flat thing without a shadow, from its relative corners (4, 2) in the picture."""
    return Body(corners, corners, corners, darkness=0.0)
