"""``python -m bookcls.pretrain``: pretrains VGG16 on rendered scenes."""

import time
from dataclasses import asdict, replace
from pathlib import Path

from omegaconf import OmegaConf

from bookcls import command
from bookcls.config import full_path, read_config, to_dataclass
from bookcls.pretraining.settings import CARD, PretrainConfig
from bookcls.runs import CONFIG, LAST, claim_folder
from bookcls.storage.files import read_json
from bookcls.storage.folders import locked


def prepare(argv: list[str]) -> list[str]:
    """Expands ``preset=`` to its config group, and makes ``resume=RUN`` write to RUN.

    Raises:
        BookclsError: If there is no such run, or other settings are given with it.
    """
    argv = [f"pretrain/{arg}" if arg.startswith("preset=") else arg for arg in argv]
    return command.expand_resume(argv, allowed=["max_minutes"], is_finished=is_finished)


def is_finished(run: Path) -> bool:
    """Whether a run has finished, rather than stopped early."""
    return (run / CARD).is_file() and bool(read_json(run / CARD).get("finished"))


def pretrain(config: PretrainConfig, run: Path) -> None:
    """Pretrains, resumes pretraining, or draws some scenes.

    Args:
        config: The settings.
        run: Folder for the results.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    started = time.monotonic()
    if config.show is not None:
        from bookcls.pretraining import fit

        fit.show(config, full_path("show", config.show))
        return
    with locked(run):
        ckpt = None
        if config.resume is not None:
            saved = to_dataclass(read_config(run / CONFIG), PretrainConfig)
            config = replace(saved, resume=str(run), max_minutes=config.max_minutes)
            ckpt = run / LAST if (run / LAST).is_file() else None
        else:
            claim_folder(run, OmegaConf.to_yaml(OmegaConf.create(asdict(config))))

        # Imported only once the settings have been checked: these imports take seconds.
        from bookcls.pretraining import fit

        fit.pretrain(config, run, ckpt=ckpt, started=started)


def main() -> None:
    """Runs the verb with the command line of this process."""
    command.verb("pretrain", PretrainConfig, pretrain, prepare)


if __name__ == "__main__":
    main()
