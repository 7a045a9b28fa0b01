"""``python -m bookcls.init``: arranges photos for training, or creates the folders for them."""

from pathlib import Path

from bookcls import command
from bookcls.config import full_path
from bookcls.errors import BookclsError
from bookcls.layouts.adopt import adopt
from bookcls.layouts.settings import FOLDERS, InitConfig


def init(config: InitConfig, _: Path) -> None:
    """Recognises the layout of a folder of photos, and converts it to a new folder if asked.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    root = full_path("data.root", config.data.root)
    if root.exists() and not root.is_dir():
        raise BookclsError(f"data.root={root} is a file: give a folder.")
    output = full_path("output", config.output) if config.output is not None else None
    named = config.labels not in (None, FOLDERS)
    labels = full_path("labels", str(config.labels)) if named else None
    adopt(config, root, output, labels)


def main() -> None:
    """Runs the verb with the command line of this process."""
    command.verb("init", InitConfig, init)


if __name__ == "__main__":
    main()
