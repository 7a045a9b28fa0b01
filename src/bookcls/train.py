"""``python -m bookcls.train``: from a folder of photos to a tested classifier."""

import time
from dataclasses import asdict, replace
from pathlib import Path

from omegaconf import OmegaConf

from bookcls import command
from bookcls.config import TrainConfig, typed
from bookcls.dataset import read_folder
from bookcls.errors import BookclsError
from bookcls.layers import first_trained
from bookcls.photos import decode_folder
from bookcls.runs import CONFIG, LAST, is_finished, write_text


def prepare(argv: list[str]) -> list[str]:
    """Makes ``resume=RUN`` write into RUN, and refuses it beside other settings.

    Raises:
        BookclsError: If there is no such unfinished run.
    """
    given = [arg for arg in argv if arg.startswith("resume=") and arg != "resume=null"]
    if not given:
        return argv
    value = given[0].removeprefix("resume=").strip("'\"")
    run = Path(value).expanduser().resolve()
    if len(argv) > 1:
        raise BookclsError(
            f"resume={value} continues a run as it was set; leave out "
            f"{' '.join(arg for arg in argv if arg not in given)}, or start a new run."
        )
    if not (run / CONFIG).is_file():
        raise BookclsError(f"resume={value}: there is no run in {run} (a run holds {CONFIG}).")
    if is_finished(run):
        raise BookclsError(f"resume={value}: this run is finished; look into {run}.")
    saved = OmegaConf.load(run / CONFIG)
    root = OmegaConf.select(saved, "data.root")
    folder = command.quote(str(run))
    return [
        f"resume={folder}",
        f"data.root={command.quote(str(root))}",
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
    if config.resume is not None:
        saved = OmegaConf.load(run / CONFIG)
        config = replace(typed(saved, TrainConfig), resume=str(run))  # type: ignore[arg-type]
    first_trained(config.model.freeze_to)
    root = Path(config.data.root).expanduser().resolve()
    folder = read_folder(root, on_bad=config.data.on_bad)
    folder, images = decode_folder(
        folder, config.data.image_size, config.data.fit, config.data.on_bad
    )
    if config.resume is None:
        plain = asdict(replace(config, data=replace(config.data, root=str(root))))
        write_text(run / CONFIG, OmegaConf.to_yaml(OmegaConf.create(plain)))

    # Only now, when the input is known to be good: these imports take seconds.
    from bookcls.fitting import fit_and_test

    ckpt = run / LAST if config.resume is not None and (run / LAST).is_file() else None
    fit_and_test(config, run, folder, images, ckpt=ckpt, started=started)


def main() -> None:
    """Runs the verb with the command line of this process."""
    command.verb("train", TrainConfig, train, prepare)


if __name__ == "__main__":
    main()
