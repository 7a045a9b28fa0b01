"""``python -m bookcls.serve``: a trained classifier as a web page and a REST endpoint."""

from pathlib import Path

from bookcls import command
from bookcls.environment import print_loading
from bookcls.serving.resolve import resolve_settings
from bookcls.serving.settings import ServeConfig


def serve(config: ServeConfig, _: Path) -> None:
    """Serves until it is stopped.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    resolved = resolve_settings(config)

    # Imported late: these imports take seconds, and errors should come first.
    print_loading()
    from bookcls.serving.run import run

    run(config, resolved)


def main() -> None:
    """Runs the command with the arguments of this process."""
    command.verb("serve", ServeConfig, serve)


if __name__ == "__main__":
    main()
