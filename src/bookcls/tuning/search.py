"""Runs a search on checked input: all trials use the same folds."""

import gc
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bookcls import runs
from bookcls.data.held_out import TRIALS_TABLE, write_held_out
from bookcls.data.photos import Decoded
from bookcls.data.samples import PhotoFolder
from bookcls.environment import python_command
from bookcls.errors import BookclsError
from bookcls.models.start import Start, resolve, start_from_dict
from bookcls.settings import TrainConfig
from bookcls.storage.files import read_json, write_json
from bookcls.training.console import silence_lightning
from bookcls.training.devices import ran_out_of_memory
from bookcls.training.divergence import DivergedError
from bookcls.training.fitting import describe_run
from bookcls.training.interruptions import report_interruptions
from bookcls.training.recipe import make_trainer, with_start
from bookcls.tuning.crossval import Fold, FoldResult, evaluate_fold, make_folds
from bookcls.tuning.results import find_best, print_trial, write_results, write_table
from bookcls.tuning.settings import TuneConfig
from bookcls.tuning.space import Dimension, get_value, to_experiment, with_values
from bookcls.tuning.study import STUDY, DamagedError, Study
from bookcls.tuning.trials import Photos, Trial, average_by_photo, sign_flip

MAX_P_WORSE = 0.1
"""A trial is stopped if it is worse than the best so far with a p-value below this."""


def search(
    config: TuneConfig,
    run: Path,
    folder: PhotoFolder,
    images: Decoded,
    dimensions: Sequence[Dimension],
    *,
    start_overrides: Sequence[str],
    started: float,
) -> None:
    """Tries recipes, prints the best as a command and writes the run folder.

    Args:
        config: The settings.
        run: Folder for the results; when resuming, it contains the earlier ones.
        folder: The dataset; only its training photos are used.
        images: The decoded photos.
        dimensions: The search space.
        start_overrides: The starting recipe as overrides for train.
        started: ``time.monotonic()`` when the command started.

    Raises:
        BookclsError: If the machine does not support the settings, the stored search cannot be
            read, or the starting recipe diverges or runs out of memory.
    """
    silence_lightning()
    start = find_start(config, run)
    recipe = with_start(config.start, start)
    data = config.data
    folds = make_folds(folder.train, data.cv, data.repeats, config.seed)
    start_values = {d.name: get_value(recipe, d.name) for d in dimensions}
    held_out = [fold.held_out for fold in folds]
    if (run / TRIALS_TABLE).is_file() and not (run / STUDY).is_file():
        raise BookclsError(
            f"{run / STUDY} is missing, and {run / TRIALS_TABLE} alone is not enough to resume: "
            "put it back, or start a new search."
        )
    try:
        study = Study(run, dimensions, start_values, held_out, len(folder.train), seed=config.seed)
    except DamagedError as error:
        raise BookclsError(f"{error}: put a copy back, or start a new search.") from error
    environment = describe_run(recipe, folder, (folder.train, []), make_trainer(recipe, epochs=1))
    write_json(run / runs.ENVIRONMENT, environment | start.to_dict())
    print_plan(config, folder, dimensions, start)
    resume_command = f"{python_command()} -m bookcls.tune resume={shlex.quote(str(run))}"
    trials = study.trials()
    with report_interruptions(data, resume_command):
        while len(trials) < config.trials and not is_out_of_time(
            config, trials, len(folds), started
        ):
            proposed, values = study.ask()
            state, results, seconds = run_trial(
                config, with_values(recipe, values), start, folder, images, folds, trials
            )
            nll, correct = [r.nll for r in results], [r.correct for r in results]
            if state == "complete" and is_best(
                average_by_photo(held_out, nll, len(folder.train)), trials
            ):
                # Before the study stores the trial: if interrupted here, the trial is repeated.
                photos = [[folder.train[i] for i in fold.held_out] for fold in folds]
                predictions = list(zip(photos, [r.probs for r in results], strict=True))
                write_held_out(run, len(trials), folder.class_names, predictions)
            trials = [*trials, study.tell(proposed, state, nll, correct, seconds)]
            print_trial(trials)
            write_table(run, trials)
    best = find_best(trials)
    # Keep the settings of the start, which may contain null or auto.
    winner = with_values(config.start, {} if best is trials[0] else best.values)
    write_results(run, trials, start_overrides, to_experiment(winner), data.cv)
    if len(trials) < config.trials:
        print(f"resume   {resume_command} minutes=...")
    print(f"folder   {run}")


def find_start(config: TuneConfig, run: Path) -> Start:
    """Chooses the initial weights of all trials; a resumed search uses the same as before."""
    if (run / runs.ENVIRONMENT).is_file():
        return start_from_dict(read_json(run / runs.ENVIRONMENT))
    model = config.model
    weights = model.weights if model.pretrained else None
    return resolve(weights, model.freeze_to, config.optim.lr, model.head)


