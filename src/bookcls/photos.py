"""Decodes every photo once, at the size that is needed."""

import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from bookcls.images import ImageError, fit_square, load_image
from bookcls.samples import PhotoFolder, Sample, problems_error

Decoded = dict[Path, npt.NDArray[np.uint8]]
"""Path -> uint8 array (size, size, 3), RGB."""


def decode(samples: Sequence[Sample], size: int, fit: str) -> tuple[Decoded, dict[Path, str]]:
    """Decodes photos in threads, with a progress bar on a terminal.

    Args:
        samples: The photos.
        size: Side of the square in pixels.
        fit: See :func:`bookcls.images.fit_square`.

    Returns:
        The images, and for each photo that could not be read the reason.
    """

    def one(sample: Sample) -> npt.NDArray[np.uint8] | str:
        try:
            return fit_square(load_image(sample.path, size=size), size, fit)
        except ImageError as error:
            return str(error)

    console = Console(stderr=True)
    images: Decoded = {}
    bad: dict[Path, str] = {}
    # Around the threads, not in them: the filters of warnings belong to the whole process.
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")  # Pillow's on broken EXIF, which only loses EXIF.
        results = track(
            pool.map(one, samples),
            description="Reading photos",
            total=len(samples),
            transient=True,
            console=console,
            disable=not console.is_terminal,
        )
        for sample, result in zip(samples, results, strict=True):
            if isinstance(result, str):
                bad[sample.path] = result
            else:
                images[sample.path] = result
    return images, bad


def usable(folder: PhotoFolder, bad: Mapping[Path, str], on_bad: str) -> PhotoFolder:
    """What is left of a dataset once it is known which photos cannot be read.

    Args:
        folder: The dataset.
        bad: Photo -> why it cannot be read.
        on_bad: ``skip`` leaves unreadable training photos out and records them; test photos are
            never left out, since that would change the figures.

    Returns:
        The dataset without what was skipped; its ``problems`` name every photo that could not be
        read and every class that skipping left empty.
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
    folder: PhotoFolder, size: int, fit: str, on_bad: str
) -> tuple[PhotoFolder, Decoded]:
    """Decodes a whole dataset.

    Args:
        folder: The dataset.
        size: Side of the square in pixels.
        fit: See :func:`bookcls.images.fit_square`.
        on_bad: See :func:`usable`.

    Returns:
        The dataset without what was skipped, and the images.

    Raises:
        BookclsError: Naming every problem of the folder, every photo that could not be read, and
            every class that skipping left empty.
    """
    tests = [s for samples in folder.tests.values() for s in samples]
    images, bad = decode([*folder.train, *tests], size, fit)
    skippable = on_bad != "skip" and any(s.path in bad for s in folder.train)
    folder = usable(folder, bad, on_bad)
    if skippable:
        folder.problems.append("(data.on_bad=skip would leave unreadable training photos out)")
    if folder.problems:
        raise problems_error(folder.root, folder.problems)
    return folder, images
