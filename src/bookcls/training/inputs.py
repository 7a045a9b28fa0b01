"""Checks the input of a training, for the command line and ``bookcls.fit``, without torch."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bookcls.config import BOOKS, full_path, project_path
from bookcls.data.dataset import read_folder
from bookcls.data.samples import PhotoFolder
from bookcls.errors import BookclsError
from bookcls.settings import ModelConfig, TrainConfig


def read_inputs(
    config: TrainConfig, words: Sequence[str], *, begun: bool = False, in_sweep: bool = False
) -> tuple[TrainConfig, PhotoFolder]:
    """Returns the settings with absolute paths, and the folder of photos.

    Args:
        config: As composed.
        words: The overrides that were given.
        begun: Whether a checkpoint brings the weights, so that their file may be gone.
        in_sweep: Whether this is a job of a sweep, which reports missing weights itself.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    root = full_path("data.root", config.data.root)
    model = check_weights(config.model, words, begun=begun, in_sweep=in_sweep)
    config = replace(config, data=replace(config.data, root=str(root)), model=model)
    if not root.exists() and root == Path(project_path(BOOKS)):
        raise BookclsError(f"{root} is missing: download it with python -m bookcls.fetch.")
    return config, read_folder(root, on_bad=config.data.on_bad)


def check_weights(
    model: ModelConfig, words: Sequence[str], *, begun: bool, in_sweep: bool
) -> ModelConfig:
    """Returns the model's settings, with the absolute path of the weights if they are a file.

    Args:
        model: As composed.
        words: The overrides that were given.
        begun: Whether a checkpoint brings the weights, so that their file may be gone.
        in_sweep: Whether this is a job of a sweep.

    Raises:
        BookclsError: If weights are given but not used, or there is no such file.
    """
    given = any(word.startswith("model.weights=") for word in words)
    if not model.pretrained:
        if given and not in_sweep and model.weights != "auto":
            raise BookclsError(
                f"model.weights={model.weights} is used only with weights: "
                "add model.pretrained=true."
            )
        # They come from the experiment, or belong to other jobs of the sweep.
        return replace(model, weights="auto")
    if model.weights in ("auto", "keras", "imagenet", "rendered"):
        return model
    path = full_path("model.weights", model.weights)
    if path.is_file():
        return replace(model, weights=str(path))
    if begun or in_sweep:
        return model
    raise BookclsError(
        f"model.weights={model.weights}: there is no such file. Give auto, keras, imagenet, "
        "rendered, or the path of a .pth or .safetensors state dict of VGG16."
    )
