"""``python -m bookcls.train``: from a folder of photos to a tested classifier."""

import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from bookcls import command
from bookcls.command.fallback import apply_fallback
from bookcls.config import read_config, to_dataclass
from bookcls.data.samples import PhotoFolder
from bookcls.environment import print_loading
from bookcls.errors import BookclsError
from bookcls.runs import (
    CONFIG,
    LAST,
    MEMBERS,
    is_finished,
)
from bookcls.settings import LoggerConfig, TrainConfig
from bookcls.storage.folders import LOCK, BusyError, locked
from bookcls.sweeping import jobs, workers
from bookcls.training.ensemble import all_members_started
from bookcls.training.inputs import read_inputs
from bookcls.training.run import read_origin
from bookcls.training.run import run as fit

if TYPE_CHECKING:
    from bookcls.models.start import Start


def prepare(argv: list[str]) -> list[str]:
    """Makes ``resume=RUN`` write to RUN, and refuses other settings with it.

    Raises:
        BookclsError: If RUN is not an unfinished run.
    """
    return command.expand_resume(
        argv, allowed=["data.root", "logger.tracking_uri"], is_finished=is_finished
    )


def train(config: TrainConfig, run: Path) -> None:
    """Checks the input, then trains and tests: a single run, or a job of a sweep.

    Args:
        config: The settings.
        run: Folder for the results; for a job of a sweep, the folder of the whole sweep.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    started = time.monotonic()
    overrides = list(HydraConfig.get().overrides.task)
    resumed = config.resume is not None
    if resumed:
        config = saved_config(run, config, {word.partition("=")[0] for word in overrides})
    if config.ensemble > 1:
        has_checkpoint = resumed and all_members_started(run, config.ensemble)
    else:
        has_checkpoint = resumed and (run / LAST).is_file()
    in_sweep = jobs.current is not None
    config, folder = read_inputs(
        config, overrides, has_checkpoint=has_checkpoint, in_sweep=in_sweep
    )
    if jobs.current is None and HydraConfig.get().mode == RunMode.MULTIRUN:
        raise BookclsError("the sweep could not be set up; see the warning above.")
    start = None
    if not resumed:
        config, start = apply_fallback(config, overrides, folder)
    if jobs.current is not None:
        train_job(jobs.current, config, folder, overrides, started)
        return
    origin: dict[str, Any] = {"overrides": overrides}
    if resumed:
        origin = read_origin(run)
    with locked(run):
        if resumed and is_finished(run):  # by another process in the meantime
            raise BookclsError(f"resume={run}: this run is finished; its results are in {run}.")
        fit(config, folder, run, origin=origin, started=started, resumed=resumed, start=start)


def saved_config(run: Path, config: TrainConfig, given: set[str]) -> TrainConfig:
    """Reads the settings of the run to resume, with those given again replaced.

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
            f"{run / CONFIG}: logger.tracking_uri={address} is not used, because this file may "
            f"come from somebody else. If you trust that address, add it: resume={run} "
            f"logger.tracking_uri={address}"
        )
    return replace(saved, logger=replace(saved.logger, tracking_uri=address))


def train_job(
    job: jobs.Job, config: TrainConfig, folder: PhotoFolder, overrides: list[str], started: float
) -> None:
    """Trains a job of a sweep unless it is finished, resuming from its last checkpoint if any.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    if config.trainer.is_distributed:
        raise BookclsError(
            f"trainer.devices={config.trainer.devices}, trainer.num_nodes="
            f"{config.trainer.num_nodes}: each job of a sweep uses one device. To run jobs "
            "in parallel, add hydra/launcher=joblib; to use several devices, start a single run."
        )
    print_loading()
    from bookcls.training.recipe import with_start
    from bookcls.training.run import choose_start

    try:
        start = choose_start(config)
    except BookclsError as error:
        raise BookclsError(f"no weights: {error}") from error
    settings = asdict(with_start(config, start))
    job.key = jobs.job_key(settings, folder.fingerprint(), f"{start.source} {start.sha256}")
    run = job.run
    if not is_finished(run):
        run.mkdir(parents=True, exist_ok=True)
        try:
            with locked(run):
                if not is_finished(run):  # by another process in the meantime
                    run_job(job, config, folder, overrides, started, start)
                    return
        except BusyError:
            job.outcome = "elsewhere"
            print(f"{job}: another process is training it", flush=True)
            return
    job.outcome = "done before"
    print(f"{job}: done before, {jobs.format_accuracies(run)}", flush=True)


def run_job(
    job: jobs.Job,
    config: TrainConfig,
    folder: PhotoFolder,
    overrides: list[str],
    started: float,
    start: "Start",
) -> None:
    """Trains a job; the caller holds the lock on its folder."""
    print(f"\n{job}   {jobs.time_left(job)}".rstrip(), flush=True)
    run = job.run
    has_checkpoint = (run / LAST).is_file() or (run / MEMBERS).is_dir()
    resumed = (run / CONFIG).is_file() and has_checkpoint
    for left in run.iterdir():
        # Remove what an earlier process left: everything if there is no checkpoint to resume from,
        # temporary files in any case.
        if left.name != LOCK and (not resumed or left.name.startswith(".")):
            is_folder = left.is_dir() and not left.is_symlink()
            shutil.rmtree(left) if is_folder else left.unlink()
    try:
        with workers.run_in_worker(job):
            fit(
                config,
                folder,
                run,
                origin={"overrides": overrides, "job": job.key},
                started=started,
                resumed=resumed,
                start=start,
            )
    except (KeyboardInterrupt, SystemExit):
        print("the sweep was stopped; run the same command again to resume it", flush=True)
        raise


def main() -> None:
    """Runs the verb with the command line of this process."""
    command.verb("train", TrainConfig, train, prepare)


if __name__ == "__main__":
    main()
