"""A strong image classifier from a very small dataset, with the evidence to trust it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bookcls.predicting.predictor import Predictor

__version__ = "0.1.0"


@dataclass(frozen=True)
class Run:
    """A finished training run.

    Attributes:
        folder: The run folder, as written by ``python -m bookcls.train``.
        metrics: The contents of metrics.json: ``test/<split>_acc`` and others.
    """

    folder: Path
    metrics: dict[str, Any]

    def predictor(self, **options: Any) -> "Predictor":  # noqa: ANN401  # those of load
        """Loads the trained model; ``options`` are passed to :func:`load`."""
        return load(self.folder, **options)


def fit(
    root: "str | os.PathLike[str]",
    *,
    experiment: str | None = "laptop",
    overrides: Sequence[str] = (),
    output: "str | os.PathLike[str] | None" = None,
) -> Run:
    """Trains and tests a classifier on a folder of photos, like ``python -m bookcls.train``.

    Args:
        root: The folder that contains ``train/<class>/``, and optionally ``test/`` or
            ``test_<name>/``.
        experiment: A recipe of conf/experiment: ``laptop``, ``probe``, ``best``, ``small`` or
            another; None for the defaults of conf/train.yaml. Without a network, ``laptop`` and
            ``best`` use the settings of recipes for the weights that ship.
        overrides: Further settings, as on the command line: ``["aug=all", "seed=1"]``.
        output: The run folder; None for a new one, ``runs/DATE/TIME``.

    Returns:
        The run. The result tables are printed as well.

    Raises:
        bookcls.errors.BookclsError: If a setting, a photo or a folder cannot be used.

    Example:
        >>> run = bookcls.fit("photos", overrides=["seed=1"])  # doctest: +SKIP
        >>> run.predictor().predict(["new.jpg"])  # doctest: +SKIP
    """
    from bookcls import runs
    from bookcls.command.fit import fit as fit_folder
    from bookcls.storage.files import read_json

    folder = fit_folder(root, experiment, overrides, output)
    return Run(folder, read_json(folder / runs.METRICS))


def load(
    run: "str | os.PathLike[str] | None" = None,
    *,
    unsure: "float | str | os.PathLike[str]" = 0.5,
    rotations: int = 1,
    batch_size: int = 16,
    accelerator: str = "auto",
) -> "Predictor":
    """Loads a trained model: ``bookcls.load("runs/DATE/TIME").predict(["photo.jpg"])``.

    Args:
        run: A run folder or a ``.ckpt`` file; None for the latest finished run below ``runs/``.
        unsure: Probability in [0, 1] below which a prediction is unsure; or a folder written by
            ``tune``, to choose the threshold from its held-out predictions.
        rotations: Average the predictions over 1, 2 or 4 rotations of each photo.
        batch_size: Photos per batch.
        accelerator: ``auto``, ``cpu``, ``gpu``, ``cuda`` or ``mps``.

    Raises:
        bookcls.errors.BookclsError: For a value out of range, or a run that does not exist.
    """
    # Imported late: torch takes seconds to import.
    from bookcls import runs
    from bookcls.predicting.predictor import Predictor
    from bookcls.predicting.settings import PredictConfig
    from bookcls.predicting.threshold import find_threshold
    from bookcls.settings import EvaluateTrainer

    # Only to check the values.
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
