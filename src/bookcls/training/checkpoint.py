"""Loads a classifier from a checkpoint."""

import inspect
from pathlib import Path

from bookcls.errors import BookclsError
from bookcls.models.state_dict import UNREADABLE, load_plain
from bookcls.training.classifier import Classifier
from bookcls.training.hparams import check_hparams


def load_classifier(path: Path) -> Classifier:
    """Rebuilds a classifier from a checkpoint alone, without executing code from the file.

    Args:
        path: A ``.ckpt`` file written by training.

    Returns:
        The classifier on the CPU, in evaluation mode.

    Raises:
        BookclsError: If the file is missing or is not such a checkpoint.
    """
    if not path.is_file():
        raise BookclsError(f"{path}: there is no such checkpoint.")
    try:
        ckpt = load_plain(path)
        hparams = dict(ckpt["hyper_parameters"])
        check_hparams(hparams, inspect.signature(Classifier).parameters)
        classifier = Classifier(**hparams)
        classifier.load_state_dict(ckpt["state_dict"])
    except (*UNREADABLE, BookclsError) as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise BookclsError(f"{path} is not a bookcls checkpoint ({first[0][:160]}).") from error
    return classifier.eval()
