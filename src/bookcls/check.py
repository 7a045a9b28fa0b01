"""``python -m bookcls.check``: finds what is wrong with a folder of photos before training."""

import re
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from bookcls import command
from bookcls.checking.settings import CheckConfig
from bookcls.config import full_path, refuse_inside
from bookcls.data.dataset import read_folder
from bookcls.errors import BookclsError


def check(config: CheckConfig, _: Path) -> None:
    """Prints what is wrong and what to expect, and writes a page with the photos.

    Raises:
        BookclsError: If something must be fixed before training.
    """
    root = full_path("data.root", config.data.root)
    output = full_path("output", config.output or f"checks/{root.name}")
    if output.exists() and not output.is_dir():
        raise BookclsError(f"output={output} is a file: give a folder.")
    refuse_inside(output, root)
    folder = read_folder(root, on_bad=config.data.on_bad)

    # Imported late: these imports take a second, and errors should come first.
    from bookcls.checking import check

    overrides = HydraConfig.get().overrides.task
    check.check(config, folder, output, [w for w in overrides if re.match(r"data\.(?!root=)", w)])


def main() -> None:
    """Runs the command with the arguments of this process."""
    command.verb("check", CheckConfig, check)


if __name__ == "__main__":
    main()
