"""The probe: logistic regression on the features of a frozen backbone.

It takes seconds to fit and is the baseline for fine-tuning. The features are square-rooted and
scaled to unit length; otherwise a few strong channels dominate (Perronnin et al., ECCV
2010; Arandjelovic & Zisserman, CVPR 2012, for SIFT).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from warnings import catch_warnings, simplefilter

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from bookcls.data.samples import Sample

Array = npt.NDArray[np.float64]
CS = tuple(float(c) for c in np.logspace(0, 3, 7))
"""Candidate values of C, the inverse regularisation strength."""
FOLDS, REPEATS = 5, 2
MAX_PHOTOS = 1000
"""Maximum number of photos for choosing C: more take longer and change little."""


def power_normalised(features: npt.NDArray[np.floating]) -> Array:
    """Computes the square roots of features and scales each row to unit length.

    Args:
        features: float (N, D), at least 0.

    Returns:
        float64 (N, D).
    """
    roots = np.sqrt(np.maximum(features, 0).astype(np.float64) + 1e-6)
    normalised: Array = roots / np.linalg.norm(roots, axis=1, keepdims=True)
    return normalised


@dataclass(frozen=True)
class Probe:
    """A linear classifier on power-normalised features.

    Attributes:
        weight: float64 (C, D).
        bias: float64 (C,).
        c: The inverse regularisation strength that cross-validation chose.
        nll: Cross-validated negative log-likelihood of the training photos; NaN if there are too
            few photos for cross-validation.
    """

    weight: Array
    bias: Array
    c: float
    nll: float

    def probs(self, features: npt.NDArray[np.floating]) -> Array:
        """Predicts class probabilities, float64 (N, C), from features, float (N, D), at least 0."""
        logits = power_normalised(features) @ self.weight.T + self.bias
        logits -= logits.max(axis=1, keepdims=True)
        exp = np.exp(logits)
        probs: Array = exp / exp.sum(axis=1, keepdims=True)
        return probs


def fit_probe(
    features: npt.NDArray[np.floating], samples: Sequence[Sample], num_classes: int, *, seed: int
) -> Probe:
    """Fits the probe; its regularisation is chosen by cross-validation on the same photos.

    Copies of a photo, and photos of the same group, stay in the same fold.

    Args:
        features: float (N, D), at least 0.
        samples: The photos, with their labels.
        num_classes: Number of classes, C.
        seed: Seed of the folds.
    """
    inputs = power_normalised(features)
    labels = np.array([sample.label for sample in samples])
    units = np.array([sample.unit for sample in samples])
    chosen = np.arange(len(labels))
    if len(labels) > MAX_PHOTOS:
        _, chosen = train_test_split(
            chosen, test_size=MAX_PHOTOS, stratify=labels, random_state=seed
        )
    nlls = _cross_validated(inputs[chosen], labels[chosen], units[chosen], seed)
    best = int(np.argmin(nlls)) if nlls is not None else len(CS) // 2
    weight, bias = _fit(inputs, labels, num_classes, CS[best])
    return Probe(weight, bias, CS[best], float(nlls[best]) if nlls is not None else float("nan"))


def _cross_validated(
    inputs: Array, labels: npt.NDArray[np.int64], units: npt.NDArray[np.str_], seed: int
) -> Array | None:
    """Held-out NLL for each value of ``CS``; None if a class has a single photo or group."""
    fewest = min(len(set(units[labels == label])) for label in np.unique(labels))
    if fewest < 2:
        return None
    num_classes = int(labels.max()) + 1
    nlls = np.zeros((len(CS), len(labels)))
    for repeat in range(REPEATS):
        splitter = StratifiedGroupKFold(
            min(FOLDS, fewest), shuffle=True, random_state=(seed + repeat) % 2**32
        )
        for train, held_out in splitter.split(inputs, labels, units):
            for row, c in enumerate(CS):
                weight, bias = _fit(inputs[train], labels[train], num_classes, c)
                logits = inputs[held_out] @ weight.T + bias
                own = logits[np.arange(len(held_out)), labels[held_out]]
                nlls[row, held_out] += np.logaddexp.reduce(logits, axis=1) - own
    means: Array = nlls.mean(axis=1) / REPEATS
    return means


def _fit(
    inputs: Array, labels: npt.NDArray[np.int64], num_classes: int, c: float
) -> tuple[Array, Array]:
    """Fits weight (C, D) and bias (C,); a class without photos gets a probability near zero."""
    model = LogisticRegression(C=c, class_weight="balanced", max_iter=1000)
    with catch_warnings():
        # A fit that has not fully converged is good enough.
        simplefilter("ignore", ConvergenceWarning)
        model.fit(inputs, labels)
    weight, bias = np.zeros((num_classes, inputs.shape[1])), np.full(num_classes, -30.0)
    if len(model.classes_) == 2:
        # scikit-learn stores the difference of the two classes.
        other, one = model.classes_
        weight[one], weight[other] = model.coef_[0] / 2, -model.coef_[0] / 2
        bias[one], bias[other] = model.intercept_[0] / 2, -model.intercept_[0] / 2
    else:
        weight[model.classes_], bias[model.classes_] = model.coef_, model.intercept_
    return weight, bias
