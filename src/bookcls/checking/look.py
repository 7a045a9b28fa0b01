"""One look at each photo: all that the checks need to know of it."""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import laplace

from bookcls.data.images import DECODER_ERRORS, ImageError, describe_failure, load_image, open_image
from bookcls.data.progress import progress
from bookcls.data.samples import PhotoFolder, Sample

SIDE = 256
"""Long side in pixels at which a photo is judged."""
HASH_SIDE = 16
"""Low frequencies of a hash in each direction: 256 bits."""
SYMMETRIES = (None, *Image.Transpose)
"""A photo as it is, turned by right angles, and mirrored."""
EXIF_IFD, TAKEN, SUBSECONDS, MAKE, MODEL = 0x8769, 0x9003, 0x9291, 0x010F, 0x0110


@dataclass(frozen=True, eq=False)
class Look:
    """What was seen of one photo.

    Attributes:
        sample: The photo.
        split: "train", or the name of a test split.
        width: In pixels, as stored.
        height: In pixels, as stored.
        format: Pillow's name of what the file holds ("JPEG", "HEIF").
        taken: When, by the camera's clock; None if the photo does not say.
        camera: Maker and model, or "".
        sharpness: Deviation of the Laplacian over that of the grey values, at 256 px.
        brightness: 99th percentile of the grey values, in [0, 1].
        hashes: bool (8, 256), perceptual hashes of the photo under ``SYMMETRIES``.
    """

    sample: Sample
    split: str
    width: int
    height: int
    format: str
    taken: datetime | None
    camera: str
    sharpness: float
    brightness: float
    hashes: npt.NDArray[np.bool_]

    @property
    def path(self) -> Path:
        """The photo's file."""
        return self.sample.path


def look_at(folder: PhotoFolder) -> tuple[list[Look], dict[Path, str]]:
    """Looks at every photo of a dataset, with a progress bar on a terminal.

    Returns:
        Those that can be read, in the dataset's order, and for each other one the reason.
    """
    splits: list[tuple[str, Sequence[Sample]]] = [("train", folder.train), *folder.tests.items()]
    photos = [(sample, split) for split, samples in splits for sample in samples]
    looks: list[Look] = []
    bad: dict[Path, str] = {}
    # Around the threads, not in them: the filters of warnings belong to the whole process.
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")  # Pillow's on broken EXIF, which only loses EXIF.
        results = pool.map(lambda photo: look(*photo), photos)
        looked = progress(results, "Looking at photos", len(photos))
        for (sample, _), seen in zip(photos, looked, strict=True):
            if isinstance(seen, Look):
                looks.append(seen)
            else:
                bad[sample.path] = seen
    return looks, bad


def look(sample: Sample, split: str) -> Look | str:
    """Looks at one photo.

    Returns:
        What was seen, or why it cannot be read.
    """
    try:
        image = load_image(sample.path, size=SIDE)
        with open_image(sample.path) as header:
            (width, height), kind, exif = header.size, header.format or "", header.getexif()
            taken, camera = when(exif), f"{exif.get(MAKE, '')} {exif.get(MODEL, '')}".strip()
    except ImageError as error:
        return str(error)
    except DECODER_ERRORS as error:
        return describe_failure(sample.path, error)
    grey = image.convert("L")
    grey.thumbnail((SIDE, SIDE))
    values = np.asarray(grey, dtype=np.float64)
    return Look(
        sample,
        split,
        width,
        height,
        kind,
        taken,
        camera,
        sharpness=float(laplace(values).std() / max(values.std(), 1e-9)),
        brightness=float(np.percentile(values, 99) / 255),
        hashes=hashes(grey),
    )


def when(exif: Image.Exif) -> datetime | None:
    """When a photo was taken; the file's own dates change when it is copied."""
    try:
        detail = exif.get_ifd(EXIF_IFD)
        taken = datetime.strptime(str(detail.get(TAKEN)).strip("\0 "), "%Y:%m:%d %H:%M:%S")
        return taken + timedelta(seconds=float(f"0.{str(detail.get(SUBSECONDS, 0)).strip()}"))
    except DECODER_ERRORS:  # A broken date costs the date, not the photo.
        return None


def hashes(grey: Image.Image) -> npt.NDArray[np.bool_]:
    """Perceptual hashes (imagehash's phash) of a photo, turned and mirrored.

    Args:
        grey: A grey image of any size.

    Returns:
        bool (8, 256), in the order of ``SYMMETRIES``.
    """
    side = 4 * HASH_SIDE
    square = grey.resize((side, side), Image.Resampling.LANCZOS)
    turned = [square if how is None else square.transpose(how) for how in SYMMETRIES]
    return np.stack([imagehash.phash(t, hash_size=HASH_SIDE).hash.ravel() for t in turned])
