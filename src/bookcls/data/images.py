"""The image loader used for training, testing, activation maps and prediction."""

import functools
import stat
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, UnidentifiedImageError

from bookcls.data.containers import ImageError as ImageError
from bookcls.data.containers import check_container
from bookcls.data.containers.directory import check_exif
from bookcls.data.containers.reading import MAX_PIXELS, check_pixels
from bookcls.data.rgb import convert_to_rgb

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".heif")
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
"""Formats that Pillow may open, whatever the file's name. Some of its others start programs (EPS
is passed to Ghostscript) or have decoders that are rarely tested."""
# MAX_PIXELS is checked as soon as the header is read; Pillow's own limit is lower.
Image.MAX_IMAGE_PIXELS = None

MAX_HEIC_PIXELS = 100_000_000
"""Of a HEIC or AVIF file, which takes longer to decode than a JPEG and has no reduced decoding."""
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""Brands in the header of a HEIC file (ISO/IEC 23008-12)."""
AVIF_BRANDS = (b"avif", b"avis")
HEIC_ADVICE = "HEIC, which needs pillow-heif: pip install 'bookcls[heic]', or export it as JPEG"

ORIENTATION = 0x0112
TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transpose that turns a photo upright, by its EXIF orientation; 1 is upright."""

PAD_RGB = (124, 116, 104)
"""ImageNet's mean colour, which becomes zero after normalisation."""

