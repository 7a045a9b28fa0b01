"""Decodes photos a few ahead of the model, so that memory does not grow with their number."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from bookcls.data.images import ImageError, convert_image, fit_square, load_image
from bookcls.errors import BookclsError

Photo = str | os.PathLike[str] | Image.Image | npt.NDArray[np.uint8]
"""A file, or an image in memory; an array is uint8 (H, W, 3), RGB, or (H, W), grey."""
Square = npt.NDArray[np.uint8]
MAX_THREADS = 4
"""Each keeps one decoded photo: 36 MB for a PNG of 12 megapixels, a few MB for a JPEG."""


def decode_ahead(
    photos: Iterable[tuple[str, Photo | ImageError]], size: int, fit: str, ahead: int
) -> Iterator[tuple[str, Square | ImageError]]:
    """Decodes in threads, in order, at most ``ahead`` photos before they are needed.

    Args:
        photos: Name, and photo or the error that replaces it.
        size: Side of the square in pixels.
        fit: See :func:`bookcls.data.images.fit_square`.
        ahead: Maximum number of squares that wait.

    Yields:
        Name and uint8 (size, size, 3), or what is wrong with the photo.
    """
    pool = ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1))
    waiting: deque[tuple[str, Callable[[], Square | ImageError]]] = deque()
    try:
        for name, photo in photos:
            if isinstance(photo, str | os.PathLike):
                waiting.append((name, pool.submit(decode, photo, size, fit).result))
            else:  # The same open image may occur several times, and threads must not share it.
                waiting.append((name, partial(decode, photo, size, fit)))
            if len(waiting) > ahead:
                first, result = waiting.popleft()
                yield first, result()
        while waiting:
            first, result = waiting.popleft()
            yield first, result()
    finally:
        pool.shutdown(cancel_futures=True)


def decode(photo: Photo | ImageError, size: int, fit: str) -> Square | ImageError:
    """Decodes one photo to the square that the network sees, or returns the error.

    Raises:
        BookclsError: If it is not a photo of a supported type: a mistake in the caller's code.
    """
    try:
        if isinstance(photo, ImageError):
            return photo
        if isinstance(photo, str | os.PathLike):
            image = load_image(Path(photo), size=size)
        elif isinstance(photo, Image.Image):
            image = convert_image(photo)
        elif isinstance(photo, np.ndarray):
            image = convert_image(from_array(photo))
        else:
            raise BookclsError(
                f"a photo is a path, a PIL image or a uint8 array, not {type(photo).__name__}."
            )
        return fit_square(image, size, fit)
    except ImageError as error:
        return error


def from_array(array: npt.NDArray[np.uint8]) -> Image.Image:
    """Converts an array to an image.

    Raises:
        ImageError: If its shape or dtype is not that of an image.
    """
    valid_shape = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not valid_shape or not array.size:
        raise ImageError(f"an array must be uint8 (H, W, 3), not {array.dtype} {array.shape}")
    return Image.fromarray(array)
