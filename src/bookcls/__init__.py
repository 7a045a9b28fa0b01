"""A strong image classifier from a very small dataset, with the evidence to trust it."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bookcls.predicting.predictor import Predictor

__version__ = "0.1.0"


def load(
    run: "str | os.PathLike[str] | None" = None,
    *,
    unsure: "float | str | os.PathLike[str]" = 0.5,
    rotations: int = 1,
    batch_size: int = 16,
    accelerator: str = "auto",
) -> "Predictor":
    """A trained model that answers: ``bookcls.load("runs/DATE/TIME").predict(["photo.jpg"])``.

    Args:
        run: A run folder or a ``.ckpt`` file; None for the latest finished run below ``runs/``.
        unsure: Answers with a lower probability are unsure; or a folder that ``tune`` wrote.
        rotations: Answers averaged over 1, 2 or 4 turns of a photo.
        batch_size: Photos a step.
        accelerator: ``auto``, ``cpu``, ``gpu``, ``cuda`` or ``mps``.

    Raises:
        bookcls.errors.BookclsError: For a value out of range, or what is not there.
    """
    # Only now: torch takes seconds, and `import bookcls` none.
    from bookcls import runs
    from bookcls.predicting.predictor import Predictor
    from bookcls.predicting.settings import PredictConfig
    from bookcls.predicting.threshold import find_threshold
    from bookcls.settings import EvaluateTrainer

    # Only for its checks of the values.
    PredictConfig(
        "", rotations=rotations, batch_size=batch_size, trainer=EvaluateTrainer(accelerator)
    )
    ckpt = runs.open_run(None if run is None else os.fspath(run)).ckpt
    return Predictor(
        ckpt,
        find_threshold(unsure),
        rotations=rotations,
        batch_size=batch_size,
        accelerator=accelerator,
    )
