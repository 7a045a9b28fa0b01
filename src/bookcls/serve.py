"""``python -m bookcls.serve``: a trained classifier as a page and a REST address."""

from pathlib import Path

from bookcls import command
from bookcls.environment import say_loading
from bookcls.serving.chosen import choose
from bookcls.serving.settings import ServeConfig


def serve(config: ServeConfig, _: Path) -> None:
    """Answers until it is stopped.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    chosen = choose(config)

    # Only now, when there is something to serve: these imports take seconds.
    say_loading()
    from bookcls.serving.run import run

    run(config, chosen)


def main() -> None:
    """Runs the command with the arguments of this process."""
    command.verb("serve", ServeConfig, serve)


if __name__ == "__main__":
    main()
