"""A complete training run, or an ensemble: from checked settings to a tested model on disk."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bookcls import runs
from bookcls.config import to_yaml
from bookcls.data.photos import decode_folder
from bookcls.data.samples import PhotoFolder, split_train_val
from bookcls.environment import is_first_process, print_loading
from bookcls.errors import BookclsError
from bookcls.runs import MEMBERS
from bookcls.settings import TrainConfig
from bookcls.storage.files import read_json
from bookcls.training.ensemble import combine, train_members

if TYPE_CHECKING:
    from bookcls.models.start import Start

WAIT_SECONDS = 600.0
"""How long the other processes wait for rank 0 to choose the weights, in seconds."""


def run(
    config: TrainConfig,
    folder: PhotoFolder,
    output: Path,
    *,
    origin: Mapping[str, Any],
    started: float,
    resumed: bool = False,
    start: "Start | None" = None,
    part_of: Path | None = None,
) -> None:
    """Decodes the photos, claims the run folder, trains and tests; for an ensemble, each member.

    Args:
        config: The settings.
        folder: The dataset.
        output: The run folder.
        origin: Further entries of environment.json: the overrides, the job of a sweep.
        started: ``time.monotonic()`` when the command started.
        resumed: Whether the run is resumed.
        start: The initial weights; None to choose them here.
        part_of: Folder of the ensemble that this run is a member of.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    if config.ensemble > 1:
        _run_ensemble(config, folder, output, origin, started, resumed=resumed, start=start)
        return
    data = config.data
    folder, images = decode_folder(folder, data.image_size, data.fit, data.on_bad, data.cache_mb)
    split = split_train_val(folder.train, folder.class_names, data.val_fraction, config.seed)
    ckpt = output / runs.LAST if resumed and (output / runs.LAST).is_file() else None
    if resumed:
        runs.check_same_photos(output, folder)
    else:
        runs.claim_folder(output, to_yaml(config))

    # Imported only once the input has been checked: these imports take seconds.
    print_loading()
    from bookcls.training.fitting import fit_and_test

    fit_and_test(
        config,
        output,
        folder,
        images,
        split=split,
        start=start or find_start(config, output, recorded=ckpt is not None),
        ckpt=ckpt,
        started=started,
        origin=dict(origin),
        part_of=part_of,
    )


def _run_ensemble(
    config: TrainConfig,
    folder: PhotoFolder,
    output: Path,
    origin: Mapping[str, Any],
    started: float,
    *,
    resumed: bool,
    start: "Start | None",
) -> None:
    """Trains each member in its own run folder, then averages the weights."""
    first = output / MEMBERS / "1"
    if not resumed:
        runs.claim_folder(output, to_yaml(config))
    elif (first / runs.ENVIRONMENT).is_file():
        runs.check_same_photos(first, folder)
        origin = read_origin(first)
    shared = start or find_start(config, first, recorded=(first / runs.ENVIRONMENT).is_file())

    def fit_member(member_config: TrainConfig, member: Path, resumed: bool) -> None:
        run(
            member_config,
            folder,
            member,
            origin=origin,
            started=time.monotonic(),
            resumed=resumed,
            start=shared,
            part_of=output,
        )

    combine(config, output, train_members(config, output, fit_member), folder, started)


def read_origin(run: Path) -> dict[str, Any]:
    """Returns what a run's environment.json says about its origin: overrides and job of a sweep."""
    path = run / runs.ENVIRONMENT
    saved = read_json(path) if path.is_file() else {}
    if "cell" in saved:  # the older name of a job
        saved["job"] = saved["cell"]
    return {key: saved[key] for key in ("overrides", "job") if key in saved}


def find_start(config: TrainConfig, output: Path, *, recorded: bool = False) -> "Start":
    """Chooses the initial weights of a run, once, in rank 0; a resumed run uses the same.

    Args:
        config: The settings.
        output: The run folder.
        recorded: Whether the run folder already records them.

    Raises:
        BookclsError: If there are no such weights, or rank 0 does not choose any in time.
    """
    from bookcls.models.start import start_from_dict

    path = output / runs.ENVIRONMENT
    if recorded and path.is_file():
        return start_from_dict(read_json(path))
    if not is_first_process():
        deadline = time.monotonic() + WAIT_SECONDS
        while not path.is_file():
            if time.monotonic() > deadline:
                raise BookclsError(
                    f"{path} did not appear within {WAIT_SECONDS:g} s: the first process of this "
                    "run has not chosen the weights, or uses another run folder."
                )
            time.sleep(0.2)
        return start_from_dict(read_json(path))
    return choose_start(config)


def choose_start(config: TrainConfig) -> "Start":
    """Chooses the initial weights of a new run.

    Raises:
        BookclsError: If there are no such weights.
    """
    from bookcls.models.start import resolve

    model = config.model
    weights = model.weights if model.pretrained else None
    return resolve(weights, model.freeze_to, config.optim.lr, model.head)
