"""Reads each photo once and extracts everything that the checks need."""

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
"""Long side, in pixels, at which photos are compared and measured."""
HASH_SIDE = 16
"""Number of low frequencies in each direction: a hash has 256 bits."""
SYMMETRIES = (None, *Image.Transpose)
"""The identity, rotations by right angles, and reflections."""
EXIF_IFD, TAKEN, SUBSECONDS, MAKE, MODEL = 0x8769, 0x9003, 0x9291, 0x010F, 0x0110


@dataclass(frozen=True, eq=False)
class PhotoInfo:
    """Measured properties of a photo.

    Attributes:
        sample: The photo.
        split: "train", or the name of a test split.
        width: Width in pixels, as stored.
        height: Height in pixels, as stored.
        format: Pillow's name of the file format ("JPEG", "HEIF").
        taken: Capture time from the EXIF data; None if unknown.
        camera: Maker and model, or "".
        sharpness: Standard deviation of the Laplacian over that of the grey values, at 256 px.
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


def inspect_photos(folder: PhotoFolder) -> tuple[list[PhotoInfo], dict[Path, str]]:
    """Inspects every photo of a dataset, with a progress bar on a terminal.

    Returns:
        The readable photos, in the dataset's order; and unreadable photo -> reason.
    """
    splits: list[tuple[str, Sequence[Sample]]] = [("train", folder.train), *folder.tests.items()]
    photos = [(sample, split) for split, samples in splits for sample in samples]
    infos: list[PhotoInfo] = []
    bad: dict[Path, str] = {}
    # Outside the threads: warning filters are global to the process.
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")  # Pillow warns about broken EXIF; only the EXIF is lost.
        results = pool.map(lambda photo: inspect_photo(*photo), photos)
        inspected = progress(results, "Inspecting photos", len(photos))
        for (sample, _), result in zip(photos, inspected, strict=True):
            if isinstance(result, PhotoInfo):
                infos.append(result)
            else:
                bad[sample.path] = result
    return infos, bad


def inspect_photo(sample: Sample, split: str) -> PhotoInfo | str:
    """Inspects one photo.

    Returns:
        Its properties, or the reason why it cannot be read.
    """
    try:
        image = load_image(sample.path, size=SIDE)
        with open_image(sample.path) as header:
            (width, height), kind, exif = header.size, header.format or "", header.getexif()
            taken, camera = (
                capture_time(exif),
                f"{exif.get(MAKE, '')} {exif.get(MODEL, '')}".strip(),
            )
    except ImageError as error:
        return str(error)
    except DECODER_ERRORS as error:
        return describe_failure(sample.path, error)
    grey = image.convert("L")
    grey.thumbnail((SIDE, SIDE))
    values = np.asarray(grey, dtype=np.float64)
    return PhotoInfo(
        sample,
        split,
        width,
        height,
        kind,
        taken,
        camera,
        sharpness=float(laplace(values).std() / max(values.std(), 1e-9)),
        brightness=float(np.percentile(values, 99) / 255),
        hashes=perceptual_hashes(grey),
    )


def capture_time(exif: Image.Exif) -> datetime | None:
    """Reads the capture time from the EXIF data; file times would change when copying."""
    try:
        detail = exif.get_ifd(EXIF_IFD)
        taken = datetime.strptime(str(detail.get(TAKEN)).strip("\0 "), "%Y:%m:%d %H:%M:%S")
        return taken + timedelta(seconds=float(f"0.{str(detail.get(SUBSECONDS, 0)).strip()}"))
    except DECODER_ERRORS:  # A broken date does not make the photo unusable.
        return None


def perceptual_hashes(grey: Image.Image) -> npt.NDArray[np.bool_]:
    """Computes perceptual hashes (imagehash's phash) of a photo under all symmetries.

    Args:
        grey: A grey image of any size.

    Returns:
        bool (8, 256), in the order of ``SYMMETRIES``.
    """
    side = 4 * HASH_SIDE
    square = grey.resize((side, side), Image.Resampling.LANCZOS)
    turned = [square if op is None else square.transpose(op) for op in SYMMETRIES]
    return np.stack([imagehash.phash(t, hash_size=HASH_SIDE).hash.ravel() for t in turned])
