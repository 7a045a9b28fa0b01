"""Decides which files are photos: by a suffix that is known, or else by the first bytes."""

import stat
from pathlib import Path

from PIL import features

from bookcls.data.images import HEIC_BRANDS, SUFFIXES, has_avif_brand

RAW_SUFFIXES = (".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".iiq", ".kdc", ".mef",
                ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl",
                ".sr2", ".srf", ".srw", ".x3f")  # fmt: skip
"""Raw photos of cameras. Many of them begin like a TIFF, but contain only a preview."""
OTHER_SUFFIXES = (".bz2", ".csv", ".db", ".doc", ".docx", ".gz", ".htm", ".html", ".ini", ".json",
                  ".jsonl", ".log", ".md", ".mov", ".mp3", ".mp4", ".npy", ".npz", ".pdf", ".psd",
                  ".py", ".rar", ".sqlite", ".svg", ".tar", ".tsv", ".txt", ".wav", ".xls",
                  ".xlsx", ".xml", ".xmp", ".yaml", ".yml", ".zip", ".7z", ".aae", ".avi",
                  ".ckpt", ".m4v", ".onnx", ".pt", ".pth", ".safetensors")  # fmt: skip
"""Suffixes of files that are not opened to see whether they are photos."""
HEADER_BYTES = 64
BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
"""Sizes of the headers of a BMP; two letters alone would match texts."""
RAW_ADVICE = "a camera's raw photo, which bookcls cannot read: export it as JPEG"
AVIF_ADVICE = "AVIF, which this installation of Pillow cannot read: export it as JPEG"


def is_photo(path: Path) -> bool:
    """Whether a file is a photo.

    A file with one of ``SUFFIXES`` counts as one without being opened, so that large folders are
    listed fast; decoding it names what is wrong with it. Any other file counts as one if its
    content begins like one, except if the suffix is clearly that of something else.
    """
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return True
    if suffix in RAW_SUFFIXES or suffix in OTHER_SUFFIXES:
        return False
    return begins_like_photo(read_head(path))


def begins_like_photo(head: bytes) -> bool:
    """Whether a file with these first 64 bytes is in a format that can be read.

    Example:
        >>> begins_like_photo(b"GIF89a"), begins_like_photo(b"BMW is no bitmap")
        (True, False)
    """
    if head[4:8] == b"ftyp":
        return head[8:12] in HEIC_BRANDS or (has_avif_brand(head) and reads_avif())
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a"))
        or head.startswith((b"II*\0", b"MM\0*"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BMP_HEADERS)
    )


def reads_avif() -> bool:
    """Whether Pillow was built with an AVIF decoder."""
    return bool(features.check("avif"))


def read_head(path: Path) -> bytes:
    """Reads the first 64 bytes of a file; none of a pipe, or of a file that cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return b""  # Opening a pipe would block forever.
        with path.open("rb") as file:
            return file.read(HEADER_BYTES)
    except (OSError, ValueError):
        return b""


def explain_other(path: Path) -> str:
    """Explains briefly why a file is not a photo, and what to do where that helps."""
    suffix = path.suffix.lower()
    if suffix in RAW_SUFFIXES:
        return RAW_ADVICE
    if suffix not in OTHER_SUFFIXES and has_avif_brand(read_head(path)):
        return AVIF_ADVICE
    return f"not an image (supported: {' '.join(SUFFIXES)})"
