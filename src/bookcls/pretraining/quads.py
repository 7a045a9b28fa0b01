"""Boxes on a plane, seen by a camera, for a whole batch at once; pictures as distance fields.

Places are relative, 0 to 1 across the picture. A convex shape is the set where its half-planes'
distances are all positive, so an outline, its soft shadow and its antialiasing are one minimum.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Camera:
    """A pinhole camera over a plane at z = 0; lengths in book heights.

    Attributes:
        axes: (N, 3, 3): rows right, down, forward in world terms.
        distance: (N,): from the world's origin, which lies in the middle of the picture.
    """

    axes: Tensor
    distance: Tensor

    def seen(self, points: Tensor) -> Tensor:
        """World points (N, ..., 3) to camera coordinates."""
        shape = points.shape
        flat = points.reshape(shape[0], -1, 3)
        turned = flat @ self.axes.transpose(1, 2)
        turned[..., 2] += self.distance[:, None]
        return turned.reshape(shape)

    def place(self, points: Tensor) -> Tensor:
        """World points (N, ..., 3) to relative places (N, ..., 2)."""
        seen = self.seen(points)
        return 0.5 + seen[..., :2] / seen[..., 2:].clamp(min=0.05)


@dataclass(frozen=True)
class Boxes:
    """Boxes as the pictures show them, K to a picture.

    Attributes:
        front: (N, K, 4, 2): corners top left, top right, bottom right, bottom left of the thing.
        back: (N, K, 2): from the front to the back.
        shadow: (N, K, 2): from the back to the far end of the shadow.
        inverse: (N, K, 3, 3): homography from relative places to [-1, 1] across the front.
    """

    front: Tensor
    back: Tensor
    shadow: Tensor
    inverse: Tensor


def look(tilt: Tensor, azimuth: Tensor, distance: Tensor) -> Camera:
    """Cameras (N,) that look down, ``tilt`` radians off the vertical."""
    zero, one = torch.zeros_like(tilt), torch.ones_like(tilt)
    ct, st, ca, sa = tilt.cos(), tilt.sin(), azimuth.cos(), azimuth.sin()
    # World z points at the camera, so the forward axis is -z and the picture is not mirrored.
    turn = torch.stack([ca, sa, zero, sa, -ca, zero, zero, zero, -one], 1).view(-1, 3, 3)
    lean = torch.stack([one, zero, zero, zero, ct, -st, zero, st, ct], 1).view(-1, 3, 3)
    return Camera(lean @ turn, distance)


def plane(camera: Camera, origin: Tensor, across: Tensor, along: Tensor) -> Tensor:
    """Homography (N, K, 3, 3) from relative places to (a, b) of origin + a across + b along.

    All arguments are world vectors (N, K, 3). The inverse of a matrix is, up to a factor, made of
    cross products of its columns.
    """
    axes = camera.axes.transpose(1, 2)
    a, b = across @ axes, along @ axes
    c = camera.seen(origin)
    rows = torch.stack([torch.linalg.cross(p, q) for p, q in ((b, c), (c, a), (a, b))], -2)
    # Rays through the picture are (x - 0.5, y - 0.5, 1).
    last = rows[..., 2:] - 0.5 * (rows[..., :1] + rows[..., 1:2])
    return torch.cat([rows[..., :2], last], -1)


def lying(camera: Camera, spot: Tensor, turn: Tensor, size: Tensor, sun: Tensor) -> Boxes:
    """Boxes that lie on their backs.

    Args:
        camera: N cameras.
        spot: (N, K, 3): centres of the undersides.
        turn: (N, K): radians about the vertical.
        size: (N, K, 3): width, height, thickness.
        sun: (N, 2): how far shadows move per unit of height.
    """
    width, height, thick = size[..., 0], size[..., 1], size[..., 2]
    zero = torch.zeros_like(turn)
    across = torch.stack([turn.cos(), turn.sin(), zero], -1) * (width / 2)[..., None]
    # Down the cover; world y is up in the picture.
    along = torch.stack([turn.sin(), -turn.cos(), zero], -1) * (height / 2)[..., None]
    top = spot + torch.stack([zero, zero, thick], -1)
    signs = spot.new_tensor([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    spread = signs[:, :1] * across[..., None, :] + signs[:, 1:] * along[..., None, :]
    under = camera.place(spot)
    fall = spot.clone()
    fall[..., :2] += sun[:, None] * thick[..., None]
    front = camera.place(top[..., None, :] + spread)
    back = under - camera.place(top)
    return Boxes(front, back, camera.place(fall) - under, plane(camera, top, across, along))


def edges(quads: Tensor, sweep: Tensor) -> tuple[Tensor, Tensor]:
    """Half-planes of what convex quads sweep when they move along a vector.

    Args:
        quads: (N, 4, 2), clockwise on the screen.
        sweep: (N, 2).

    Returns:
        Outward unit normals (N, 6, 2) and offsets (N, 6): inside is ``offset - normal . p > 0``.
        The first four are the quads' own sides, pushed outwards.
    """
    side = quads.roll(-1, 1) - quads
    normal = torch.stack([side[..., 1], -side[..., 0]], -1)
    normal = normal / normal.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    offset = (normal * quads).sum(-1) + (normal * sweep[:, None]).sum(-1).clamp(min=0)
    flank = torch.stack([sweep[:, 1], -sweep[:, 0]], -1)
    flank = flank / flank.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    reach = (quads * flank[:, None]).sum(-1)
    both = torch.stack([flank, -flank], 1)
    ends = torch.stack([reach.amax(1), -reach.amin(1)], 1)
    # Without a sweep there is no flank, and nothing may be cut off.
    still = (sweep.norm(dim=-1) < 1e-6)[:, None]
    ends = torch.where(still, ends.new_tensor(1e3), ends)
    return torch.cat([normal, both], 1), torch.cat([offset, ends], 1)


def depth(normal: Tensor, offset: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Signed distances (N, E, H, W) into each half-plane, of the places (x (W,), y (H,))."""
    along = offset[..., None] - normal[..., :1] * x
    return along[..., None, :] - (normal[..., 1:] * y)[..., None]
