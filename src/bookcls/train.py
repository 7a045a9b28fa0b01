"""``python -m bookcls.train``: from a folder of photos to a tested classifier."""

import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from bookcls import command
from bookcls.config import read_config, to_dataclass
from bookcls.data.samples import PhotoFolder
from bookcls.environment import print_loading
from bookcls.errors import BookclsError
from bookcls.files import LOCK, BusyError, locked, read_json
from bookcls.runs import (
    CONFIG,
    ENVIRONMENT,
    LAST,
    MEMBERS,
    is_finished,
)
from bookcls.settings import LoggerConfig, TrainConfig
from bookcls.sweeping import cells, workers
from bookcls.training.ensemble import all_members_begun
from bookcls.training.inputs import read_inputs
from bookcls.training.run import run as fit

if TYPE_CHECKING:
    from bookcls.models.start import Start


def prepare(argv: list[str]) -> list[str]:
    """Makes ``resume=RUN`` write into RUN, and refuses it beside other settings.

    Raises:
        BookclsError: If there is no such unfinished run.
    """
    return command.resumed(
        argv, beside=["data.root", "logger.tracking_uri"], is_finished=is_finished
    )


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
    if resumed:
        config = saved_config(run, config, {word.partition("=")[0] for word in words})
    if config.ensemble > 1:
        begun = resumed and all_members_begun(run, config.ensemble)
    else:
        begun = resumed and (run / LAST).is_file()
    in_sweep = cells.current is not None
    config, folder = read_inputs(config, words, begun=begun, in_sweep=in_sweep)
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


def saved_config(run: Path, config: TrainConfig, given: set[str]) -> TrainConfig:
    """The settings of the run being resumed, with those given again replaced.

    Raises:
        BookclsError: If they cannot be used, or name an address that was not given again.
    """
    saved = to_dataclass(read_config(run / CONFIG), TrainConfig)
    if "data.root" in given:
        saved = replace(saved, data=replace(saved.data, root=config.data.root))
    address = saved.logger.tracking_uri
    if "logger.tracking_uri" in given:
        address = config.logger.tracking_uri
    elif saved.logger.kind == "mlflow" and address != LoggerConfig().tracking_uri:
        raise BookclsError(
            f"{run / CONFIG}: logger.tracking_uri={address} is not used, because this file may be "
            f"a stranger's. If you trust that address, add it: resume={run} "
            f"logger.tracking_uri={address}"
        )
    return replace(saved, logger=replace(saved.logger, tracking_uri=address))


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
            print(f"{cell}: another process is training it", flush=True)
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
