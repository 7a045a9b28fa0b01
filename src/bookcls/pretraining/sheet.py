"""A contact sheet of training scenes, to see what the network sees."""

from pathlib import Path

import numpy as np
from PIL import Image

from bookcls.errors import BookclsError
from bookcls.pretraining.bank import Bank
from bookcls.pretraining.rendered import render_scene
from bookcls.pretraining.settings import PretrainConfig
from bookcls.storage.files import atomic_write

COLUMNS, ROWS, GAP = 10, 6, 2


def write_sheet(path: Path, bank: Bank, config: PretrainConfig) -> None:
    """Saves some training scenes, before augmentation.

    Args:
        path: A .png file.
        bank: The covers.
        config: Gives the seed and the size (the last stage's).

    Raises:
        BookclsError: If the file cannot be written.
    """
    side, num = config.stages[-1].image_size, COLUMNS * ROWS
    rows = bank.pictures()
    images = np.stack(
        [
            render_scene(bank, rows, side, seed=config.seed, split="train", index=k).image
            for k in range(num)
        ]
    )
    padded = np.pad(images, ((0, 0), (0, GAP), (0, GAP), (0, 0)), constant_values=255)
    grid = padded.reshape(ROWS, COLUMNS, side + GAP, side + GAP, 3).swapaxes(1, 2)
    picture = Image.fromarray(grid.reshape(ROWS * (side + GAP), COLUMNS * (side + GAP), 3))
    try:
        with atomic_write(path) as temporary:
            picture.save(temporary, "PNG")
    except OSError as error:
        raise BookclsError(f"show={path}: cannot be written ({error}).") from error
