"""``python -m bookcls.train``: from a folder of photos to a tested classifier."""

import time
from dataclasses import asdict, replace
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from bookcls import command
from bookcls.config import BOOKS, full_path, project_path, read_config, typed
from bookcls.dataset import read_folder
from bookcls.errors import BookclsError
from bookcls.layers import first_trained
from bookcls.photos import decode_folder
from bookcls.runs import CONFIG, ENVIRONMENT, LAST, claim, is_finished, read_json
from bookcls.samples import PhotoFolder, split_train_val
from bookcls.settings import TrainConfig


def prepare(argv: list[str]) -> list[str]:
    """Makes ``resume=RUN`` write into RUN, and refuses it beside other settings.

    Raises:
        BookclsError: If there is no such unfinished run.
    """
    given = [arg for arg in argv if arg.startswith("resume=") and arg != "resume=null"]
    # Lightning starts further processes with the overrides that are made below.
    if not given or "hydra.output_subdir=null" in argv:
        return argv
    value = given[0].removeprefix("resume=").strip("'\"")
    run = full_path("resume", value)
    root = [arg for arg in argv if arg.startswith("data.root=")]
    rest = [arg for arg in argv if arg not in given + root]
    if rest:
        raise BookclsError(
            f"resume={value} continues a run as it was set, apart from data.root for photos that "
            f"have moved; leave out {' '.join(rest)}, or start a new run."
        )
    if not (run / CONFIG).is_file():
        raise BookclsError(f"resume={value}: there is no run in {run} (a run holds {CONFIG}).")
    if is_finished(run):
        raise BookclsError(f"resume={value}: this run is finished; look into {run}.")
    saved = str(OmegaConf.select(read_config(run / CONFIG), "data.root"))
    folder = command.quote(str(run))
    return [
        f"resume={folder}",
        *(root or [f"data.root={command.quote(saved)}"]),
        f"hydra.run.dir={folder}",
        "hydra.output_subdir=null",
    ]


def train(config: TrainConfig, run: Path) -> None:
    """Checks the input, then trains and tests.

    Args:
        config: The settings.
        run: Folder for the results.

    Raises:
        BookclsError: For anything that the user can put right.
    """
    started = time.monotonic()
    resumed = config.resume is not None
    root = full_path("data.root", config.data.root)
    if resumed:
        config = same_weights(run, typed(read_config(run / CONFIG), TrainConfig))
    config = replace(config, data=replace(config.data, root=str(root)))
    if config.trainer.several and HydraConfig.get().mode == RunMode.MULTIRUN:
        raise BookclsError("several devices and -m do not go together: start the runs one by one.")
    if config.model.freeze_to != "auto":
        first_trained(config.model.freeze_to)
    if not root.exists() and root == Path(project_path(BOOKS)):
        raise BookclsError(f"{root} is not there yet: get it by python -m bookcls.fetch.")
    data = config.data
    folder = read_folder(root, on_bad=data.on_bad)
    folder, images = decode_folder(folder, data.image_size, data.fit, data.on_bad)
    split = split_train_val(folder.train, folder.class_names, data.val_fraction, config.seed)
    if resumed:
        same_photos(run, folder)
    else:
        claim(run, OmegaConf.to_yaml(OmegaConf.create(asdict(config))))

    # Only now, when the input is known to be good: these imports take seconds.
    from bookcls.fitting import fit_and_test

    ckpt = run / LAST if resumed and (run / LAST).is_file() else None
    fit_and_test(config, run, folder, images, split=split, ckpt=ckpt, started=started)


def same_weights(run: Path, config: TrainConfig) -> TrainConfig:
    """Goes on with the weights that ``auto`` chose when the run began."""
    if config.model.weights != "auto" or not (run / ENVIRONMENT).is_file():
        return config
    source = read_json(run / ENVIRONMENT)["weights"]["source"]
    if source == "scratch":
        return config
    return replace(config, model=replace(config.model, weights=source))


def same_photos(run: Path, folder: PhotoFolder) -> None:
    """Refuses to go on with other photos: the split and the schedule would be others.

    Raises:
        BookclsError: If photos or labels changed since the run began.
    """
    if not (run / ENVIRONMENT).is_file():
        return
    if read_json(run / ENVIRONMENT)["dataset"]["fingerprint"] != folder.fingerprint():
        raise BookclsError(
            f"resume={run}: photos or labels in {folder.root} have changed since this run began. "
            "Put them back, or start a new run."
        )


def main() -> None:
    """Runs the verb with the command line of this process."""
    command.verb("train", TrainConfig, train, prepare)


if __name__ == "__main__":
    main()
