"""Decodes photos at the size that is needed, and caches as many as the budget allows."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bookcls.data.images import ImageError, fit_square, load_image
from bookcls.data.progress import progress
from bookcls.data.samples import PhotoFolder, Sample, problems_error
from bookcls.environment import is_first_process

Image = npt.NDArray[np.uint8]
CACHE_MB = 2000
"""Default of ``data.cache_mb``: enough for 13,000 photos at 224 px, or 40,000 at 128 px."""


class Decoded(Mapping[Path, Image]):
    """Path -> uint8 array (size, size, 3), RGB: from the cache, or decoded again from its file.

    The pixels are the same either way. The first photos that fit into the budget are cached: since
    photos are drawn in random order, no other policy has a higher hit rate.
    """

    def __init__(self, size: int, fit: str, cache_mb: float = CACHE_MB) -> None:
        """Creates an empty cache.

        Args:
            size: Side of the square in pixels.
            fit: See :func:`bookcls.data.images.fit_square`.
            cache_mb: Maximum size of the cache, in megabytes (10^6 bytes).
        """
        self.size = size
        self.fit = fit
        self.num_kept = int(cache_mb * 1e6 / (3 * size * size))
        self._kept: dict[Path, Image | None] = {}

    def read(self, path: Path) -> Image:
        """Decodes a file.

        Raises:
            ImageError: If it cannot be used.
        """
        return fit_square(load_image(path, size=self.size), self.size, self.fit)

    def add(self, path: Path, image: Image) -> None:
        """Adds a photo, and caches it if there is room."""
        self._kept[path] = image if len(self._kept) < self.num_kept else None

    def __getitem__(self, path: Path) -> Image:
        image = self._kept[path]
        if image is not None:
            return image
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # as in decode
                return self.read(path)
        except ImageError as error:
            raise ImageError(f"{path}: {error}, although it could be read before") from error

    def __iter__(self) -> Iterator[Path]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


def decode(
    samples: Sequence[Sample], size: int, fit: str, cache_mb: float = CACHE_MB
) -> tuple[Decoded, dict[Path, str]]:
    """Decodes photos in threads, with a progress bar on a terminal.

    Args:
        samples: The photos.
        size: Side of the square in pixels.
        fit: See :func:`bookcls.data.images.fit_square`.
        cache_mb: Maximum size of the cache, in megabytes.

    Returns:
        The images, and for each photo that could not be read the reason.
    """
    images = Decoded(size, fit, cache_mb)

    def one(sample: Sample) -> Image | str:
        try:
            return images.read(sample.path)
        except ImageError as error:
            return str(error)

    bad: dict[Path, str] = {}
    # Outside the threads: warning filters are global to the process.
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")  # Pillow warns about broken EXIF; only the EXIF is lost.
        results = progress(pool.map(one, samples), "Reading photos", len(samples))
        for sample, result in zip(samples, results, strict=True):
            if isinstance(result, str):
                bad[sample.path] = result
            else:
                images.add(sample.path, result)
    return images, bad


def drop_unreadable(folder: PhotoFolder, bad: Mapping[Path, str], on_bad: str) -> PhotoFolder:
    """Removes unreadable photos from a dataset, or adds them to its problems.

    Args:
        folder: The dataset.
        bad: Photo -> why it cannot be read.
        on_bad: ``skip`` leaves unreadable training photos out and records them; test photos are
            never left out, since that would change the scores.

    Returns:
        The dataset without what was skipped; its ``problems`` name every photo that could not be
        read and every class left without photos.
    """
    tests = [s for samples in folder.tests.values() for s in samples]
    refused = tests if on_bad == "skip" else [*folder.train, *tests]
    problems = [*folder.problems]
    problems += [
        f"{s.path.relative_to(folder.root)}: {bad[s.path]}" for s in refused if s.path in bad
    ]
    if on_bad != "skip":
        return replace(folder, problems=problems)
    kept = [s for s in folder.train if s.path not in bad]
    skipped = [(s.path, bad[s.path]) for s in folder.train if s.path in bad]
    left = {s.label for s in kept}
    names = [name for label, name in enumerate(folder.class_names) if label not in left]
    problems += [f"train/{name}: no readable photo left" for name in names]
    skipped = [*folder.skipped, *skipped]
    return replace(folder, train=kept, skipped=skipped, problems=problems)


def decode_folder(
    folder: PhotoFolder, size: int, fit: str, on_bad: str, cache_mb: float = CACHE_MB
) -> tuple[PhotoFolder, Decoded]:
    """Decodes all photos of a dataset.

    Args:
        folder: The dataset.
        size: Side of the square in pixels.
        fit: See :func:`bookcls.data.images.fit_square`.
        on_bad: See :func:`drop_unreadable`.
        cache_mb: Maximum size of the cache, in megabytes; a note is printed if it is too small.

    Returns:
        The dataset without what was skipped, and the images.

    Raises:
        BookclsError: Naming every problem of the folder, every photo that could not be read, and
            every class left without photos.
    """
    tests = [s for samples in folder.tests.values() for s in samples]
    images, bad = decode([*folder.train, *tests], size, fit, cache_mb)
    skippable = on_bad != "skip" and any(s.path in bad for s in folder.train)
    folder = drop_unreadable(folder, bad, on_bad)
    if skippable:
        folder.problems.append("(data.on_bad=skip would leave unreadable training photos out)")
    if folder.problems:
        raise problems_error(folder.root, folder.problems)
    if images.num_kept < len(images) and is_first_process():
        needed = len(images) * 3 * size * size / 1e6
        print(
            f"note: data.cache_mb={cache_mb:g} has room for {images.num_kept} of {len(images)} "
            f"photos; the others are decoded each time ({needed:.0f} would fit all)",
            flush=True,
        )
    return folder, images
