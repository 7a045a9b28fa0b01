"""Runs a search on checked input: trials on the same folds until time is up."""

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
from bookcls.files import read_json, write_json
from bookcls.models.start import Start, resolve, start_from_record
from bookcls.settings import TrainConfig, TuneConfig
from bookcls.training.console import silence_lightning
from bookcls.training.devices import ran_out_of_memory
from bookcls.training.divergence import DivergedError
from bookcls.training.fitting import describe, report_stops
from bookcls.training.recipe import make_trainer, with_start
from bookcls.tuning.crossval import Fold, FoldResult, evaluate_fold, make_folds
from bookcls.tuning.results import find_best, print_trial, write_results, write_table
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
    words: Sequence[str],
    started: float,
) -> None:
    """Tries recipes, prints the best as a command and writes the run folder.

    Args:
        config: The settings.
        run: Folder for the results; when resuming, it contains earlier ones.
        folder: The dataset; only its training photos are used.
        images: Those, decoded.
        dimensions: What varies.
        words: The start as a command line for train.
        started: ``time.monotonic()`` when the command began.

    Raises:
        BookclsError: If the settings do not fit the machine, what is stored of an earlier search
            cannot be read, or the start diverges or runs out of memory.
    """
    silence_lightning()
    start = find_start(config, run)
    recipe = with_start(config.start, start)
    data = config.data
    folds = make_folds(folder.train, data.cv, data.repeats, config.seed)
    begin = {d.name: get_value(recipe, d.name) for d in dimensions}
    held_out = [fold.held_out for fold in folds]
    if (run / TRIALS_TABLE).is_file() and not (run / STUDY).is_file():
        raise BookclsError(
            f"{run / STUDY} is missing, and {run / TRIALS_TABLE} alone is not enough to resume: "
            "put it back, or start a new search."
        )
    try:
        study = Study(run, dimensions, begin, held_out, len(folder.train), seed=config.seed)
    except DamagedError as error:
        raise BookclsError(f"{error}: put a copy back, or start a new search.") from error
    environment = describe(recipe, folder, (folder.train, []), make_trainer(recipe, epochs=1))
    write_json(run / runs.ENVIRONMENT, environment | start.record())
    print_plan(config, folder, dimensions, start)
    again = f"{python_command()} -m bookcls.tune resume={shlex.quote(str(run))}"
    trials = study.trials()
    with report_stops(data, again):
        while len(trials) < config.trials and not is_out_of_time(
            config, trials, len(folds), started
        ):
            asked, values = study.ask()
            state, judged, seconds = run_trial(
                config, with_values(recipe, values), start, folder, images, folds, trials
            )
            nll, correct = [j.nll for j in judged], [j.correct for j in judged]
            if state == "complete" and is_best(
                average_by_photo(held_out, nll, len(folder.train)), trials
            ):
                # Before the study knows of the trial: what is cut off here is tried again.
                photos = [[folder.train[i] for i in fold.held_out] for fold in folds]
                answers = list(zip(photos, [j.probs for j in judged], strict=True))
                write_held_out(run, len(trials), folder.class_names, answers)
            trials = [*trials, study.tell(asked, state, nll, correct, seconds)]
            print_trial(trials)
            write_table(run, trials)
    best = find_best(trials)
    # The first recipe's own words may say null or auto, which stay as they are.
    winner = with_values(config.start, {} if best is trials[0] else best.values)
    write_results(run, trials, words, to_experiment(winner), data.cv)
    if len(trials) < config.trials:
        print(f"go on    {again} minutes=...")
    print(f"folder   {run}")


def find_start(config: TuneConfig, run: Path) -> Start:
    """Chooses the weights that all trials start from: when resuming, those used before."""
    if (run / runs.ENVIRONMENT).is_file():
        return start_from_record(read_json(run / runs.ENVIRONMENT))
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
    """Evaluates a recipe fold by fold, as long as it may still be the best.

    Returns:
        State (see :class:`bookcls.tuning.trials.Trial`), the result of each fold, and seconds.

    Raises:
        BookclsError: If the start itself diverges.
        RuntimeError: If the start itself needs too much memory (see ``ran_out_of_memory``).
    """
    best = min((t for t in before if t.state == "complete"), key=lambda t: t.score, default=None)
    began = time.monotonic()
    judged: list[FoldResult] = []
    state = "complete"
    for fold in folds:
        try:
            judged.append(
                evaluate_fold(recipe, start, folder, images, fold, views=config.data.views)
            )
        except DivergedError as error:
            if best is None:
                raise BookclsError(
                    "the start of the search diverges: its loss became infinite or no number. Try "
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
            [f.held_out for f in folds], [j.nll for j in judged], len(folder.train)
        )
        seconds = time.monotonic() - began
        print(
            f"  trial {len(before)}  fold {len(judged)} of {len(folds)}  "
            f"NLL so far {np.nanmean(so_far):.3f}  {format_time(seconds)}",
            flush=True,
        )
        if best is None and len(judged) == 1:
            print_time_estimate(config, seconds, len(folds))
        if best is not None and len(judged) < len(folds) and is_worse(so_far, best.nll):
            state = "stopped"
            break
    if state == "out of memory":
        gc.collect()  # the trainer and its model refer to each other
    return state, judged, time.monotonic() - began


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
    judged = sum(len(t.by_fold) for t in trials)
    if config.minutes is None or not judged:
        return False
    one = sum(t.seconds for t in trials) / judged * num_folds
    return time.monotonic() - started + one > config.minutes * 60


def print_plan(
    config: TuneConfig, folder: PhotoFolder, dimensions: Sequence[Dimension], start: Start
) -> None:
    """Prints a summary of what will be evaluated."""
    data = config.data
    times = f"{data.repeats} times " if data.repeats > 1 else ""
    views = f" and in {data.views} fixed views" if data.views else ""
    print(
        f"photos   {folder.root / 'train'}: {len(folder.class_names)} classes, "
        f"{len(folder.train)} photos; no other is read"
    )
    for path, why in folder.skipped:
        print(f"left out  {path.relative_to(folder.root)}: {why}")
    print(
        f"judged   {times}in {data.cv} folds: each photo as it is{views}, by a model that has not "
        "seen it"
    )
    print(f"weights  {start.name}")
    if start.warning:
        print(f"warning: {start.warning}")
    if config.trials > 1:
        print(f"space    {', '.join(map(str, dimensions)) or 'nothing varies'}")


def print_time_estimate(config: TuneConfig, seconds: float, num_folds: int) -> None:
    """Prints how long the search will take, once a fold has been timed."""
    trial, most = seconds * num_folds, seconds * num_folds * config.trials
    fold_time, trial_time, total = map(format_time, (seconds, trial, most))
    line = f"time     {fold_time} a fold, {trial_time} a trial, {total} at most in all"
    if config.minutes is not None and most > config.minutes * 60:
        fit = max(1, int(config.minutes * 60 / trial))
        line += (
            f"; minutes={config.minutes:g} ends it after {fit} or more of {config.trials} trials"
        )
    print(line, flush=True)


def format_time(seconds: float) -> str:
    """Seconds as h:mm:ss.

    Example:
        >>> format_time(3.2), format_time(3725)
        ('0:00:03', '1:02:05')
    """
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"
