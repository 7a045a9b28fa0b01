"""``python -m bookcls.cam``: what a trained classifier looked at, shown and measured."""

from pathlib import Path

from bookcls import command
from bookcls.config import full_path
from bookcls.explaining.chosen import choose
from bookcls.explaining.external import read_answers
from bookcls.explaining.settings import CamConfig


def cam(config: CamConfig, _: Path) -> None:
    """Writes pictures, cam.csv and cam.json, and prints what they add up to.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    chosen = choose(config)
    path = full_path("external", config.external) if config.external else None
    answers = read_answers(path) if path else None

    # Only now, when there is something to explain: these imports take seconds.
    from bookcls.explaining.explain import explain

    explain(config, chosen, answers)


def main() -> None:
    """Runs the command with the arguments of this process."""
    command.verb("cam", CamConfig, cam)


if __name__ == "__main__":
    main()
