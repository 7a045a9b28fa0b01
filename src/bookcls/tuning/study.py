"""Proposes and stores trials; the only module that uses Optuna."""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import optuna
import sqlalchemy.exc
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from bookcls.data.streams import Stream
from bookcls.tuning.space import Dimension, Value
from bookcls.tuning.trials import Trial, average_by_photo

STUDY = "study.db"
NUM_RANDOM = 5
"""Number of random trials before TPE (Bergstra et al., NeurIPS 2011) is used."""
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
DATABASE_ERRORS = (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError)
RECORD_ERRORS = (LookupError, TypeError, ValueError, AttributeError, AssertionError)
"""What Optuna and numpy raise when a trial is not as :meth:`Study.tell` has stored it."""
UNREADABLE = (*DATABASE_ERRORS, *RECORD_ERRORS)


class DamagedError(Exception):
    """The stored study cannot be read."""


class Study:
    """Optuna's study of one run folder, minimising the cross-validated NLL.

    It is stored after every step, and its proposals depend only on the previous trials, so that a
    resumed search continues as if it had not been stopped.
    """

    def __init__(
        self,
        run: Path,
        dimensions: Sequence[Dimension],
        start: Mapping[str, Value],
        held_out: Sequence[Sequence[int]],
        num_photos: int,
        *,
        seed: int,
    ) -> None:
        """Opens or creates the study; an interrupted trial is proposed again.

        Args:
            run: Folder of the search.
            dimensions: The search space; it is extended to include the start.
            start: Values of the first trial.
            held_out: Indices of the held-out photos of each fold.
            num_photos: Total number of training photos.
            seed: Seed of the proposals.

        Raises:
            DamagedError: If it cannot be read.
        """
        self.held_out, self.num_photos, self.seed = held_out, num_photos, seed
        self.distributions = {
            d.name: to_distribution(d.widened_for(start[d.name])) for d in dimensions
        }
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            self.study = optuna.create_study(
                storage=open_storage(run / STUDY),
                study_name="tune",
                direction="minimize",
                load_if_exists=True,
            )
            # An interrupted trial: ask() proposes it again.
            for trial in self.study.get_trials(states=(TrialState.RUNNING,)):
                self.study.tell(trial.number, state=TrialState.FAIL)
            alive = [t for t in self.study.trials if t.state != TrialState.FAIL]
            self.trials()
        except UNREADABLE as error:
            why = str(error).strip().partition("\n")[0]
            if not isinstance(error, DATABASE_ERRORS):
                why = f"a record of a trial: {type(error).__name__}: {why}"
            raise DamagedError(f"{run / STUDY} is damaged ({why})") from error
        if not any("start" in trial.user_attrs for trial in alive):
            self.study.enqueue_trial(dict(start), user_attrs={"start": True})

    def ask(self) -> tuple[optuna.Trial, dict[str, Value]]:
        """Proposes the next trial, with its settings."""
        seeds = np.random.SeedSequence([self.seed, Stream.TRIALS, len(self.trials())])
        state = seeds.generate_state(1)
        self.study.sampler = optuna.samplers.TPESampler(
            seed=int(state[0]), n_startup_trials=NUM_RANDOM
        )
        trial = self.study.ask(self.distributions)
        return trial, trial_values(trial)

    def tell(
        self,
        trial: optuna.Trial,
        state: str,
        nll: Sequence[Sequence[float]],
        correct: Sequence[Sequence[bool]],
        seconds: float,
    ) -> Trial:
        """Stores the result of a trial.

        Args:
            trial: From :meth:`ask`.
            state: See :class:`bookcls.tuning.trials.Trial`.
            nll: NLL of each held-out photo, for each evaluated fold.
            correct: Whether each held-out photo was classified correctly, for each evaluated fold.
            seconds: Duration of the trial.
        """
        record = {"state": state, "nll": nll, "correct": correct, "seconds": round(seconds, 1)}
        trial.set_user_attr("record", record)
        score = (
            float(np.nanmean(average_by_photo(self.held_out, nll, self.num_photos)))
            if nll
            else np.inf
        )
        if state == "complete":
            self.study.tell(trial, score)
        else:
            # TPE ranks a trial that was given up by its number of folds and its score.
            if nll:
                trial.report(score, len(nll))
            self.study.tell(trial, state=TrialState.PRUNED)
        return self.trials()[-1]

    def trials(self) -> list[Trial]:
        """Returns the ended trials, in order, numbered from 0."""
        ended = self.study.get_trials(deepcopy=False, states=ENDED)
        return [self._trial(number, trial) for number, trial in enumerate(ended)]

    def _trial(self, number: int, trial: FrozenTrial) -> Trial:
        record = trial.user_attrs["record"]
        nll, correct = (
            average_by_photo(self.held_out, record[key], self.num_photos)
            for key in ("nll", "correct")
        )
        by_fold = np.array([np.mean(row) for row in record["nll"]])
        state, seconds = record["state"], record["seconds"]
        return Trial(number, state, trial_values(trial), nll, correct, by_fold, seconds)


def open_storage(path: Path) -> optuna.storages.RDBStorage:
    """Opens a database by its path: in an address, ``?``, ``%``, ``#`` and ``{`` would count."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, check_same_thread=False)

    return optuna.storages.RDBStorage(f"sqlite:///{STUDY}", engine_kwargs={"creator": connect})


def trial_values(trial: FrozenTrial | optuna.Trial) -> dict[str, Value]:
    """Returns the settings of a trial, rounded to three digits except for the start."""
    if "start" in trial.user_attrs:
        return dict(trial.params)
    return {
        name: round_value(value, trial.distributions[name]) for name, value in trial.params.items()
    }


def round_value(value: Value, within: BaseDistribution) -> Value:
    """Rounds a value to three digits, unless the result would be out of range."""
    if not isinstance(value, float) or not isinstance(within, FloatDistribution):
        return value
    short = float(f"{value:.3g}")
    return short if within.low <= short <= within.high else value


def to_distribution(dimension: Dimension) -> BaseDistribution:
    """Converts a dimension to an Optuna distribution."""
    if dimension.choices:
        return CategoricalDistribution(dimension.choices)
    if dimension.is_integer:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
