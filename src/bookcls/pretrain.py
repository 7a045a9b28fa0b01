"""``python -m bookcls.pretrain``: VGG16 weights from rendered scenes alone."""

import time
from dataclasses import asdict, replace
from pathlib import Path

from omegaconf import OmegaConf

from bookcls import command
from bookcls.config import full_path, read_config, typed
from bookcls.errors import BookclsError
from bookcls.pretraining.settings import CARD, PretrainConfig
from bookcls.runs import CONFIG, LAST, claim, read_json

LIMIT = "max_minutes="


def prepare(argv: list[str]) -> list[str]:
    """Lets ``preset=`` stand for its group, and ``resume=RUN`` write into RUN.

    Raises:
        BookclsError: If there is no such run, or it stands beside settings that it would change.
    """
    argv = [f"pretrain/{arg}" if arg.startswith("preset=") else arg for arg in argv]
    given = [arg for arg in argv if arg.startswith("resume=") and arg != "resume=null"]
    if not given:
        return argv
    value = given[0].removeprefix("resume=").strip("'\"")
    run = full_path("resume", value)
    limits = [arg for arg in argv if arg.startswith(LIMIT)]
    others = [arg for arg in argv if arg not in given and arg not in limits]
    if others:
        raise BookclsError(
            f"resume={value} continues a run as it was set; leave out {' '.join(others)} (only "
            f"{LIMIT}... may stand beside it), or start a new run."
        )
    if not (run / CONFIG).is_file():
        raise BookclsError(f"resume={value}: there is no run in {run} (a run holds {CONFIG}).")
    if (run / CARD).is_file() and read_json(run / CARD).get("finished"):
        raise BookclsError(f"resume={value}: this run is finished; look into {run}.")
    folder = command.quote(str(run))
    place = [f"resume={folder}", f"hydra.run.dir={folder}", "hydra.output_subdir=null"]
    return [*place, *limits]


def pretrain(config: PretrainConfig, run: Path) -> None:
    """Pretrains, goes on with it, or shows some scenes.

    Args:
        config: The settings.
        run: Folder for the results.

    Raises:
        BookclsError: For anything that the user can put right.
    """
    started = time.monotonic()
    if config.resume is not None:
        saved = typed(read_config(run / CONFIG), PretrainConfig)
        config = replace(saved, resume=str(run), max_minutes=config.max_minutes)
    elif config.show is None:
        claim(run, OmegaConf.to_yaml(OmegaConf.create(asdict(config))))

    # Only now, when the settings are known to be good: these imports take seconds.
    from bookcls.pretraining import fit

    if config.show is not None:
        fit.show(config, full_path("show", config.show))
        return
    ckpt = run / LAST if config.resume is not None and (run / LAST).is_file() else None
    fit.pretrain(config, run, ckpt=ckpt, started=started)


def main() -> None:
    """Runs the verb with the command line of this process."""
    command.verb("pretrain", PretrainConfig, pretrain, prepare)


if __name__ == "__main__":
    main()
