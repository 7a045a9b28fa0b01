"""``python -m bookcls.export``: a trained classifier as a file for other programs."""

from pathlib import Path

from bookcls import command
from bookcls.exporting.resolve import resolve_settings
from bookcls.exporting.settings import ExportConfig


def export(config: ExportConfig, _: Path) -> None:
    """Writes an ONNX or torch.export file that predicts what the checkpoint predicts.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    resolved = resolve_settings(config)

    # Imported late: these imports take seconds, and errors should come first.
    from bookcls.exporting.export import export as write

    write(config, resolved)


def main() -> None:
    """Runs the command with the arguments of this process."""
    command.verb("export", ExportConfig, export)


if __name__ == "__main__":
    main()
