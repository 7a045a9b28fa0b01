"""``python -m bookcls.cam``: shows and measures what a trained classifier looked at."""

from pathlib import Path

from bookcls import command
from bookcls.config import full_path
from bookcls.explaining.external import read_answers
from bookcls.explaining.resolve import resolve_settings
from bookcls.explaining.settings import CamConfig


def cam(config: CamConfig, _: Path) -> None:
    """Writes pictures, cam.csv and cam.json, and prints a summary.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    resolved = resolve_settings(config)
    path = full_path("external", config.external) if config.external else None
    answers = read_answers(path) if path else None

    # Imported late: these imports take seconds, and errors should come first.
    from bookcls.explaining.explain import explain

    explain(config, resolved, answers)


def main() -> None:
    """Runs the command with the arguments of this process."""
    command.verb("cam", CamConfig, cam)


if __name__ == "__main__":
    main()
