"""``python -m bookcls.predict``: classifies photos without labels."""

from pathlib import Path

from bookcls import command, runs
from bookcls.config import full_path
from bookcls.data.sources import Source, count_photos, find_source
from bookcls.environment import print_loading
from bookcls.errors import BookclsError
from bookcls.predicting.settings import PredictConfig
from bookcls.predicting.table import refuse_other_files
from bookcls.predicting.threshold import find_threshold


def predict(config: PredictConfig, _: Path) -> None:
    """Writes a row per photo, and prints a summary.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    ckpt = runs.open_run(config.ckpt).ckpt
    threshold = find_threshold(config.unsure)
    source = find_source(config.images)
    output = full_path("output", config.output)
    refuse_other_files(output)
    cam = resolve_cam_folder(config.cam, source) if config.cam else None
    counts = count_photos(source)

    # Imported late: these imports take seconds, and errors should come first.
    print_loading()
    from bookcls.predicting.run import ResolvedSettings, run

    run(config, ResolvedSettings(ckpt, source, counts, threshold, output, cam))


def resolve_cam_folder(cam: str, source: Source) -> Path:
    """Resolves the folder of the pictures, which must not be among the photos.

    Raises:
        BookclsError: If it is among the photos, or is a file.
    """
    folder = full_path("cam", cam)
    if source.may_match_in(folder, ".png"):
        raise BookclsError(
            f"cam={cam} is in {source.base}, where the pictures would be mistaken for photos: give "
            "a folder elsewhere."
        )
    if folder.exists() and not folder.is_dir():
        raise BookclsError(f"cam={cam} is a file: give a folder.")
    return folder


def main() -> None:
    """Runs the command with the arguments of this process."""
    command.verb("predict", PredictConfig, predict)


if __name__ == "__main__":
    main()
