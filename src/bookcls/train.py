"""``python -m bookcls.train``: from a folder of photos to a tested classifier."""

import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from bookcls import command
from bookcls.config import BOOKS, full_path, project_path, read_config, to_dataclass
from bookcls.data.dataset import read_folder
from bookcls.data.samples import PhotoFolder
from bookcls.environment import print_loading
from bookcls.errors import BookclsError
from bookcls.files import BusyError, locked, read_json
from bookcls.runs import (
    CONFIG,
    ENVIRONMENT,
    LAST,
    LOCK,
    MEMBERS,
    is_finished,
)
from bookcls.settings import ModelConfig, TrainConfig
from bookcls.sweeping import cells, workers
from bookcls.training.ensemble import none_to_begin
from bookcls.training.run import run as fit

if TYPE_CHECKING:
    from bookcls.models.start import Start


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
        config = to_dataclass(read_config(run / CONFIG), TrainConfig)
        if not any(word.startswith("data.root=") for word in words):
            root = config.data.root
    folder_path = full_path("data.root", root)
    config = replace(config, data=replace(config.data, root=str(folder_path)))
    if config.ensemble > 1:
        begun = resumed and none_to_begin(run, config.ensemble)
    else:
        begun = resumed and (run / LAST).is_file()
    config = replace(config, model=settled(config.model, words, begun=begun))
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
    with locked(run):
        if resumed and is_finished(run):  # by another process, a moment ago
            raise BookclsError(f"resume={run}: this run is finished; look into {run}.")
        fit(config, folder, run, origin=origin, started=started, resumed=resumed)


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
    if model.weights in ("auto", "keras", "imagenet", "rendered"):
        return model
    path = full_path("model.weights", model.weights)
    if path.is_file():
        return replace(model, weights=str(path))
    if begun or cells.current is not None:
        return model  # a cell says in its own words that there are none
    raise BookclsError(
        f"model.weights={model.weights}: there is no such file. Give auto, keras, imagenet, "
        "rendered, or the path of a .pth or .safetensors state dict of VGG16."
    )


def train_cell(
    cell: cells.Cell, config: TrainConfig, folder: PhotoFolder, words: list[str], started: float
) -> None:
    """Trains a cell of a sweep: not again if it is finished, from its last checkpoint if it can.

    Raises:
        BookclsError: For anything that the user can put right.
    """
    if config.trainer.is_distributed:
        raise BookclsError(
            f"trainer.devices={config.trainer.devices}, trainer.num_nodes="
            f"{config.trainer.num_nodes}: each cell of a sweep has one device. For cells side by "
            "side add hydra/launcher=joblib; for one run on several devices leave the sweep out."
        )
    print_loading()
    from bookcls.training.recipe import with_start
    from bookcls.training.run import decide_start

    try:
        start = decide_start(config)
    except BookclsError as error:
        raise BookclsError(f"no weights: {error}") from error
    settings = asdict(with_start(config, start))
    cell.key = cells.cell_key(settings, folder.fingerprint(), f"{start.source} {start.sha256}")
    run = cell.run
    if not is_finished(run):
        run.mkdir(parents=True, exist_ok=True)
        try:
            with locked(run):
                if not is_finished(run):  # by another process, a moment ago
                    run_cell(cell, config, folder, words, started, start)
                    return
        except BusyError:
            cell.outcome = "elsewhere"
            print(f"{cell}: another process is at it", flush=True)
            return
    cell.outcome = "done before"
    print(f"{cell}: done before, {cells.format_accuracies(run)}", flush=True)


def run_cell(
    cell: cells.Cell,
    config: TrainConfig,
    folder: PhotoFolder,
    words: list[str],
    started: float,
    start: "Start",
) -> None:
    """Trains a cell whose folder is held."""
    print(f"\n{cell}   {cells.time_left(cell)}".rstrip(), flush=True)
    run = cell.run
    begun = (run / LAST).is_file() or (run / MEMBERS).is_dir()
    resumed = (run / CONFIG).is_file() and begun
    for left in run.iterdir():
        # What was stopped before its first checkpoint begins again; so does a half written file.
        if left.name != LOCK and (not resumed or left.name.startswith(".")):
            is_folder = left.is_dir() and not left.is_symlink()
            shutil.rmtree(left) if is_folder else left.unlink()
    try:
        with workers.run_in_worker(cell):
            fit(
                config,
                folder,
                run,
                origin={"overrides": words, "cell": cell.key},
                started=started,
                resumed=resumed,
                start=start,
            )
    except (KeyboardInterrupt, SystemExit):
        print("the sweep is stopped; the same command goes on with it", flush=True)
        raise


def main() -> None:
    """Runs the verb with the command line of this process."""
    command.verb("train", TrainConfig, train, prepare)


if __name__ == "__main__":
    main()
