"""Settings that suit the weights that ship, for machines that cannot get ImageNet weights."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bookcls.command.compose import compose
from bookcls.data.samples import problems_error
from bookcls.environment import print_loading
from bookcls.errors import BookclsError
from bookcls.settings import TrainConfig
from bookcls.training.inputs import prefer_epochs
from bookcls.training.run import choose_start

if TYPE_CHECKING:
    from bookcls.data.samples import PhotoFolder
    from bookcls.models.start import Start


def apply_fallback(
    config: TrainConfig, overrides: Sequence[str], folder: "PhotoFolder"
) -> tuple[TrainConfig, "Start | None"]:
    """Replaces the experiment by its ``model.fallback`` if there are no ImageNet weights.

    Args:
        config: The settings, with an absolute ``data.root``.
        overrides: The user's, which also apply to the other experiment.
        folder: The dataset; its problems are reported before anything is downloaded.

    Returns:
        The settings to train with, and the weights to start from if they replace others.

    Raises:
        BookclsError: If the overrides do not fit the other experiment, cached weights are damaged,
            or the dataset has problems.
    """
    model = config.model
    if model.fallback is None or not model.pretrained or model.weights != "auto":
        return config, None
    # Processes that share a run must not decide on their settings one by one.
    if config.trainer.is_distributed:
        return config, None
    if folder.problems:
        raise problems_error(folder.root, folder.problems)
    print_loading()
    start = choose_start(config)
    if start.source != "rendered":
        return config, None
    print(
        "note     no ImageNet weights, so this run uses the settings of "
        f"experiment={model.fallback}, which suit the weights that ship",
        flush=True,
    )
    # Without the views of the first experiment: the other one may have no frozen layers to cache.
    dropped = ("experiment", "data.cached_views")
    rest = [word for word in overrides if word.lstrip("+").partition("=")[0] not in dropped]
    words = [f"experiment={model.fallback}", f"data.val_fraction={config.data.val_fraction}", *rest]
    try:
        other, _ = compose("train", TrainConfig, [*words, "model.weights=rendered"])
    except BookclsError as error:
        raise BookclsError(f"with the settings of experiment={model.fallback}: {error}") from error
    other = replace(
        other,
        data=replace(other.data, root=config.data.root),
        optim=prefer_epochs(other.optim, overrides),
    )
    return other, replace(choose_start(other), warning=start.warning)
