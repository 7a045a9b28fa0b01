"""Cross-validates a recipe on the training photos; test photos are never used."""

import gc
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from sklearn.model_selection import RepeatedStratifiedKFold
from torch.nn.functional import cross_entropy

from bookcls.data.photos import Decoded
from bookcls.data.samples import PhotoFolder, Sample
from bookcls.data.streams import Stream
from bookcls.data.transforms import Transform
from bookcls.models.start import Start
from bookcls.models.weights import MEAN, STD
from bookcls.settings import TrainConfig
from bookcls.training.baseline import fit_baseline, has_features
from bookcls.training.classifier import Classifier
from bookcls.training.datamodule import PhotoDataset
from bookcls.training.divergence import DivergedError
from bookcls.training.recipe import build, make_datamodule, make_trainer, num_epochs

VIEWS = Transform(MEAN, STD, rotate=40.0, zoom=0.3, erase=0.5)
"""The usual augmentation of the study, without flips: a photo never shows mirrored print."""


@dataclass(frozen=True)
class Fold:
    """One division of the training photos.

    Attributes:
        train: Indices of the training part.
        held_out: Indices of the held-out part.
        seed: Seed of initialisation and batches, the same for every recipe.
    """

    train: list[int]
    held_out: list[int]
    seed: int


@dataclass(frozen=True)
class FoldResult:
    """Predictions of a fold's model for its held-out photos, in the order of ``Fold.held_out``.

    Attributes:
        nll: Negative log-probability of the true class of each photo, averaged over its views.
        correct: Whether the prediction for each unaugmented photo is correct.
        probs: float64 (1 + views, photos, C); index 0 is the unaugmented photo.
    """

    nll: list[float]
    correct: list[bool]
    probs: npt.NDArray[np.float64]


def make_folds(samples: Sequence[Sample], cv: int, repeats: int, seed: int) -> list[Fold]:
    """Creates repeated stratified folds; copies of a photo, and groups, stay in the same fold.

    Args:
        samples: Training photos, at least ``cv`` different ones of each class.
        cv: Number of folds per repeat.
        repeats: Number of times that the photos are divided.
        seed: Seed of the folds, and of their training seeds.

    Returns:
        ``cv * repeats`` folds; the folds of a repeat hold out each photo once.
    """
    labels = {s.unit: s.label for s in samples}
    units = np.array(list(labels))
    state = int(np.random.SeedSequence([seed, Stream.FOLDS]).generate_state(1)[0])
    divider = RepeatedStratifiedKFold(n_splits=cv, n_repeats=repeats, random_state=state)
    folds = []
    for number, (_, held) in enumerate(divider.split(units, list(labels.values()))):
        out = set(units[held])
        folds.append(
            Fold(
                [i for i, s in enumerate(samples) if s.unit not in out],
                [i for i, s in enumerate(samples) if s.unit in out],
                int(np.random.SeedSequence([seed, Stream.FOLD_SEED, number]).generate_state(1)[0]),
            )
        )
    return folds


def evaluate_fold(
    config: TrainConfig,
    start: Start,
    folder: PhotoFolder,
    images: Decoded,
    fold: Fold,
    *,
    views: int,
) -> FoldResult:
    """Trains on one part of a fold and evaluates the last (averaged) weights on the other.

    Nothing is selected on the held-out photos, and nothing is written. Photos, views,
    initialisation and order of batches are the same for every recipe.

    Args:
        config: The recipe.
        start: The initial weights.
        folder: The dataset; only its training photos are used.
        images: The decoded photos.
        fold: The fold.
        views: Number of fixed augmented views of each held-out photo, in addition to the photo.

    Raises:
        DivergedError: If the loss or a score is not finite.
    """
    views_seed = config.seed
    config = replace(config, seed=fold.seed)
    datamodule = make_datamodule(
        config, folder, images, train=[folder.train[i] for i in fold.train]
    )
    stages = num_epochs(config, datamodule.num_drawn)
    datamodule.cached_views = min(config.data.cached_views, max(0, sum(stages) - 1))
    trainer = make_trainer(config, epochs=sum(stages))
    classifier = build(config, folder.class_names, start=start, probe_epochs=stages[0])
    if config.model.head == "linear" and has_features(start):
        baseline = fit_baseline(
            start,
            [folder.train[i] for i in fold.train],
            images,
            len(folder.class_names),
            accelerator=config.trainer.accelerator,
            seed=config.seed,
        )
        classifier.load_probe(baseline.probe.weight, baseline.probe.bias)
    if sum(stages):
        trainer.fit(classifier, datamodule=datamodule)
    classifier = classifier.to(trainer.strategy.root_device).eval()
    seeds = [
        [
            int(np.random.SeedSequence([views_seed, Stream.FOLD_VIEWS, i, v]).generate_state(1)[0])
            for i in fold.held_out
        ]
        for v in range(views)
    ]
    result = evaluate_views(
        classifier, [folder.train[i] for i in fold.held_out], images, seeds, config.data.batch_size
    )
    del trainer, classifier
    gc.collect()  # they are in a reference cycle
    return result


def evaluate_views(
    classifier: Classifier,
    samples: Sequence[Sample],
    images: Decoded,
    seeds: Sequence[Sequence[int]],
    batch_size: int,
) -> FoldResult:
    """Evaluates photos without augmentation and in augmented views, in float32.

    Args:
        classifier: In evaluation mode.
        samples: The photos.
        images: The decoded photos.
        seeds: One seed per photo, for each view.
        batch_size: Photos per batch.

    Raises:
        DivergedError: If a score is not finite.
    """
    plain, augmented = (PhotoDataset(samples, images, t) for t in (Transform(MEAN, STD), VIEWS))
    nll = np.zeros((1 + len(seeds), len(samples)))
    probs = np.zeros((*nll.shape, len(classifier.class_names)))
    correct: list[bool] = []
    for start in range(0, len(samples), batch_size):
        part = range(start, min(start + batch_size, len(samples)))
        labels = torch.tensor([samples[i].label for i in part], device=classifier.device)
        batches = [[plain[i][0] for i in part]]
        batches += [[augmented[i, row[i]][0] for i in part] for row in seeds]
        for view, batch in enumerate(batches):
            with torch.inference_mode():
                logits = classifier(torch.stack(batch).to(classifier.device))
                nll[view, part] = cross_entropy(logits, labels, reduction="none").cpu().numpy()
                probs[view, part] = logits.softmax(dim=1).cpu().numpy()
            if view == 0:
                correct += (logits.argmax(dim=1) == labels).tolist()
    if not np.isfinite(nll).all():
        raise DivergedError("the trained model's predictions are not finite.")
    return FoldResult(nll.mean(axis=0).tolist(), correct, probs)
