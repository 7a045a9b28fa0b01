"""``python -m bookcls.train``: from a folder of photos to a tested classifier."""

import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from bookcls import cells, command, workers
from bookcls.config import BOOKS, full_path, project_path, read_config, typed
from bookcls.dataset import read_folder
from bookcls.ensemble import combine, fit_members, none_to_begin
from bookcls.errors import BookclsError
from bookcls.layers import first_trained
from bookcls.photos import decode_folder
from bookcls.runs import (
    CONFIG,
    ENVIRONMENT,
    LAST,
    LOCK,
    MEMBERS,
    BusyError,
    claim,
    held,
    is_finished,
    read_json,
    same_photos,
)
from bookcls.samples import PhotoFolder, split_train_val
from bookcls.settings import ModelConfig, TrainConfig


def prepare(argv: list[str]) -> list[str]:
    """Makes ``resume=RUN`` write into RUN, and refuses it beside other settings.

    Raises:
        BookclsError: If there is no such unfinished run.
    """
    return command.resumed(argv, beside=["data.root"], is_finished=is_finished)


def train(config: TrainConfig, run: Path) -> None:
    """Checks the input, then trains and tests: a single run, or a cell of a sweep.

    Args:
        config: The settings.
        run: Folder for the results; for a cell that of the whole sweep.

    Raises:
        BookclsError: For anything that the user can put right.
    """
    started = time.monotonic()
    words = list(HydraConfig.get().overrides.task)
    resumed = config.resume is not None
    root = config.data.root
    if resumed:
        config = typed(read_config(run / CONFIG), TrainConfig)
        if not any(word.startswith("data.root=") for word in words):
            root = config.data.root
    folder_path = full_path("data.root", root)
    config = replace(config, data=replace(config.data, root=str(folder_path)))
    if config.ensemble > 1:
        begun = resumed and none_to_begin(run, config.ensemble)
    else:
        begun = resumed and (run / LAST).is_file()
    config = replace(config, model=settled(config.model, words, begun=begun))
    if config.model.freeze_to != "auto":
        first_trained(config.model.freeze_to)
    if not folder_path.exists() and folder_path == Path(project_path(BOOKS)):
        raise BookclsError(f"{folder_path} is not there yet: get it by python -m bookcls.fetch.")
    folder = read_folder(folder_path, on_bad=config.data.on_bad)
    if cells.current is None and HydraConfig.get().mode == RunMode.MULTIRUN:
        raise BookclsError("the sweep could not be set up; the warning above says why.")
    if cells.current is not None:
        train_cell(cells.current, config, folder, words, started)
        return
    origin: dict[str, Any] = {"overrides": words}
    if resumed:
        saved = read_json(run / ENVIRONMENT) if (run / ENVIRONMENT).is_file() else {}
        origin = {key: saved[key] for key in ("overrides", "cell") if key in saved}
    with held(run):
        if resumed and is_finished(run):  # by another process, a moment ago
            raise BookclsError(f"resume={run}: this run is finished; look into {run}.")
        fit(config, run, folder, origin, started, resumed=resumed)


def settled(model: ModelConfig, words: list[str], *, begun: bool) -> ModelConfig:
    """The model's settings, with no weights from scratch, and a file by its absolute path.

    Args:
        model: As composed.
        words: The overrides that were given.
        begun: Whether a checkpoint brings the weights, so that their file may be gone.

    Raises:
        BookclsError: If weights are asked for that are not used, or there is no such file.
    """
    given = any(word.startswith("model.weights=") for word in words)
    if not model.pretrained:
        if given and cells.current is None and model.weights != "auto":
            raise BookclsError(
                f"model.weights={model.weights} is used only with weights: "
                "add model.pretrained=true."
            )
        # The experiment's, or those of other cells of a sweep.
        return replace(model, weights="auto")
    if model.weights in ("auto", "imagenet", "rendered"):
        return model
    path = full_path("model.weights", model.weights)
    if path.is_file():
        return replace(model, weights=str(path))
    if begun or cells.current is not None:
        return model  # a cell says in its own words that there are none
    raise BookclsError(
        f"model.weights={model.weights}: there is no such file. Give auto, imagenet, rendered, or "
        "the path of a .pth or .safetensors state dict of VGG16."
    )


