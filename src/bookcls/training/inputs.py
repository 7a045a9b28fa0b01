"""Checks the input of a training, for the command line and ``bookcls.fit``, without torch."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from bookcls.config import BOOKS, full_path, project_path
from bookcls.data.dataset import read_folder
from bookcls.data.samples import PhotoFolder
from bookcls.errors import BookclsError
from bookcls.settings import ModelConfig, OptimConfig, TrainConfig


def read_inputs(
    config: TrainConfig,
    overrides: Sequence[str],
    *,
    has_checkpoint: bool = False,
    in_sweep: bool = False,
) -> tuple[TrainConfig, PhotoFolder]:
    """Resolves the paths in the settings and reads the folder of photos.

    Args:
        config: The composed settings.
        overrides: The overrides given by the user.
        has_checkpoint: Whether a checkpoint contains the weights, so that their file may be gone.
        in_sweep: Whether this is a job of a sweep, which reports missing weights itself.

    Returns:
        The settings with absolute paths, and the dataset.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    root = full_path("data.root", config.data.root)
    model = check_weights(config.model, overrides, has_checkpoint=has_checkpoint, in_sweep=in_sweep)
    config = replace(config, data=replace(config.data, root=str(root)), model=model)
    config = replace(config, optim=prefer_epochs(config.optim, overrides))
    if not root.exists() and root == Path(project_path(BOOKS)):
        raise BookclsError(f"{root} does not exist yet: download it with python -m bookcls.fetch.")
    return config, read_folder(root, on_bad=config.data.on_bad)


def prefer_epochs(optim: OptimConfig, overrides: Iterable[str]) -> OptimConfig:
    """Lets ``optim.epochs`` from the user replace the experiment's ``optim.images_seen``."""
    given = {word.lstrip("+").partition("=")[0] for word in overrides}
    if "optim.epochs" not in given or "optim.images_seen" in given:
        return optim
    return replace(optim, images_seen=None)


def check_weights(
    model: ModelConfig, overrides: Sequence[str], *, has_checkpoint: bool, in_sweep: bool
) -> ModelConfig:
    """Checks ``model.weights``, and resolves it to an absolute path if it names a file.

    Args:
        model: The composed settings of the model.
        overrides: The overrides given by the user.
        has_checkpoint: Whether a checkpoint contains the weights, so that their file may be gone.
        in_sweep: Whether this is a job of a sweep.

    Raises:
        BookclsError: If the weights would not be used, or there is no such file.
    """
    given = any(word.startswith("model.weights=") for word in overrides)
    if not model.pretrained:
        if given and not in_sweep and model.weights != "auto":
            raise BookclsError(
                f"model.weights={model.weights} has no effect when training "
                "from scratch: add model.pretrained=true."
            )
        # Set by the experiment, or meant for other jobs of the sweep.
        return replace(model, weights="auto")
    if model.weights in ("auto", "keras", "imagenet", "rendered"):
        return model
    path = full_path("model.weights", model.weights)
    if path.is_file():
        return replace(model, weights=str(path))
    if has_checkpoint or in_sweep:
        return model
    raise BookclsError(
        f"model.weights={model.weights}: there is no such file. Give auto, keras, imagenet, "
        "rendered, or the path of a .pth or .safetensors state dict of VGG16."
    )
