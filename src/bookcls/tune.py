"""``python -m bookcls.tune``: choose a recipe using only the training photos."""

import time
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from bookcls import command
from bookcls.config import full_path, read_config, to_dataclass
from bookcls.data.dataset import read_folder
from bookcls.data.photos import decode_folder
from bookcls.data.samples import check_enough_photos
from bookcls.environment import print_loading
from bookcls.errors import BookclsError
from bookcls.runs import CONFIG, ENVIRONMENT, check_same_photos, claim_folder
from bookcls.settings import TrainConfig
from bookcls.storage.files import read_json
from bookcls.storage.folders import locked
from bookcls.training.inputs import prefer_epochs
from bookcls.tuning.settings import TuneConfig
from bookcls.tuning.space import Dimension, format_value, get_value, read_space

GROUPS = ("experiment", "data", "model", "aug", "optim", "trainer")


def prepare(argv: list[str]) -> list[str]:
    """Makes ``resume=RUN`` write to RUN; only trials, minutes and data.root may be given with it.

    Raises:
        BookclsError: If there is no such folder, or other settings are given with it.
    """
    allowed = ("trials", "minutes", "data.root")
    return command.expand_resume(argv, allowed=allowed, is_finished=lambda run: False)


def tune(config: TuneConfig, run: Path) -> None:
    """Checks the input, then searches. Only ``train/`` of ``data.root`` is read.

    Args:
        config: The settings.
        run: Folder for the results.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    started = time.monotonic()
    if find_spec("optuna") is None:
        raise BookclsError(
            "tune needs Optuna, which is not installed: pip install 'bookcls[tune]'."
        )
    resumed = config.resume is not None
    if resumed:
        config = saved_config(run, config)
    root = full_path("data.root", config.data.root)
    config = replace(config, data=replace(config.data, root=str(root)))
    # What is tuned must be what the printed command trains.
    words = [
        *HydraConfig.get().overrides.task,
        *(f"{d.name}=" for d in read_space(config.space, config.start)),
    ]
    config = replace(
        config,
        model=replace(config.model, fallback=None),
        optim=prefer_epochs(config.optim, words),
    )
    dimensions = read_checked_space(config)
    data = config.data
    folder = read_folder(root, on_bad=data.on_bad, with_tests=False)
    check_enough_photos(folder.train, folder.class_names, data.cv)
    folder, images = decode_folder(folder, data.image_size, data.fit, data.on_bad, data.cache_mb)
    check_enough_photos(folder.train, folder.class_names, data.cv)
    if resumed:
        check_same_photos(run, folder)
    else:
        claim_folder(run, OmegaConf.to_yaml(OmegaConf.create(asdict(config))))
    start_words = start_overrides(config.start, run)

    # Imported only once the input has been checked: these imports take seconds.
    print_loading()
    from bookcls.tuning.search import search

    with locked(run):
        search(
            config, run, folder, images, dimensions, start_overrides=start_words, started=started
        )


def saved_config(run: Path, config: TuneConfig) -> TuneConfig:
    """The settings and weights of the search being resumed, with those given again replaced."""
    saved = to_dataclass(read_config(run / CONFIG), TuneConfig)
    given = {word.partition("=")[0] for word in HydraConfig.get().overrides.task}
    root = config.data.root if "data.root" in given else saved.data.root
    model = saved.model
    if model.pretrained and model.weights == "auto" and (run / ENVIRONMENT).is_file():
        model = replace(model, weights=read_json(run / ENVIRONMENT)["weights"]["source"])
    return replace(
        saved,
        model=model,
        data=replace(saved.data, root=root),
        trials=config.trials if "trials" in given else saved.trials,
        minutes=config.minutes if "minutes" in given else saved.minutes,
    )


def read_checked_space(config: TuneConfig) -> list[Dimension]:
    """Reads the search space and checks that train accepts each of its values.

    Raises:
        BookclsError: For a value that it does not accept.
    """
    start = config.start
    dimensions = read_space(config.space, start)
    for dimension in dimensions:
        group, setting = dimension.name.split(".")
        for value in dimension.limits:
            merged = OmegaConf.merge(asdict(start), {group: {setting: value}})
            to_dataclass(merged, TrainConfig)  # type: ignore[arg-type]  # a DictConfig
        if dimension.name != "optim.lr":  # null becomes the default for the weights.
            dimension.widened_for(get_value(start, dimension.name))
    return dimensions


def start_overrides(start: TrainConfig, run: Path) -> list[str]:
    """The starting recipe as overrides for train: config groups first, then single settings."""
    hydra = read_config(run / ".hydra" / "hydra.yaml", interpolations=True)
    content: Any = OmegaConf.to_container(hydra, resolve=False)
    try:
        chosen = content["hydra"]["runtime"]["choices"]
        strange = [name for name in GROUPS if "${" in str(chosen.get(name))]
    except (LookupError, TypeError, AttributeError) as error:
        raise BookclsError(f"{run / '.hydra' / 'hydra.yaml'} is damaged: {error}.") from error
    if strange:
        raise BookclsError(
            f"{run / '.hydra' / 'hydra.yaml'}: the interpolation {chosen[strange[0]]} is not "
            "allowed, because this file may be a stranger's."
        )
    plain_train = compose("train", return_hydra_config=True).hydra.runtime.choices
    words = [
        f"{group}={chosen[group]}"
        for group in GROUPS
        if chosen.get(group) not in (None, plain_train.get(group))
    ]
    composed = OmegaConf.to_container(compose("train", overrides=words), resolve=True)
    assert isinstance(composed, dict)
    wanted = asdict(start)
    for group in ("data", "model", "aug", "optim", "trainer"):
        for setting, value in wanted[group].items():
            if composed[group][setting] != value:
                words.append(f"{group}.{setting}={format_value(value)}")
    return [*words, f"seed={start.seed}"] if start.seed != composed["seed"] else words


def main() -> None:
    """Runs the verb with the command line of this process."""
    command.verb("tune", TuneConfig, tune, prepare)


if __name__ == "__main__":
    main()
