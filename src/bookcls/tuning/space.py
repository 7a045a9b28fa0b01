"""The search space: reads and checks ``space`` of conf/tune.yaml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from bookcls.errors import BookclsError
from bookcls.settings import TrainConfig

GROUPS = ("model", "aug", "optim")
FIXED = ("model.pretrained", "model.weights")
WITH_WEIGHTS = ("model.freeze_to", "optim.layer_decay")
"""Not searched when training from scratch: layers before freeze_to would stay random."""

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Dimension:
    """One setting that is searched: a range or a list of choices.

    Attributes:
        name: Name of the setting, such as ``optim.lr``.
        low: Lower bound, inclusive.
        high: Upper bound, inclusive.
        log: Whether to sample on a logarithmic scale.
        choices: The values; if given, the bounds are ignored.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Value, ...] = ()

    @property
    def is_integer(self) -> bool:
        """Whether only integers are sampled: both bounds are integers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def limits(self) -> tuple[Value, ...]:
        """The values to validate: all choices, or both bounds."""
        return self.choices or (self.low, self.high)

    def widened_for(self, value: Value) -> "Dimension":
        """Returns a copy that is extended to include a value.

        Raises:
            BookclsError: If the value cannot be in a range.
        """
        if self.choices:
            more = () if value in self.choices else (value,)
            return replace(self, choices=self.choices + more)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BookclsError(
                f"space.{self.name}: the start is {format_value(value)}, which cannot be in a "
                f"range; use choices: [{format_value(value)}, ...]."
            )
        if self.log and not value > 0:
            raise BookclsError(
                f"space.{self.name}: the start is {value}, and log: true needs values above 0."
            )
        if self.is_integer and value == int(value):
            return replace(self, low=min(self.low, int(value)), high=max(self.high, int(value)))
        low, high = min(float(self.low), value), max(float(self.high), value)
        return replace(self, low=low, high=high)

    def __str__(self) -> str:
        if self.choices:
            return f"{self.name} {'|'.join(map(format_value, self.choices))}"
        return f"{self.name} {self.low:g}..{self.high:g}{' (log)' if self.log else ''}"


def read_space(space: Mapping[str, Any], config: TrainConfig) -> list[Dimension]:
    """Reads the dimensions of a search, in the order of the YAML file.

    Args:
        space: Nested like the settings; each leaf is ``{low, high}`` with an optional ``log``,
            ``{choices: [...]}``, or null to exclude the setting from the search.
        config: The settings of the starting recipe.

    Raises:
        BookclsError: For an unknown setting, or a leaf of another form.
    """
    dimensions = []
    for group, settings in space.items():
        if group not in GROUPS or not isinstance(settings, Mapping):
            raise BookclsError(
                f"space.{group}: only settings of {', '.join(GROUPS)} can be searched, each below "
                "its group (space.optim.lr.high=1e-3)."
            )
        known = [f.name for f in fields(getattr(config, group))]
        known = [name for name in known if f"{group}.{name}" not in FIXED]
        for setting, leaf in settings.items():
            if setting not in known:
                raise BookclsError(
                    f"space.{group}.{setting}: the settings of {group} that can be searched are "
                    f"{', '.join(known)}."
                )
            name = f"{group}.{setting}"
            if leaf is not None and (config.model.pretrained or name not in WITH_WEIGHTS):
                dimensions.append(read_dimension(name, leaf))
    return dimensions


def read_dimension(name: str, leaf: object) -> Dimension:
    """Reads one leaf of the space.

    Raises:
        BookclsError: If it is neither a range nor choices.

    Example:
        >>> print(read_dimension("optim.lr", {"low": 1e-4, "high": 1e-3, "log": True}))
        optim.lr 0.0001..0.001 (log)
    """
    given = dict(leaf) if isinstance(leaf, Mapping) else {}
    choices = given.get("choices")
    if set(given) == {"choices"} and isinstance(choices, Sequence) and len(choices) > 0:
        if all(isinstance(c, Value) for c in choices) and not isinstance(choices, str):
            return Dimension(name, choices=tuple(choices))
    elif {"low", "high"} <= set(given) <= {"low", "high", "log"}:
        low, high, log = given["low"], given["high"], given.get("log", False)
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (low, high))
        if numbers and isinstance(log, bool) and low < high and (low > 0 or not log):
            return Dimension(name, low, high, log)
    raise BookclsError(
        f"space.{name}={leaf}: give low and high, with low below high (and log: true, if low is "
        "above 0), or choices: [...], or null to exclude the setting."
    )


def with_values(config: TrainConfig, values: Mapping[str, Value]) -> TrainConfig:
    """Returns a copy of the settings with some replaced, by dotted name."""
    for name, value in values.items():
        group, setting = name.split(".")
        part = replace(getattr(config, group), **{setting: value})
        config = replace(config, **{group: part})
    return config


def to_experiment(config: TrainConfig) -> dict[str, Any]:
    """Converts settings to an experiment of conf/, without the settings of photos and machine."""
    groups = ("model", "aug", "optim", "data", "trainer")
    settings = {group: dict(vars(getattr(config, group))) for group in groups}
    del settings["data"]["root"]
    limits = ("max_epochs", "limit_train_batches", "limit_val_batches")
    settings["trainer"] = {name: settings["trainer"][name] for name in limits}
    return {**settings, "seed": config.seed}


def get_value(config: TrainConfig, name: str) -> Value:
    """Returns the value of a setting, by dotted name."""
    group, setting = name.split(".")
    value: Value = getattr(getattr(config, group), setting)
    return value


def format_value(value: Value) -> str:
    """Formats a value as Hydra and yaml write it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