def train_cell(
    cell: cells.Cell, config: TrainConfig, folder: PhotoFolder, words: list[str], started: float
) -> None:
    """Trains a cell of a sweep: not again if it is finished, from its last checkpoint if it can.

    Raises:
        BookclsError: For anything that the user can put right.
    """
    if config.trainer.several:
        raise BookclsError(
            f"trainer.devices={config.trainer.devices}, trainer.num_nodes="
            f"{config.trainer.num_nodes}: each cell of a sweep has one device. For cells side by "
            "side add hydra/launcher=joblib; for one run on several devices leave the sweep out."
        )
    weights = cells.weights_of(config.model.weights) if config.model.pretrained else "scratch"
    cell.key = cells.cell_key(asdict(config), folder.fingerprint(), weights)
    run = cell.run
    if not is_finished(run):
        run.mkdir(parents=True, exist_ok=True)
        try:
            with held(run):
                if not is_finished(run):  # by another process, a moment ago
                    run_cell(cell, config, folder, words, started)
                    return
        except BusyError:
            cell.outcome = "elsewhere"
            print(f"{cell}: another process is at it", flush=True)
            return
    cell.outcome = "done before"
    print(f"{cell}: done before, {cells.accuracies(run)}", flush=True)


def run_cell(
    cell: cells.Cell, config: TrainConfig, folder: PhotoFolder, words: list[str], started: float
) -> None:
    """Trains a cell whose folder is held."""
    print(f"\n{cell}   {cells.time_left(cell)}".rstrip(), flush=True)
    run = cell.run
    begun = (run / LAST).is_file() or (run / MEMBERS).is_dir()
    resumed = (run / CONFIG).is_file() and begun
    for left in run.iterdir():
        # What was stopped before its first checkpoint begins again; so does a half written file.
        if left.name != LOCK and (not resumed or left.name.startswith(".")):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    origin = {"overrides": words, "cell": cell.key}
    try:
        with workers.side_by_side(cell):
            fit(config, run, folder, origin, started, resumed=resumed)
    except (KeyboardInterrupt, SystemExit):
        print("the sweep is stopped; the same command goes on with it", flush=True)
        raise


def fit(
    config: TrainConfig,
    run: Path,
    folder: PhotoFolder,
    origin: dict[str, Any],
    started: float,
    *,
    resumed: bool = False,
    part_of: Path | None = None,
) -> None:
    """Decodes the photos, takes the run folder, trains and tests; or does so for each member."""
    if config.ensemble > 1:
        fit_ensemble(config, run, folder, origin, started, resumed=resumed)
        return
    data = config.data
    folder, images = decode_folder(folder, data.image_size, data.fit, data.on_bad, data.cache_mb)
    split = split_train_val(folder.train, folder.class_names, data.val_fraction, config.seed)
    if resumed:
        same_photos(run, folder)
    else:
        claim(run, OmegaConf.to_yaml(OmegaConf.create(asdict(config))))

    # Only now, when the input is known to be good: these imports take seconds.
    command.say_loading()
    from bookcls.fitting import fit_and_test

    ckpt = run / LAST if resumed and (run / LAST).is_file() else None
    fit_and_test(
        config,
        run,
        folder,
        images,
        split=split,
        ckpt=ckpt,
        started=started,
        origin=origin,
        part_of=part_of,
    )


def fit_ensemble(
    config: TrainConfig,
    run: Path,
    folder: PhotoFolder,
    origin: dict[str, Any],
    started: float,
    *,
    resumed: bool,
) -> None:
    """Trains each member in a run folder of its own, then averages them."""

    def fit_member(own: TrainConfig, member: Path, resumed: bool) -> None:
        began = time.monotonic()
        fit(own, member, folder, origin, began, resumed=resumed, part_of=run)

    if not resumed:
        claim(run, OmegaConf.to_yaml(OmegaConf.create(asdict(config))))
    combine(config, run, fit_members(config, run, fit_member), folder, started)


def main() -> None:
    """Runs the verb with the command line of this process."""
    command.verb("train", TrainConfig, train, prepare)


if __name__ == "__main__":
    main()
