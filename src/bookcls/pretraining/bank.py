"""The covers of pretraining as one array on disk, drawn once and mapped by every process."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from bookcls import synthetic
from bookcls.errors import BookclsError
from bookcls.pretraining.identities import (
    BASE,
    TWIN_EVERY,
    UNKNOWN_BASE,
    design_of_row,
    size_of_row,
)
from bookcls.storage.files import atomic_write
from bookcls.synthetic import covers
from bookcls.synthetic.arrays import Bytes, Floats, resize
from bookcls.synthetic.covers import Skin

DRAWN_BY = ("arrays", "covers", "designs", "glyphs", "pictures")
"""Modules of the renderer that determine what a cover looks like."""


@dataclass(frozen=True)
class Bank:
    """Covers in rows: first the identities, then the distractors.

    Attributes:
        path: The array's file.
        num_identities: Rows that are classes.
        sizes: float32 (N, 3): width, height, thickness in book heights.
        height: Height of a picture in pixels.
    """

    path: Path
    num_identities: int
    sizes: Floats
    height: int

    @property
    def num_covers(self) -> int:
        """Rows in all."""
        return len(self.sizes)

    def pictures(self) -> Bytes:
        """uint8 RGB (N, H, W + S, 3), memory-mapped: the front, and the spine on its right."""
        rows: Bytes = np.load(self.path, mmap_mode="r")
        return rows

    def skin(self, rows: Bytes, row: int) -> Skin:
        """The skin of a cover, for ``synthetic.scenes``."""
        front, _ = widths(self.height)
        picture = np.ascontiguousarray(rows[row])
        return Skin(picture[:, :front], picture[:, front:])


def widths(height: int) -> tuple[int, int]:
    """Widths in pixels at which a front and a spine are stored; the sizes undo the stretch."""
    return height * 3 // 4, max(4, height // 12)


def draw_picture(row: int, *, num_identities: int, height: int) -> Bytes:
    """Draws one row of the bank, uint8 RGB (H, W + S, 3)."""
    skin = covers.skin(design_of_row(row, num_identities), height)
    assert skin.spine is not None
    parts = zip((skin.front, skin.spine), widths(height), strict=True)
    return np.concatenate([resize(part, height, width) for part, width in parts], axis=1)


def cache_key(num_identities: int, num_unknown: int, height: int) -> str:
    """Hashes everything that determines the bank: its settings and the code that draws it."""
    settings = (num_identities, num_unknown, height, BASE, UNKNOWN_BASE, TWIN_EVERY)
    digest = sha256(repr(settings).encode())
    room = Path(synthetic.__file__).parent
    for name in DRAWN_BY:
        digest.update((room / f"{name}.py").read_bytes())
    return digest.hexdigest()[:16]


def open_bank(
    cache: Path, num_identities: int, num_unknown: int, height: int, *, num_workers: int = 0
) -> Bank:
    """Opens the bank, and draws it first where it is not in the cache (some 13 ms a cover).

    Args:
        cache: Folder of the cached arrays.
        num_identities: Covers that are classes.
        num_unknown: Covers that are not.
        height: Height of the pictures in pixels.
        num_workers: Processes that draw; 0 or 1 draws in this one.

    Raises:
        BookclsError: If the cache cannot be written.
    """
    num = num_identities + num_unknown
    sizes = np.array([size_of_row(row, num_identities) for row in range(num)], np.float32)
    path = cache / f"covers-{cache_key(num_identities, num_unknown, height)}.npy"
    bank = Bank(path, num_identities, sizes, height)
    shape = (num, height, sum(widths(height)), 3)
    if path.is_file():
        try:
            if bank.pictures().shape == shape:
                return bank
        except (ValueError, EOFError):
            print(f"covers   {path} is damaged", flush=True)
    print(f"covers   drawing {num}, once, into {path}", flush=True)
    try:
        with atomic_write(path) as temporary:
            _draw(temporary, shape, num_identities, num_workers)
    except OSError as error:
        raise BookclsError(f"cache={cache}: covers cannot be stored there ({error}).") from error
    return bank


def _draw(
    path: Path, shape: tuple[int, int, int, int], num_identities: int, num_workers: int
) -> None:
    # open_memmap adds no suffix to the temporary name, and needs no second copy in memory.
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    draw = partial(draw_picture, num_identities=num_identities, height=shape[1])
    if num_workers < 2:
        for row in range(shape[0]):
            rows[row] = draw(row)
    else:
        # Threads of torch may be running, which a forked process could deadlock on.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(num_workers, context) as pool:
            for row, drawing in enumerate(pool.map(draw, range(shape[0]), chunksize=32)):
                rows[row] = drawing
    rows.flush()
