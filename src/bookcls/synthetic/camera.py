"""A pinhole camera over a floor at z = 0; lengths in book heights, places relative."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bookcls.synthetic.arrays import Points


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks at a spot in the room.

    Attributes:
        elevation: Degrees above the horizon; 90 looks straight down.
        azimuth: Degrees by which the view is turned about the vertical.
        roll: Degrees by which the phone is turned about its own axis.
        distance: From the spot, in book heights.
        focal: Focal length in picture widths.
        aspect: Picture width over height.
        spot: The point (x, y, z) in the middle of the picture.
    """

    elevation: float = 90.0
    azimuth: float = 0.0
    roll: float = 0.0
    distance: float = 3.0
    focal: float = 1.0
    aspect: float = 4 / 3
    spot: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def _axes(self) -> tuple[Points, Points]:
        """Rows right, down, forward of the camera in world terms, and its position."""
        up, turn, roll = np.radians([self.elevation, self.azimuth, self.roll])
        flat = np.array([np.sin(turn), -np.cos(turn), 0.0])
        back = np.cos(up) * flat + np.array([0.0, 0.0, np.sin(up)])
        right = np.array([np.cos(turn), np.sin(turn), 0.0])
        down = np.cross(-back, right)
        axes = np.stack(
            [
                np.cos(roll) * right + np.sin(roll) * down,
                np.cos(roll) * down - np.sin(roll) * right,
                -back,
            ]
        )
        return axes, np.array(self.spot) + self.distance * back

    def project(self, points: Points) -> Points:
        """World points ``(..., 3)`` to relative picture places ``(..., 2)``."""
        axes, position = self._axes()
        seen = (points - position) @ axes.T
        depth = np.maximum(seen[..., 2:], 0.05)
        places: Points = 0.5 + self.focal * seen[..., :2] / depth * np.array([1.0, self.aspect])
        return places

    def floor(self) -> Points:
        """Homography (3, 3) from relative picture places to floor points (x, y)."""
        axes, position = self._axes()
        rays = axes.T @ np.array(
            [
                [1 / self.focal, 0.0, -0.5 / self.focal],
                [0.0, 1 / (self.focal * self.aspect), -0.5 / (self.focal * self.aspect)],
                [0.0, 0.0, 1.0],
            ]
        )
        # A ray p + s * r meets z = 0 at s = -p_z / r_z.
        return np.stack(
            [
                rays[0] * position[2] - position[0] * rays[2],
                rays[1] * position[2] - position[1] * rays[2],
                -rays[2],
            ]
        )
