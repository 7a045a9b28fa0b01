"""Computes a model's predictions, maps, scores and audits, in batches."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from bookcls.data.images import ImageError
from bookcls.data.masks import Mask, find_mask, fit_mask, load_mask
from bookcls.data.samples import Sample
from bookcls.errors import BookclsError
from bookcls.explaining import audit as audits
from bookcls.explaining.audit import Audit
from bookcls.explaining.explanation import Explanation, derive_seed
from bookcls.explaining.map_scores import MapScores, flag, measure, random_map
from bookcls.explaining.maps import HeatMap, heat_maps
from bookcls.explaining.road import road_scores
from bookcls.explaining.settings import SLOW, TARGETS, CamConfig
from bookcls.training.classifier import Classifier
from bookcls.training.devices import ran_out_of_memory, select_device

READABLE = 128
"""Minimum map size for models trained on smaller photos: 8x8 cells instead of 4x4 or 2x2."""
LAST = 3
"""Number of the head's last modules: dropout, the linear layer for the logits, activation."""
SHOWN = 320
"""Side of the photos in figures, in pixels."""


class Explainer:
    """Explains what a trained classifier looked at."""

    def __init__(self, ckpt: Path, classifier: Classifier, config: CamConfig) -> None:
        """Wraps a classifier and moves it to the device in the settings.

        Args:
            ckpt: Its checkpoint, for messages.
            classifier: The classifier.
            config: The settings.

        Raises:
            BookclsError: If the device, the class or the size is not available.
        """
        self.ckpt = ckpt
        self.config = config
        self.class_names: list[str] = classifier.class_names
        self.model = classifier.model.to(select_device(config.trainer.accelerator))
        self.preprocessing = classifier.preprocessing
        self.image_size = self.preprocessing.image_size
        fixed_size = classifier.hparams["head"] == "flatten256"
        self.size = config.size or (
            self.image_size if fixed_size else max(self.image_size, READABLE)
        )
        if fixed_size and self.size != self.image_size:
            raise BookclsError(
                f"size={self.size}: {ckpt} has the head flatten256, which only accepts "
                f"{self.image_size} px. Leave size out, or blend in an earlier layer: "
                "layer=[block4_conv3,block5_conv3]."
            )
        if config.target not in TARGETS and config.target not in self.class_names:
            raise BookclsError(
                f"target={config.target}: choose {', '.join(TARGETS)} or one of the classes "
                f"{', '.join(self.class_names)}."
            )

    def explain(
        self,
        split: str,
        samples: Sequence[Sample],
        root: Path | None,
        batch_size: int,
        *,
        audit: bool = True,
    ) -> Iterator[Explanation]:
        """Explains photos batch by batch; only one batch is in memory.

        Args:
            split: Folder of the split.
            samples: Its photos.
            root: Folder of the dataset, which contains the masks, or None.
            batch_size: Photos per batch.
            audit: Whether to classify changed photos as well; False if only the maps are needed.

        Yields:
            One explanation per photo, in order.

        Raises:
            BookclsError: If a photo or a mask cannot be used, or the device has too little memory.
        """
        try:
            for start in range(0, len(samples), batch_size):
                part = samples[start : start + batch_size]
                yield from self._batch(split, part, root, audit=audit)
        except RuntimeError as error:
            if not ran_out_of_memory(error):
                raise
            raise BookclsError(
                f"the device has too little memory for {batch_size} photos of {self.size} px: give "
                f"a lower data.batch_size= or size=, or trainer.accelerator=cpu."
            ) from error

    def _load(self, sample: Sample, size: int) -> npt.NDArray[np.uint8]:
        try:
            return self.preprocessing.with_size(size).square(sample.path)
        except ImageError as error:
            raise BookclsError(f"{sample.path}: {error}.") from error

    def shown(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """A photo for figures, uint8 (SHOWN, SHOWN, 3)."""
        return self._load(sample, SHOWN)

    def images(self, samples: Sequence[Sample], size: int) -> Tensor:
        """Normalised photos, float32 (N, 3, size, size), on the CPU."""
        return torch.stack([self.preprocessing(self._load(s, size)) for s in samples])

    @torch.no_grad()
    def answers(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Computes probabilities (N, C) and the inputs of the last layer, (N, 256 or 512)."""
        images = images.to(next(self.model.parameters()).device)
        features = self.model.features(images.contiguous(memory_format=torch.channels_last))
        hidden = self.model.head[:-LAST](features)
        probs = self.model.head[-LAST:](hidden).float().softmax(dim=1)
        return probs.cpu(), hidden.float().cpu()

    def _batch(
        self, split: str, samples: Sequence[Sample], root: Path | None, *, audit: bool
    ) -> Iterator[Explanation]:
        images = self.images(samples, self.image_size)
        probs, features = self.answers(images)
        preds = probs.argmax(dim=1).tolist()
        large = images if self.size == self.image_size else self.images(samples, self.size)
        shown = [self._classes(s, p) for s, p in zip(samples, preds, strict=True)]
        pairs = [(i, k) for i, ks in enumerate(shown) for k in dict.fromkeys([preds[i], *ks])]
        maps_by_class: list[dict[int, HeatMap]] = [{} for _ in samples]
        # The slow methods build a batch from each photo: one image per channel.
        step = 1 if self.config.method in SLOW else len(samples)
        for start in range(0, len(pairs), step):
            part = pairs[start : start + step]
            batch = large[[i for i, _ in part]].to(next(self.model.parameters()).device)
            method, layers = self.config.method, self.config.layers
            for (i, k), heat in zip(
                part,
                heat_maps(self.model, batch, [k for _, k in part], method, layers),
                strict=True,
            ):
                maps_by_class[i][k] = heat
        masks = [self._mask(root, sample) for sample in samples]
        small = [
            None if m is None else fit_mask(m, self.image_size, self.preprocessing.fit)
            for m in masks
        ]
        maps = [maps_by_class[i][p] for i, p in enumerate(preds)]
        if audit:
            audit_results = self._audit(samples, images, probs, maps, small)
        else:
            audit_results = [Audit() for _ in samples]
        for i, sample in enumerate(samples):
            mask = masks[i]
            numbers: dict[int, MapScores | None] = dict.fromkeys(maps_by_class[i])
            if mask is not None:
                square = fit_mask(mask, self.size, self.preprocessing.fit)
                for k, heat in maps_by_class[i].items():
                    numbers[k] = measure(heat, square == k + 1)
            correct = preds[i] in sample.accepted if sample.accepted else None
            word, reason = flag(
                correct=correct,
                prob=float(probs[i, preds[i]]),
                unsure=self.config.unsure,
                heat=maps_by_class[i][preds[i]],
                numbers=numbers[preds[i]],
                audit=audit_results[i],
            )
            yield Explanation(
                split=split,
                sample=sample,
                probs=probs[i].numpy(),
                features=features[i].numpy(),
                correct=correct,
                flag=word,
                reason=reason,
                heat_maps=maps_by_class[i],
                numbers=numbers,
                shown=shown[i],
                audit=audit_results[i],
                road=self._road(
                    images[i], maps_by_class[i][preds[i]], preds[i], mask is None, sample
                ),
                photo=self.shown(sample),
            )

    def _classes(self, sample: Sample, pred: int) -> list[int]:
        """Returns the classes to show; the predicted one if the photo has no such label."""
        target = self.config.target
        if target == "predicted":
            return [pred]
        if target == "dominant":
            return [sample.label if sample.label >= 0 else pred]
        if target == "accepted":
            return list(sample.accepted)
        return [self.class_names.index(target)]

    def _mask(self, root: Path | None, sample: Sample) -> Image.Image | None:
        path = find_mask(root, sample) if root else None
        return load_mask(path, sample.path, len(self.class_names)) if path else None

    def _audit(
        self,
        samples: Sequence[Sample],
        images: Tensor,
        probs: Tensor,
        maps: Sequence[HeatMap],
        masks: Sequence[Mask | None],
    ) -> list[Audit]:
        """Classifies the changed photos of a batch, one forward pass per kind of change."""
        preds = [int(k) for k in probs.argmax(dim=1)]
        rows = list(zip(images, preds, maps, masks, strict=True))
        blurred = self._predict_optional(audits.blurred(x, heat.map) for x, _, heat, _ in rows)
        chance = self._predict_optional(
            audits.blurred(x, random_map(heat, derive_seed(sample)))
            for sample, (x, _, heat, _) in zip(samples, rows, strict=True)
        )
        alone = self._predict_optional(audits.remove_objects(x, mask) for x, _, _, mask in rows)
        without = self._predict_optional(
            audits.remove_objects(x, None if mask is None else mask * (mask == k + 1))
            for x, k, _, mask in rows
        )
        return [
            audits.compare(
                k,
                blurred=None if heat.empty else blurred[i],
                chance=None if heat.empty else chance[i],
                alone=alone[i],
                without=without[i],
            )
            for i, (_, k, heat, _) in enumerate(rows)
        ]

    def _predict_optional(self, images: Iterable[Tensor | None]) -> list[Tensor | None]:
        """Predicts the probabilities (C,) of each image; None for None."""
        optional = list(images)
        present = [x for x in optional if x is not None]
        answers: Iterator[Tensor] = iter(self.answers(torch.stack(present))[0] if present else ())
        return [None if x is None else next(answers) for x in optional]

    def _road(
        self, image: Tensor, heat: HeatMap, k: int, unmasked: bool, sample: Sample
    ) -> tuple[float, float] | None:
        enabled = unmasked if self.config.road is None else self.config.road
        if not enabled or heat.empty:
            return None
        seed = derive_seed(sample)
        pair = [heat.map, random_map(heat, seed)]
        images = torch.stack([image, image]).to(next(self.model.parameters()).device)
        own, chance = road_scores(self.model, images, pair, [k, k], seed)
        return own, chance
