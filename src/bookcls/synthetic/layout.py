"""Where things lie: a scene as plain data, without a pixel.

Lengths are in book heights (about 21 cm) on a floor at z = 0. Places in the picture are relative:
x in fractions of the width, y of the height, so that one layout serves every output size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np

from bookcls.synthetic.arrays import Colour, Points
from bookcls.synthetic.camera import Camera


@dataclass(frozen=True)
class Body:
    """A flat box as the picture shows it.

    Attributes:
        front: Corners of the front (4, 2): top left, top right, bottom right, bottom left of the
            thing itself, however it is turned; relative places.
        back: The same corners of its back; equal to ``front`` for a sheet.
        shadow: Corners (N, 2) of what it shades; their hull with the back is the shadow.
        softness: Blur of the shadow in fractions of the picture width.
        darkness: How much light the shadow takes, 0 to 1.
    """

    front: Points
    back: Points
    shadow: Points
    softness: float = 0.01
    darkness: float = 0.4

    def outline(self, width: float, height: float) -> Points:
        """Convex outline (N, 2) in pixels of the whole box, also outside the frame."""
        points = np.concatenate([self.front, self.back]) * (width, height)
        hull = cv2.convexHull(points.astype(np.float32))
        return np.asarray(hull, dtype=np.float64)[:, 0]

    def area(self) -> float:
        """Area of the outline as a share of the picture; may pass 1."""
        return float(cv2.contourArea(self.outline(1.0, 1.0).astype(np.float32)))


@dataclass(frozen=True)
class Ground:
    """The floor: its kind, seed, colour, and angle of its boards in degrees."""

    kind: Literal["wood", "tiles", "desk"] = "wood"
    seed: int = 0
    colour: Colour = (190, 174, 152)
    angle: float = 0.0
    width: float = 0.6


@dataclass(frozen=True)
class Prop:
    """A thing that is no book: what it is and where; ``colours`` mean what its kind says."""

    kind: str
    seed: int
    colours: tuple[Colour, ...]
    body: Body
    shape: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class Item:
    """A cover (or any texture) in the scene; ``cover`` counts into the caller's textures."""

    cover: int
    body: Body


@dataclass(frozen=True)
class Light:
    """How light and camera change the picture.

    Attributes:
        angle: Direction to the light in the picture, degrees, 0 is right, 90 is down.
        gradient: Relative fall of light over half a picture away from the light.
        cast: Factors of red, green and blue.
        exposure: Factor of all three.
        gamma: Exponent after exposure.
        glare: Strength of a soft bright spot, 0 to 1.
        spot: Its place.
        blur: Sigma in fractions of the picture width.
        motion: Length of a motion blur in fractions of the width, along ``angle``.
        noise: Sigma of sensor noise in grey levels (0 to 255).
        haze: How far black is lifted, 0 to 1.
    """

    angle: float = 225.0
    gradient: float = 0.1
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    exposure: float = 1.0
    gamma: float = 1.0
    glare: float = 0.0
    spot: tuple[float, float] = (0.3, 0.3)
    blur: float = 0.0
    motion: float = 0.0
    noise: float = 2.0
    haze: float = 0.02


@dataclass(frozen=True)
class Layout:
    """A scene as plain data. Things are painted in order: props, then items."""

    seed: int
    camera: Camera = field(default_factory=Camera)
    ground: Ground = field(default_factory=Ground)
    props: tuple[Prop, ...] = ()
    items: tuple[Item, ...] = ()
    light: Light = field(default_factory=Light)