def run_trial(
    config: TuneConfig,
    recipe: TrainConfig,
    start: Start,
    folder: PhotoFolder,
    images: Decoded,
    folds: Sequence[Fold],
    before: Sequence[Trial],
) -> tuple[str, list[FoldResult], float]:
    """Evaluates a recipe fold by fold; stops early if it is clearly worse than the best.

    Returns:
        State (see :class:`bookcls.tuning.trials.Trial`), result of each fold, and time in seconds.

    Raises:
        BookclsError: If the first trial diverges.
        RuntimeError: If the first trial needs too much memory (see ``ran_out_of_memory``).
    """
    best = min((t for t in before if t.state == "complete"), key=lambda t: t.score, default=None)
    started = time.monotonic()
    results: list[FoldResult] = []
    state = "complete"
    for fold in folds:
        try:
            results.append(
                evaluate_fold(recipe, start, folder, images, fold, views=config.data.views)
            )
        except DivergedError as error:
            if best is None:
                raise BookclsError(
                    "the start of the search diverges: its loss became infinite or NaN. Try "
                    f"a lower optim.lr (it was {recipe.optim.lr:g})."
                ) from error
            state = "diverged"
            break
        except RuntimeError as error:
            if best is None or not ran_out_of_memory(error):
                raise
            state = "out of memory"
            break
        so_far = average_by_photo(
            [f.held_out for f in folds], [r.nll for r in results], len(folder.train)
        )
        seconds = time.monotonic() - started
        print(
            f"  trial {len(before)}  fold {len(results)} of {len(folds)}  "
            f"NLL so far {np.nanmean(so_far):.3f}  {format_time(seconds)}",
            flush=True,
        )
        if best is None and len(results) == 1:
            print_time_estimate(config, seconds, len(folds))
        if best is not None and len(results) < len(folds) and is_worse(so_far, best.nll):
            state = "stopped"
            break
    if state == "out of memory":
        gc.collect()  # the trainer and its model are in a reference cycle
    return state, results, time.monotonic() - started


def is_best(nll: Photos, before: Sequence[Trial]) -> bool:
    """Whether a complete trial has a lower score than all complete ones before it."""
    return all(nll.mean() < t.score for t in before if t.state == "complete")


def is_worse(nll: Photos, best: Photos) -> bool:
    """Whether a trial is significantly worse than the best on the photos evaluated so far."""
    differences = nll - best
    return bool(np.nanmean(differences) > 0 and sign_flip(differences) < MAX_P_WORSE)


def is_out_of_time(
    config: TuneConfig, trials: Sequence[Trial], num_folds: int, started: float
) -> bool:
    """Whether another trial would exceed ``minutes``; the start is always tried."""
    num_done = sum(len(t.by_fold) for t in trials)
    if config.minutes is None or not num_done:
        return False
    per_trial = sum(t.seconds for t in trials) / num_done * num_folds
    return time.monotonic() - started + per_trial > config.minutes * 60


def print_plan(
    config: TuneConfig, folder: PhotoFolder, dimensions: Sequence[Dimension], start: Start
) -> None:
    """Prints a summary of what will be evaluated."""
    data = config.data
    times = f"{data.repeats} times " if data.repeats > 1 else ""
    views = f" and in {data.views} fixed views" if data.views else ""
    print(
        f"photos   {folder.root / 'train'}: {len(folder.class_names)} classes, "
        f"{len(folder.train)} photos; no others are read"
    )
    if skipped := str(folder.leavings):
        print(f"skipped  {skipped}")
    for path, why in folder.skipped:
        print(f"left out  {path.relative_to(folder.root)}: {why}")
    print(
        f"scored   {times}in {data.cv} folds: each photo unaugmented{views}, by a model that has "
        "not seen it"
    )
    print(f"weights  {start.name}")
    if start.warning:
        print(f"warning: {start.warning}")
    if config.trials > 1:
        print(f"space    {', '.join(map(str, dimensions)) or 'nothing varies'}")


def print_time_estimate(config: TuneConfig, seconds: float, num_folds: int) -> None:
    """Prints how long the search will take, once a fold has been timed."""
    trial, longest = seconds * num_folds, seconds * num_folds * config.trials
    fold_time, trial_time, total = map(format_time, (seconds, trial, longest))
    line = f"time     {fold_time} per fold, {trial_time} per trial, at most {total} in total"
    if config.minutes is not None and longest > config.minutes * 60:
        num_trials = max(1, int(config.minutes * 60 / trial))
        line += (
            f"; minutes={config.minutes:g} ends it after {num_trials} or more of {config.trials} "
            "trials"
        )
    print(line, flush=True)


def format_time(seconds: float) -> str:
    """Formats a duration in seconds as h:mm:ss.

    Example:
        >>> format_time(3.2), format_time(3725)
        ('0:00:03', '1:02:05')
    """
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"
