"""The whole of the verb: every photo to one answer, into a table and words."""

import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bookcls.data.progress import progress
from bookcls.data.sources import Source, list_photos, summarise_suffixes
from bookcls.errors import BookclsError
from bookcls.predicting.predictor import Predictor
from bookcls.predicting.settings import PredictConfig
from bookcls.predicting.table import growing
from bookcls.predicting.threshold import Threshold
from bookcls.predicting.words import Tally

if TYPE_CHECKING:
    from bookcls.predicting.pictures import Pictures


@dataclass(frozen=True)
class Chosen:
    """What will be answered, where to.

    Attributes:
        ckpt: Checkpoint file.
        source: The photos.
        num_photos: How many there were when it began.
        others: Suffixes of the files beside them.
        threshold: Below which probability an answer is unsure.
        output: The csv file.
        cam: Folder of the pictures, or None.
    """

    ckpt: Path
    source: Source
    num_photos: int
    others: Counter[str]
    threshold: Threshold
    output: Path
    cam: Path | None


def run(config: PredictConfig, chosen: Chosen) -> None:
    """Answers, writes and prints.

    Raises:
        BookclsError: For anything that the user can put right, and if no photo could be read.
    """
    accelerator, source = config.trainer.accelerator, chosen.source
    predictor = Predictor(
        chosen.ckpt,
        chosen.threshold,
        rotations=config.rotations,
        batch_size=config.batch_size,
        accelerator=accelerator,
    )
    pictures = pictures_in(chosen.cam, predictor, accelerator) if chosen.cam else None
    print(f"model    {chosen.ckpt}: {', '.join(predictor.class_names)}")
    print(f"photos   {chosen.num_photos} in {source.base}")
    if chosen.others:
        print(f"         left alone: {summarise_suffixes(chosen.others)}")
    print(f"unsure   below {chosen.threshold.value}, {chosen.threshold.why}")
    if chosen.threshold.class_names and config.rotations > 1:
        print("         (chosen without rotations, which make answers less extreme)")
    tally = Tally(predictor.class_names)
    with warnings.catch_warnings(), growing(chosen.output, predictor.class_names) as write:
        warnings.simplefilter("ignore")  # Pillow's on broken EXIF, which only loses EXIF.
        answers = predictor.stream(list_photos(source))
        for found in progress(answers, "Answering", chosen.num_photos):
            write(found)
            tally.add(found)
            if pictures is not None and found.answer is not None:
                pictures.draw(source.base / found.file, found)
    tally.show()
    if pictures is not None:
        for line in pictures.missing:
            print(f"no picture  {line}")
    if not tally.answers:
        raise BookclsError(f"none of these photos can be read; {chosen.output} says why.")
    print(f"next     {tally.next_step(pictures=pictures is not None)}")
    print(f"written to  {chosen.output}" + (f" and {chosen.cam}" if chosen.cam else ""))


def pictures_in(folder: Path, predictor: Predictor, accelerator: str) -> "Pictures":
    """Imports pytorch-grad-cam and matplotlib only where they are wanted."""
    from bookcls.predicting.pictures import Pictures

    return Pictures(folder, predictor, accelerator)
