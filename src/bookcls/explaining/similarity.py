"""How much alike two photos look to a model: the one measure that cam and serve both use."""

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.float32]


def similarity(training: Features, photo: Features) -> Features:
    """Cosine similarity of a photo to each training photo, seen from the mean training photo.

    Hidden units are never negative, so seen from zero all photos look alike: the cosine of any two
    would be close to 1.

    Args:
        training: float32 (N, 256), the head's hidden units for the training photos.
        photo: float32 (256,), those for the photo.

    Returns:
        float32 (N,), in [-1, 1]; 0 for a photo that is the mean itself.
    """
    if not len(training):
        return np.zeros(0, np.float32)
    mean = training.mean(axis=0)
    centred, here = training - mean, photo - mean
    lengths = np.linalg.norm(centred, axis=1) * np.linalg.norm(here)
    return np.asarray(centred @ here / np.maximum(lengths, 1e-12), np.float32)
