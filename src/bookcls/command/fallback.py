"""Settings that suit the weights that ship, for machines that cannot get ImageNet weights."""

from collections.abc import Sequence
from dataclasses import replace

from bookcls.command.compose import compose
from bookcls.environment import is_first_process, print_loading
from bookcls.settings import TrainConfig
from bookcls.training.inputs import prefer_epochs
from bookcls.training.run import choose_start


def apply_fallback(config: TrainConfig, overrides: Sequence[str]) -> TrainConfig:
    """Replaces the experiment by its ``model.fallback`` if there are no ImageNet weights.

    Args:
        config: The settings, with an absolute ``data.root``.
        overrides: The user's, which also apply to the other experiment.

    Returns:
        The settings to train with.

    Raises:
        BookclsError: If the overrides do not fit the other experiment, or cached weights are
            damaged.
    """
    model = config.model
    if model.fallback is None or not model.pretrained or model.weights != "auto":
        return config
    print_loading()
    if choose_start(config).source != "rendered":
        return config
    if is_first_process():
        print(
            "note     no ImageNet weights, so this run uses the settings of "
            f"experiment={model.fallback}, which suit the weights that ship",
            flush=True,
        )
    rest = [word for word in overrides if word.lstrip("+").partition("=")[0] != "experiment"]
    words = [f"experiment={model.fallback}", "model.weights=auto", *rest]
    other, _ = compose("train", TrainConfig, words)
    other = prefer_epochs(other, overrides)
    return replace(other, data=replace(other.data, root=config.data.root))
