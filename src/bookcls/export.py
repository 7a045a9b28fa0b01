"""``python -m bookcls.export``: a trained classifier as a file for other programs."""

from pathlib import Path

from bookcls import command
from bookcls.exporting.chosen import choose
from bookcls.exporting.settings import ExportConfig


def export(config: ExportConfig, _: Path) -> None:
    """Writes an ONNX or torch.export file whose answers are those of the checkpoint.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    chosen = choose(config)

    # Only now, when there is something to export: these imports take seconds.
    from bookcls.exporting.export import export as write

    write(config, chosen)


def main() -> None:
    """Runs the command with the arguments of this process."""
    command.verb("export", ExportConfig, export)


if __name__ == "__main__":
    main()