# Raised by Pillow's decoders on broken files; UnidentifiedImageError is an OSError.
DECODER_ERRORS = (
    OSError,
    AttributeError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


@functools.cache
def register_heic() -> bool:
    """Registers pillow-heif with Pillow, if installed; called for the first HEIC file.

    Returns:
        Whether it is installed.
    """
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def is_heic(path: Path) -> bool:
    """Whether a file's content is HEIC, the format of iPhones, whatever its name says."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS


def has_avif_brand(head: bytes) -> bool:
    """Whether the first bytes of a file are those of an AVIF (ISO/IEC 23000-22)."""
    end = min(len(head), int.from_bytes(head[:4], "big"))
    brands = {head[8:12], *(head[i : i + 4] for i in range(16, end, 4))}
    return head[4:8] == b"ftyp" and not brands.isdisjoint(AVIF_BRANDS)


def is_avif(path: Path) -> bool:
    """Whether a file's content is AVIF, whatever its name says."""
    with path.open("rb") as file:
        return has_avif_brand(file.read(64))


def open_image(path: Path, *, size: int | None = None) -> Image.Image:
    """Opens an image file and reads its header.

    Args:
        path: The file.
        size: See :func:`load_image`.

    Raises:
        ImageError: If decoding it would take too much time or memory.
        UnidentifiedImageError: Or any other of ``DECODER_ERRORS``.
    """
    with path.open("rb") as file:
        check_container(file, size)
    try:
        image = Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        # Not in FORMATS: the plugin for AVIF would accept HEIC, too, and then fail.
        kind = "AVIF" if is_avif(path) else "HEIF"
        if kind == "HEIF" and not (is_heic(path) and register_heic() and "HEIF" in Image.OPEN):
            raise
        image = Image.open(path, formats=(kind,))
    try:
        _check_opened(image)
    except ImageError:
        image.close()
        raise
    return image


def load_image(path: Path, *, size: int | None = None) -> Image.Image:
    """Loads a photo as a viewer shows it.

    EXIF orientation is applied; grey, palette, CMYK and 16-bit images become 8-bit RGB;
    transparency is composited on white; of several frames, the first is used.

    Args:
        path: A JPEG, PNG, WebP, BMP, TIFF, GIF or AVIF file; HEIC with pillow-heif.
        size: If given, the side of the square that the photo will be fitted to: a JPEG may then
            be decoded at a reduced scale of at least twice that, which is several times faster.

    Returns:
        An RGB image.

    Raises:
        ImageError: If the file is empty, truncated, too large or not an image.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ImageError("not a file")  # Opening a pipe would block forever.
        with open_image(path, size=size) as image:
            return _upright(image, size, own=True)
    except ImageError:
        raise
    except DECODER_ERRORS as error:
        raise ImageError(describe_failure(path, error)) from error


def convert_image(image: Image.Image) -> Image.Image:
    """Converts an open image as :func:`load_image` does a file.

    Raises:
        ImageError: If it cannot be decoded or is too large.
    """
    try:
        if isinstance(image, ImageFile.ImageFile) and image.tile and image.fp is not None:
            check_container(image.fp)
            _check_opened(image)
        return _upright(image, None, own=False)
    except ImageError:
        raise
    except DECODER_ERRORS as error:
        raise ImageError(_describe_error(error)) from error


def _check_opened(image: Image.Image) -> None:
    """Refuses what is known only once a file is open: EXIF that is not a JPEG's, and HEIC.

    Raises:
        ImageError: If it would take too long to read.
    """
    if image.format in ("HEIF", "AVIF"):
        check_pixels(*image.size, MAX_HEIC_PIXELS, "HEIC" if image.format == "HEIF" else "AVIF")
    if isinstance(exif := image.info.get("exif"), bytes):
        check_exif(exif)
    if isinstance(text := image.info.get("Raw profile type exif"), str):
        try:
            check_exif(bytes.fromhex("".join(text.split("\n")[3:])))
        except ValueError:
            return


def _upright(image: Image.Image, size: int | None, *, own: bool) -> Image.Image:
    """Decodes an image; ``own`` says that its memory may be freed as soon as it was copied."""
    width, height = image.size
    check_pixels(width, height, MAX_PIXELS)
    # JPEGs of phones that contain a second picture have the format MPO; draft() uses the first.
    if size is not None and image.format in ("JPEG", "MPO"):
        image.draft(None, (2 * size, 2 * size))
    image.load()
    turn = find_transpose(image)
    if turn is not None and image.mode == "RGB" and "transparency" not in image.info:
        return image.transpose(turn)
    rgb = convert_to_rgb(image)
    if own:
        image.close()
    return rgb if turn is None else rgb.transpose(turn)


def find_transpose(image: Image.Image) -> Image.Transpose | None:
    """The transpose that turns a photo upright; None if it is, or if its EXIF is unreadable."""
    try:
        _check_opened(image)  # A PNG may have its EXIF behind its pixels.
        # Not ImageOps.exif_transpose: it rewrites all of EXIF and fails on any broken tag.
        return TRANSPOSES.get(image.getexif().get(ORIENTATION, 1))
    except DECODER_ERRORS:
        return None


def describe_failure(path: Path, error: BaseException) -> str:
    """Describes briefly why a file could not be read."""
    try:
        num_bytes = path.stat().st_size
    except PermissionError:
        return "no permission to read it"
    except (OSError, ValueError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if num_bytes == 0:
        return "empty file (0 bytes)"
    if isinstance(error, UnidentifiedImageError):
        if not is_heic(path):
            return "not an image"
        return "damaged" if register_heic() else HEIC_ADVICE
    return _describe_error(error)


def _describe_error(error: BaseException) -> str:
    """Describes briefly why an image could not be decoded."""
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    if "truncated" in str(error).lower():
        return "truncated"
    return f"damaged ({' '.join(str(error).split())[:80] or type(error).__name__})"


def fit_square(image: Image.Image, size: int, fit: str) -> npt.NDArray[np.uint8]:
    """Fits a photo to the square that the network sees.

    Args:
        image: An RGB image of any size.
        size: Side of the square in pixels.
        fit: ``letterbox`` keeps the aspect ratio and pads with the mean colour; ``squash``
            stretches, as the 2018 study did.

    Returns:
        uint8 array (size, size, 3), RGB.
    """
    if fit == "squash":
        resized = image.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0)
        return np.asarray(resized)
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    small = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)
    square = Image.new("RGB", (size, size), PAD_RGB)
    square.paste(small, ((size - width) // 2, (size - height) // 2))
    return np.asarray(square)
