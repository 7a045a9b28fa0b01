"""Similarity of photos in the feature space of a model, used by both cam and serve."""

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.float32]


def similarity(training: Features, photo: Features) -> Features:
    """Computes the centred cosine similarity of a photo to each training photo.

    Features are centred on the mean of the training photos: hidden units are never negative, so
    without centring, the cosine of any two photos would be close to 1.

    Args:
        training: float32 (N, D), the inputs of the head's last layer for the training photos.
        photo: float32 (D,), those for the photo.

    Returns:
        float32 (N,), in [-1, 1]; 0 if the photo equals the mean.
    """
    if not len(training):
        return np.zeros(0, np.float32)
    mean = training.mean(axis=0)
    centred, here = training - mean, photo - mean
    lengths = np.linalg.norm(centred, axis=1) * np.linalg.norm(here)
    return np.asarray(centred @ here / np.maximum(lengths, 1e-12), np.float32)
