"""The probe as the baseline of every run, reported in the same table as the fine-tuned model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from bookcls.data.photos import Decoded
from bookcls.data.samples import Sample
from bookcls.errors import BookclsError
from bookcls.features.extract import pooled_features
from bookcls.features.probe import Probe, fit_probe
from bookcls.models.start import Start, start_from_dict
from bookcls.runs import ENVIRONMENT
from bookcls.scoring.scores import score_predictions
from bookcls.scoring.statistics import mcnemar_test
from bookcls.storage.files import atomic_write, read_json
from bookcls.training.devices import select_device

PROBE = "probe.safetensors"
"""File name in the run folder."""


@dataclass(frozen=True)
class Baseline:
    """A probe on the features of a run's initial weights.

    Attributes:
        probe: Fitted on the run's training photos.
        start: The weights that the features are computed with.
        accelerator: Where to compute the features.
    """

    probe: Probe
    start: Start
    accelerator: str

    def metrics(
        self,
        tests: Mapping[str, Sequence[Sample]],
        images: Decoded,
        probs: Mapping[str, Sequence[Sequence[float]]],
    ) -> dict[str, float]:
        """Scores the probe on test photos, and compares it with a model by a paired test.

        Args:
            tests: Test split name -> photos.
            images: The decoded photos.
            probs: Test split name -> the model's probabilities, one row per photo, (N, C).

        Returns:
            ``probe/<split>_<score>`` as for the model, and ``probe/<split>_only_model``,
            ``_only_probe`` (photos that one of them alone got right) and ``_p`` (exact McNemar).
        """
        metrics: dict[str, float] = {}
        for name, samples in tests.items():
            device = select_device(self.accelerator).type
            features = pooled_features(samples, images, self.start, device=device)
            probe_probs = torch.from_numpy(self.probe.probs(features)).float()
            scores = score_predictions(samples, probe_probs)
            pairs = mcnemar_test(
                _is_correct(samples, probs[name]), _is_correct(samples, probe_probs.tolist())
            )
            scores |= {
                "only_model": pairs["only_ours"],
                "only_probe": pairs["only_other"],
                "p": pairs["p"],
            }
            metrics |= {f"probe/{name}_{key}": value for key, value in scores.items()}
        return metrics


def _is_correct(samples: Sequence[Sample], probs: Sequence[Sequence[float]]) -> list[bool]:
    preds = [max(range(len(row)), key=row.__getitem__) for row in probs]
    return [pred in sample.accepted for pred, sample in zip(preds, samples, strict=True)]


def fit_baseline(
    start: Start,
    train: Sequence[Sample],
    images: Decoded,
    num_classes: int,
    *,
    accelerator: str,
    seed: int,
) -> Baseline:
    """Fits the probe on a run's training photos.

    Args:
        start: The weights; must not be random.
        train: The training photos, without the held-out ones.
        images: The decoded photos.
        num_classes: Number of classes.
        accelerator: Where to compute the features.
        seed: Seed of the folds that choose the regularisation.

    Raises:
        BookclsError: If the machine has no such device.
    """
    device = select_device(accelerator).type
    features = pooled_features(train, images, start, device=device)
    return Baseline(fit_probe(features, train, num_classes, seed=seed), start, accelerator)


def has_features(start: Start) -> bool:
    """Whether there are weights to compute features with; prints a note if they cannot be read."""
    if start.path is None:
        return False
    try:
        start.load()
    except BookclsError as error:
        print(f"note: no probe in the table, because its weights are not available: {error}")
        return False
    return True


def find_baseline(run: Path, accelerator: str) -> Baseline | None:
    """Loads the baseline of a finished run, to score it on other photos.

    Args:
        run: The run folder.
        accelerator: Where to compute the features.

    Returns:
        The baseline; None if the run has no probe, or (with a note) if its initial weights are not
        available.

    Raises:
        BookclsError: If the run folder is damaged.
    """
    probe = load_probe(run)
    if probe is None:
        return None
    try:
        start = start_from_dict(read_json(run / ENVIRONMENT))
    except (LookupError, TypeError) as error:
        raise BookclsError(f"{run / ENVIRONMENT} does not describe the initial weights.") from error
    return Baseline(probe, start, accelerator) if has_features(start) else None


def save_probe(run: Path, probe: Probe) -> None:
    """Writes a probe into a run folder, 16 kB for eight classes."""
    tensors = {name: torch.from_numpy(getattr(probe, name)) for name in ("weight", "bias")}
    tensors["chosen"] = torch.tensor([probe.c, probe.nll], dtype=torch.float64)
    with atomic_write(run / PROBE) as temporary:
        temporary.write_bytes(save(tensors))


def load_probe(run: Path) -> Probe | None:
    """Reads the probe of a run folder; returns None if there is none.

    Raises:
        BookclsError: If the file is damaged.
    """
    path = run / PROBE
    if not path.is_file():
        return None
    try:
        tensors = load(path.read_bytes())
        c, nll = tensors["chosen"].tolist()
        weight, bias = (tensors[name].double().numpy() for name in ("weight", "bias"))
        if weight.ndim != 2 or bias.shape != weight.shape[:1]:
            raise ValueError(f"weight of shape {weight.shape}, bias of shape {bias.shape}")
    except (SafetensorError, LookupError, ValueError, TypeError, OSError) as error:
        raise BookclsError(f"{path} is damaged ({error}): delete it.") from error
    return Probe(weight, bias, c, nll)
