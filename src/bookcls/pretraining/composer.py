"""Scenes composed in batches on the device that trains: no loop over images, no transfer.

What an image shows is up to the seed of its batch. The same seed gives the same batch on the same
kind of device; CPUs and GPUs draw different numbers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from bookcls.pretraining.arrange import NUM_THINGS, arrange
from bookcls.pretraining.atlas import atlas, look_at
from bookcls.pretraining.augment import uniform
from bookcls.pretraining.bank import Bank, widths
from bookcls.pretraining.ground import floors, hashed, palette, through
from bookcls.pretraining.light import expose
from bookcls.pretraining.quads import Boxes, depth, edges
from bookcls.pretraining.rendered import MAX_COVERS, NO_KNOWN, UNKNOWN
from bookcls.pretraining.targets import visible_areas

_COUNTS = (0.34, 0.58, 0.76, 0.9)
"""Cumulated: scenes with at most 1, 2, 3, 4 covers."""


@dataclass(frozen=True)
class Composed:
    """A batch of scenes.

    Attributes:
        images: float32 (N, 3, S, S), RGB in [0, 1].
        ids: int64 (N, K): identities, UNKNOWN for a distractor or nothing.
        areas: float32 (N, K): visible areas as shares of the picture.
    """

    images: Tensor
    ids: Tensor
    areas: Tensor


class Composer:
    """Composes scenes from a bank of covers on one device."""

    def __init__(self, bank: Bank, device: torch.device | str) -> None:
        """Copies the covers to the device: 1 GB for 8,192 of 192 pixels."""
        self.device = torch.device(device)
        self.num_identities = bank.num_identities
        self.sizes = torch.from_numpy(bank.sizes).to(self.device)
        rows, (front, _) = bank.pictures(), widths(bank.height)
        parts, spines = [], []
        for start in range(0, bank.num_covers, 256):
            chunk = torch.tensor(rows[start : start + 256]).to(self.device).permute(0, 3, 1, 2)
            parts.append(atlas(chunk[..., :front].float()))
            spines.append(chunk[..., front:].float().mean(dim=(2, 3)) / 255)
        self.atlas, self.spines = torch.cat(parts), torch.cat(spines)

    @torch.no_grad()
    def compose(self, num: int, image_size: int, seed: int) -> Composed:
        """Composes scenes.

        Args:
            num: How many.
            image_size: Side in pixels.
            seed: Decides the batch.
        """
        rng = torch.Generator(self.device).manual_seed(seed)
        rows, ids = self.draw(rng, num)
        present = rows >= 0
        count = present.sum(1)
        camera, boxes, things = arrange(rng, count, self.sizes[rows.clamp(min=0)])
        x = (torch.arange(image_size, device=self.device) + 0.5) / image_size
        canvas = floors(rng, camera, x, x)
        canvas = self.furnish(rng, canvas, things, x)
        canvas, areas = self.paint(canvas, boxes, rows, uniform(rng, (num, 1), 0.25, 0.6), x)
        return Composed(expose(rng, canvas), ids, areas)

    def draw(self, rng: torch.Generator, num: int) -> tuple[Tensor, Tensor]:
        """Rows of the bank, -1 for no book, and identities; each (num, MAX_COVERS)."""
        shape = (num, MAX_COVERS)
        cumulated = torch.tensor(_COUNTS, device=self.device)
        count = 1 + (uniform(rng, (num, 1), 0, 1) > cumulated).sum(1, keepdim=True)
        way = uniform(rng, (num, 1), 0, 1)
        count = torch.where(way < NO_KNOWN / 2, 0, count)
        slots = torch.arange(MAX_COVERS, device=self.device).expand(shape)
        sure = (uniform(rng, (num, 1), 0, 1) * count).long() == slots
        strange = (uniform(rng, shape, 0, 1) < 0.15) & ~sure | (way < NO_KNOWN)
        num_unknown = len(self.atlas) - self.num_identities
        known = (uniform(rng, shape, 0, 1) * self.num_identities).long()
        # One identity twice in a scene would only be counted twice, which is right as well.
        other = (uniform(rng, shape, 0, 1) * num_unknown).long() + self.num_identities
        present = slots < count
        rows = torch.where(present, torch.where(strange, other, known), -1)
        return rows, torch.where(present & ~strange, known, UNKNOWN)

    def furnish(self, rng: torch.Generator, canvas: Tensor, things: Boxes, x: Tensor) -> Tensor:
        """Lays flat things of stripes (shelves, grilles, mats) on some of the floors."""
        num, size = len(canvas), len(x)
        colours = palette(rng, num * NUM_THINGS, 2).view(num, NUM_THINGS, 2, 3, 1, 1)
        dice = uniform(rng, (4, num, NUM_THINGS), 0, 1)[..., None, None]
        there = dice[0] < 0.3
        for k in range(NUM_THINGS):
            normal, offset = edges(things.front[:, k], things.back[:, k])
            body = (depth(normal, offset, x, x).amin(1) * size + 0.5).clamp(0, 1)
            normal, offset = edges(things.front[:, k] + things.back[:, k : k + 1],
                                   things.shadow[:, k])  # fmt: skip
            shade = (depth(normal, offset, x, x).amin(1) / 0.04 + 0.5).clamp(0, 1)
            u, _ = through(things.inverse[:, k], x, x)
            stripes = hashed(torch.floor(u * (4 + 30 * dice[1, :, k])), dice[2, :, k] * 50)
            plain = dice[3, :, k] < 0.6
            mix = torch.where(plain, 0.0, stripes)[:, None]
            fill = torch.lerp(colours[:, k, 0], colours[:, k, 1], mix)
            shade = torch.where(there[:, k], shade, 0.0)[:, None]
            body = torch.where(there[:, k], body, 0.0)[:, None]
            canvas = torch.lerp(canvas * (1 - 0.35 * shade), fill, body)
        return canvas

    def paint(
        self, canvas: Tensor, boxes: Boxes, rows: Tensor, darkness: Tensor, x: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Paints books from the back to the front.

        Args:
            canvas: float32 (N, 3, S, S).
            boxes: K to an image.
            rows: (N, K), rows of the bank, -1 for no book.
            darkness: (N, 1), of the shadows.
            x: (S,), relative places of the pixels.

        Returns:
            The canvas, and the visible areas (N, K).
        """
        alphas = []
        for k in range(rows.shape[1]):
            there = (rows[:, k] >= 0)[:, None, None]
            front, back = boxes.front[:, k], boxes.back[:, k]
            normal, offset = edges(front + back[:, None], boxes.shadow[:, k])
            soft = 0.015 + 0.5 * boxes.shadow[:, k].norm(dim=-1)[:, None, None]
            shade = (depth(normal, offset, x, x).amin(1) / soft + 0.5).clamp(0, 1)
            canvas = canvas * (1 - torch.where(there, shade, 0.0) * darkness[:, :, None])[:, None]
            normal, offset = edges(front, back)
            body = (depth(normal, offset, x, x).amin(1) * len(x) + 0.5).clamp(0, 1) * there
            alphas.append(body)
            body, cover = body[:, None], self.book(front, back, boxes.inverse[:, k], rows[:, k], x)
            canvas = torch.lerp(canvas, cover, body)
        return canvas, visible_areas(torch.stack(alphas, 1))

    def book(self, front: Tensor, back: Tensor, inverse: Tensor, rows: Tensor, x: Tensor) -> Tensor:
        """Colours (N, 3, S, S) of one book an image: its front, and its sides around it."""
        rows = rows.clamp(min=0)
        normal, offset = edges(front, torch.zeros_like(back))
        distance, side = depth(normal[:, :4], offset[:, :4], x, x).min(1)
        paper = self.spines.new_tensor([0.88, 0.86, 0.8]).expand(len(rows), 3, 3)
        colours = torch.cat([paper, self.spines[rows][:, None]], 1)
        light = normal[:, :4].sum(-1) * 0.12 + 0.75
        colours = colours * light[..., None]
        sides = colours.gather(1, side.view(len(rows), -1, 1).expand(-1, -1, 3))
        sides = sides.transpose(1, 2).reshape(len(rows), 3, *side.shape[1:])
        u, v = through(inverse, x, x)
        cover = look_at(self.atlas[rows], u, v, front, len(x))
        return torch.lerp(sides, cover, (distance * len(x) + 0.5).clamp(0, 1)[:, None])
