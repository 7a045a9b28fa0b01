"""Results of a search: table, plot, best recipe and final summary."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bookcls.data.held_out import TRIALS_TABLE
from bookcls.environment import python_command
from bookcls.scoring.statistics import exact_interval
from bookcls.storage.files import atomic_write, write_csv, write_text
from bookcls.tuning.space import format_value
from bookcls.tuning.trials import Trial, corrected_p_value

PLOT = "trials.png"
BEST = "tuned.yaml"


def find_best(trials: Sequence[Trial]) -> Trial:
    """Returns the complete trial with the lowest score; on a tie, the first."""
    return min((t for t in trials if t.state == "complete"), key=lambda t: t.score)


def format_overrides(trial: Trial) -> list[str]:
    """Formats a trial's settings as command-line overrides."""
    return [f"{name}={format_value(value)}" for name, value in trial.values.items()]


def format_score(trial: Trial) -> str:
    """Formats a trial's score and accuracy."""
    n = trial.num_photos
    low, high, _ = exact_interval(trial.accuracy, n)
    return (
        f"NLL {trial.score:.3f} (standard error {trial.error:.3f}), accuracy {trial.accuracy:.2f} "
        f"({low:.2f} - {high:.2f}) of {n} photos"
    )


def print_trial(trials: Sequence[Trial]) -> None:
    """Prints the result of the last trial, and the best so far."""
    last, best = trials[-1], find_best(trials)
    if last.state == "diverged":
        print(f"trial {last.number}  given up: its loss became infinite or NaN")
    elif last.state == "out of memory":
        print(f"trial {last.number}  given up: the device ran out of memory")
    elif last.state == "stopped":
        print(f"trial {last.number}  given up: clearly worse than trial {best.number}")
    else:
        print(f"trial {last.number}  {format_score(last)}")
    so_far = f"; best is trial {best.number}, NLL {best.score:.3f}" if len(trials) > 1 else ""
    print(f"         {' '.join(format_overrides(last))}{so_far}", flush=True)


def write_table(run: Path, trials: Sequence[Trial]) -> None:
    """Writes ``trials.csv``: a row per trial, its settings in the last columns."""
    names = list(trials[0].values)
    scores = ["nll", "standard_error", "accuracy", "photos", "folds", "seconds"]
    rows = []
    for t in trials:
        # z: a softmax may round above 1, and a text "-0.000000" would be read as a formula.
        numbers = (f"{v:z.6f}" if len(t.by_fold) else "" for v in (t.score, t.error, t.accuracy))
        counts = (t.num_photos, len(t.by_fold), t.seconds)
        values = (format_value(t.values[name]) for name in names)
        rows.append([t.number, t.state, *numbers, *counts, *values])
    write_csv(run / TRIALS_TABLE, ["trial", "state", *scores, *names], rows)


def plot(run: Path, trials: Sequence[Trial]) -> None:
    """Draws ``trials.png``: each trial's NLL with its standard error, and the best so far."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="trial", ylabel="NLL of held-out photos (lower is better)")
    complete = [t for t in trials if t.state == "complete"]
    stopped = [t for t in trials if t.state == "stopped"]
    numbers = [t.number for t in complete]
    lowest = [min(t.score for t in complete if t.number <= n) for n in numbers]
    axes.axhline(complete[0].score, color="0.6", linestyle=":", label="start")
    axes.step(numbers, lowest, where="post", color="tab:green", label="best so far")
    scores, errors = [t.score for t in complete], [t.error for t in complete]
    axes.errorbar(numbers, scores, errors, fmt="o", capsize=3, label="complete, standard error")
    if stopped:
        x, y = [t.number for t in stopped], [t.score for t in stopped]
        axes.plot(x, y, "x", color="tab:red", label="given up, by its photos so far")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    with atomic_write(run / PLOT) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def write_results(
    run: Path,
    trials: Sequence[Trial],
    start_overrides: Sequence[str],
    settings: Mapping[str, Any],
    num_folds: int,
) -> None:
    """Writes table, plot and ``tuned.yaml``, and prints the best recipe as a command for train.

    Args:
        run: The run folder.
        trials: All ended trials; the first is the start.
        start_overrides: The starting recipe as overrides for train.
        settings: The best recipe as an experiment.
        num_folds: Number of folds per repeat.
    """
    start, best = trials[0], find_best(trials)
    # Keep the overrides of the start, which may contain null or auto.
    new = [] if best is start else format_overrides(best)
    names = {word.partition("=")[0] for word in new}
    kept = [word for word in start_overrides if word.partition("=")[0] not in names]
    line = " ".join(["-m bookcls.train", *map(shlex.quote, [*kept, *new])])
    verdict = compare_with_start(best, start, num_folds, len(trials) - 1)
    print(f"\nbest     trial {best.number}: {format_score(best)}")
    print(verdict)
    print(f"train it {python_command()} {line}")
    body = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    head = f"# python {line}\n# {format_score(best)}\n# {verdict}\n"
    write_text(run / BEST, f"# @package _global_\n{head}{body}")
    write_table(run, trials)
    plot(run, trials)


def compare_with_start(best: Trial, start: Trial, num_folds: int, num_others: int) -> str:
    """Describes whether the best trial is significantly better than the start."""
    if not num_others:
        return "note: nothing else was tried; trials=20 searches for a better recipe."
    if best is start:
        return "note: no other trial is better than the start."
    p = corrected_p_value(best, start, num_folds, num_others)
    test = (
        f"NLL {start.score:.3f} -> {best.score:.3f}, p = {p:.2g} by a paired test over "
        f"{len(best.by_fold)} folds for the best of {num_others}"
    )
    if p < 0.05:
        return f"note: better than the start ({test})."
    return (
        f"warning: the difference from the start is not significant ({test}); data.repeats=4 or "
        "more photos give a more reliable answer."
    )
