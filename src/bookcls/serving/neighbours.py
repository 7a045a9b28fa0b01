"""Finds the training photos that are most similar to a photo for the model."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bookcls.data.photos import decode
from bookcls.data.progress import progress
from bookcls.data.samples import Sample
from bookcls.explaining.explainer import Explainer
from bookcls.explaining.similarity import similarity

NEAREST = 4
BATCH = 16


@dataclass(frozen=True)
class Neighbour:
    """A training photo and its :func:`bookcls.explaining.similarity.similarity` to a photo."""

    sample: Sample
    similarity: float


class Neighbours:
    """Features of the training photos: the inputs of the last layer, (N, 256 or 512)."""

    def __init__(self, explainer: Explainer, samples: Sequence[Sample]) -> None:
        """Computes the features of each photo once; unreadable photos are left out.

        Args:
            explainer: The model.
            samples: Training photos.
        """
        preprocessing = explainer.preprocessing
        images, bad = decode(samples, preprocessing.image_size, preprocessing.fit)
        self.samples = [sample for sample in samples if sample.path not in bad]
        parts: list[Tensor] = []
        for start in progress(range(0, len(self.samples), BATCH), "Comparing photos"):
            batch = self.samples[start : start + BATCH]
            squares = torch.stack([preprocessing(images[s.path]) for s in batch])
            parts.append(explainer.answers(squares)[1])
        self.features = torch.cat(parts) if parts else torch.zeros(0, 1)

    def nearest(self, features: Tensor) -> list[Neighbour]:
        """Returns the most similar training photos, most similar first.

        Args:
            features: float32 (256,) or (512,), of the photo.
        """
        if not self.samples:
            return []
        likeness = torch.from_numpy(similarity(self.features.numpy(), features.numpy()))
        values, indices = likeness.topk(min(NEAREST, len(self.samples)))
        found = zip(indices.tolist(), values.tolist(), strict=True)
        return [Neighbour(self.samples[i], value) for i, value in found]
