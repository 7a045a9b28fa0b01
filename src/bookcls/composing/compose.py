"""Scenes of several things, composed of cut-outs by the renderer that makes the sample.

Pasting things on other grounds is a strong augmentation (Dwibedi et al., Cut, Paste and Learn,
ICCV 2017). What a scene shows is up to the seed of its draw alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from bookcls.composing.appearance import random_part, relight, scene_size, unknown_objects
from bookcls.composing.cutout import Cutout
from bookcls.data.images import fit_square
from bookcls.data.samples import Sample
from bookcls.data.streams import Stream
from bookcls.synthetic import rooms, sampling, scenes
from bookcls.synthetic.arrays import Bytes, Floats
from bookcls.synthetic.layout import Layout

MIN_SHARE = 0.01
"""Less of a thing than this share of the picture counts as not seen."""

COUNTS = (0.3, 0.24, 0.2, 0.15, 0.11)
"""How often a scene holds 1 to 5 things."""

TRIES = 4


@dataclass(frozen=True)
class Scene:
    """A scene as the network sees it.

    Attributes:
        image: uint8 RGB (S, S, 3).
        target: float32 (C,): each class by the visible area of its things, sums to 1.
    """

    image: Bytes
    target: Floats


class Scenes:
    """Composes scenes from the cut-outs of one training part."""

    def __init__(
        self,
        cutouts: Sequence[Cutout],
        num_classes: int,
        background: int | None,
        *,
        size: int,
        fit: str,
        share: float,
        unknown: float,
    ) -> None:
        """Sorts the cut-outs by class.

        Args:
            cutouts: Of the photos that train, and of no others.
            num_classes: Width of the targets.
            background: Label of the class that shows no thing; its photos are what things are
                laid on. None has floors rendered.
            size: Side of the picture in pixels.
            fit: See :func:`bookcls.data.images.fit_square`.
            share: Share of the draws that become scenes.
            unknown: Share of a scene's things that no class knows.
        """
        self.num_classes, self.background = num_classes, background
        self.size, self.fit, self.share, self.unknown = size, fit, share, unknown
        self.strangers = list(unknown_objects(max(192, 3 * size // 2))) if unknown else []
        self.cutouts = list(cutouts)
        self.aspects = [c.aspect for c in cutouts]
        self.things: dict[int, list[Bytes]] = {}
        self.own: dict[Sample, Bytes] = {}
        self.grounds: list[Bytes] = []
        for c in cutouts:
            if c.picture is not None and c.sample.label == background:
                self.grounds.append(c.picture)
            elif c.picture is not None:
                self.things.setdefault(c.sample.label, []).append(c.picture)
                self.own[c.sample] = c.picture
        self.labels = sorted(self.things)

    def draw(self, sample: Sample, seed: int) -> Scene | None:
        """A scene in place of a photo that was drawn, or None where the photo shall stay.

        Args:
            sample: The photo; the scene shows its thing (another of its class where it could not
                be cut out), or none of any class where it is of the background.
            seed: Decides everything.
        """
        rng = np.random.default_rng([seed, Stream.SCENE])
        empty = sample.label == self.background
        if rng.random() >= self.share or not (empty or sample.label in self.things):
            return None
        for _ in range(TRIES):
            composed = self._compose(rng, sample, empty=empty)
            if composed is not None:
                return composed
        return None

    def _compose(self, rng: np.random.Generator, sample: Sample, *, empty: bool) -> Scene | None:
        """A scene; None if what it must show cannot be seen."""
        labels = self._labels(rng, sample, empty=empty)
        textures: list[Bytes] = []
        sizes: list[sampling.Size] = []
        scale = float(np.exp(rng.uniform(np.log(0.45 if len(labels) < 3 else 0.7), np.log(1.15))))
        main = self.own.get(sample)
        for label in labels:
            own = self.strangers if label is None else self.things[label]
            picture = own[int(rng.integers(len(own)))]
            if label == sample.label and main is not None:
                picture, main = main, None
            size, factor = scene_size(picture), scale * float(np.exp(rng.normal(0, 0.1)))
            textures.append(relight(rng, picture))
            sizes.append((size[0] * factor, size[1] * factor, size[2] * factor))
        aspect = self.aspects[int(rng.integers(len(self.aspects)))]
        layout = sampling.anywhere(rng, sizes, range(len(sizes))) if sizes else rooms.empty(rng)
        image, index = self._render(rng, layout, textures, aspect)
        areas = np.bincount(index.ravel() + 1, minlength=len(labels) + 1)[1:] / index.size
        target = np.zeros(self.num_classes, np.float32)
        for label, area in zip(labels, areas, strict=True):
            if label is not None and area >= MIN_SHARE:
                target[label] += area
        if empty:
            target[sample.label] = 1.0
        if not target.any():
            return None
        square = fit_square(Image.fromarray(image), self.size, self.fit)
        return Scene(square, target / target.sum())

    def _labels(self, rng: np.random.Generator, sample: Sample, *, empty: bool) -> list[int | None]:
        """Classes of the things of a scene in painting order, None for unknown ones."""
        if empty:
            num = int(rng.choice(4, p=(0.3, 0.3, 0.25, 0.15))) if self.unknown else 0
            return [None] * num
        labels: list[int | None] = [sample.label]
        for _ in range(int(rng.choice(len(COUNTS), p=COUNTS))):
            strange = rng.random() < self.unknown
            other = self.labels[int(rng.integers(len(self.labels)))]
            labels.append(None if strange else other)
        return [labels[k] for k in rng.permutation(len(labels))]

    def _render(
        self,
        rng: np.random.Generator,
        layout: Layout,
        textures: Sequence[Bytes],
        aspect: float,
    ) -> tuple[Bytes, npt.NDArray[np.int16]]:
        """Composes at the aspect of a photo, its long side as long as the network's square."""
        short = max(8, round(self.size * min(aspect, 1 / aspect)))
        ground = None
        if self.grounds:
            picture = self.grounds[int(rng.integers(len(self.grounds)))]
            ground = random_part(rng, picture, short, self.size)
        image, index = scenes.framed(
            layout, textures, short, self.size, background=ground, at=float(rng.random())
        )
        # A photo that is taller than wide: the camera is turned, to either side.
        turns = int(rng.choice((1, 3) if aspect < 1 else (0, 2)))
        return np.ascontiguousarray(np.rot90(image, turns)), index
