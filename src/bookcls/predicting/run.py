"""Runs the command: classifies every photo, writes the table and prints a summary."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bookcls.data.progress import progress
from bookcls.data.sources import Counts, Source, list_photos, summarise_suffixes
from bookcls.errors import BookclsError
from bookcls.predicting.predictor import Predictor
from bookcls.predicting.settings import PredictConfig
from bookcls.predicting.summary import Tally
from bookcls.predicting.table import open_table
from bookcls.predicting.threshold import Threshold

if TYPE_CHECKING:
    from bookcls.predicting.pictures import Pictures


@dataclass(frozen=True)
class ResolvedSettings:
    """What to classify, and where to write.

    Attributes:
        ckpt: Checkpoint file.
        source: The photos.
        counts: How many there were at the start, and what is next to them.
        threshold: The probability below which a prediction is unsure.
        output: The csv file.
        cam: Folder of the pictures, or None.
    """

    ckpt: Path
    source: Source
    counts: Counts
    threshold: Threshold
    output: Path
    cam: Path | None


def run(config: PredictConfig, resolved: ResolvedSettings) -> None:
    """Classifies the photos, writes the table and prints a summary.

    Raises:
        BookclsError: For anything that the user can fix, and if no photo could be read.
    """
    accelerator, source = config.trainer.accelerator, resolved.source
    predictor = Predictor(
        resolved.ckpt,
        resolved.threshold,
        rotations=config.rotations,
        batch_size=config.batch_size,
        accelerator=accelerator,
    )
    pictures = load_pictures(resolved.cam, predictor, accelerator) if resolved.cam else None
    print(f"model    {resolved.ckpt}: {', '.join(predictor.class_names)}")
    print(f"photos   {resolved.counts.num_photos} in {source.base}")
    if resolved.counts.others:
        print(f"         ignored: {summarise_suffixes(resolved.counts.others)}")
    if skipped := str(resolved.counts.leavings):
        print(f"         skipped: {skipped}")
    print(f"unsure   below {resolved.threshold.value}, {resolved.threshold.why}")
    if resolved.threshold.class_names and config.rotations > 1:
        print("         (chosen without rotations, which make probabilities less extreme)")
    tally = Tally(predictor.class_names)
    with warnings.catch_warnings(), open_table(resolved.output, predictor.class_names) as write:
        warnings.simplefilter("ignore")  # Pillow warns about broken EXIF; only the EXIF is lost.
        predictions = predictor.stream(list_photos(source))
        for prediction in progress(predictions, "Classifying", resolved.counts.num_photos):
            write(prediction)
            tally.add(prediction)
            if pictures is not None and prediction.answer is not None:
                pictures.draw(source.base / prediction.file, prediction)
    tally.show()
    if pictures is not None:
        for line in pictures.missing:
            print(f"no picture  {line}")
    if not tally.answers:
        raise BookclsError(f"none of these photos can be read; {resolved.output} says why.")
    print(f"next     {tally.next_step(pictures=pictures is not None)}")
    print(f"written to  {resolved.output}" + (f" and {resolved.cam}" if resolved.cam else ""))


def load_pictures(folder: Path, predictor: Predictor, accelerator: str) -> "Pictures":
    """Imports pytorch-grad-cam and matplotlib only if they are needed."""
    from bookcls.predicting.pictures import Pictures

    return Pictures(folder, predictor, accelerator)
