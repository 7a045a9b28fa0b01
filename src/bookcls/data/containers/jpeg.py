"""JPEG: segments, scans, and what progressive decoding takes."""

import re

from bookcls.data.containers.directory import check_exif
from bookcls.data.containers.reading import (
    MAX_JUNK,
    Reader,
    check_count,
    check_memory,
    check_metadata,
    check_pixels,
    check_work,
)

MAX_SEGMENTS = 5_000
MAX_SCANS = 500
"""Progressive JPEGs have about ten. Those with thousands keep libjpeg busy for minutes."""
MAX_SCAN_PIXELS = 3_000_000_000
"""Pixels of all scans together, for each component of the colour: 15 scans of 200 megapixels."""
ARITHMETIC_COST = 4
"""Arithmetic coding takes about as many times as long as Huffman coding."""
MAX_EXIF = 4 * 2**20
MAX_RESOURCES = 20_000
"""Photoshop's image resources."""
MAX_TABLES = 16 * 2**10
"""Bytes of quantization tables."""

MARKER = re.compile(rb"\xff[\x01-\xfe]")
# Within a scan, FF 00 is a byte of it, and FF D0 to FF D7 are restarts.
END_OF_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
BARE = {0x01, 0xC8, *range(0xD0, 0xDA), *range(0xF0, 0xFE)}
"""Markers without a segment."""
FRAMES = {*range(0xC0, 0xD0), 0xDE} - {0xC4, 0xC8, 0xCC}
SCAN, END, TABLES = 0xDA, 0xD9, 0xDB


class Frame:
    """The header of a JPEG's picture: ``components`` are their sampling factors."""

    def __init__(self, marker: int, data: bytes) -> None:
        self.height, self.width = int.from_bytes(data[1:3]), int.from_bytes(data[3:5])
        self.components = [divmod(byte, 16) for byte in data[7 : 6 + 3 * data[5] : 3]]
        self.progressive = marker in (0xC2, 0xC6, 0xCA, 0xCE)
        self.cost = ARITHMETIC_COST if marker >= 0xC9 else 1

    def count_coefficients(self) -> float:
        """The number of coefficients, all of which are kept between scans."""
        across = max((h for h, _ in self.components), default=1) or 1
        down = max((v for _, v in self.components), default=1) or 1
        share = sum(h * v for h, v in self.components) / (across * down)
        return self.width * self.height * share


class Metadata:
    """What a JPEG holds before its first scan."""

    def __init__(self) -> None:
        self.num_bytes = self.tables = self.resources = self.frames = 0
        self.exif = b""

    def add(self, marker: int, data: bytes) -> None:
        """Adds a segment.

        Raises:
            ImageError: If there is too much of something.
        """
        self.num_bytes += len(data)
        check_metadata(self.num_bytes)
        if marker == 0xE1 and data.startswith(b"Exif\0\0"):
            self.exif += data[6:]
            check_metadata(len(self.exif), MAX_EXIF, "EXIF")
        elif marker == 0xE2 and data.startswith(b"MPF\0"):
            check_exif(data[4:])
        elif marker == 0xED:
            self.resources += data.count(b"8BIM")
            check_count("Photoshop resources", self.resources, MAX_RESOURCES)
        elif marker == TABLES:
            self.tables += len(data)
            check_metadata(self.tables, MAX_TABLES, "quantization tables")
        elif marker in FRAMES:
            self.frames += 1
            check_count("picture headers", self.frames, 1)
            check_count("colour components", max(len(data) - 6, 0) // 3, 4)


def check_jpeg(reader: Reader, size: int | None) -> None:
    """Checks a JPEG; see :func:`bookcls.data.containers.check_container`.

    Raises:
        ImageError: If it costs too much to decode.
    """
    position, segments, junk, scans, scan_pixels = 2, 0, 0, 0, 0.0
    metadata, frame, several = Metadata(), None, False
    while True:
        found = reader.find(END_OF_SCAN if scans else MARKER, position)
        if not scans:
            junk += found - position
            check_count("bytes between the segments of this JPEG", junk, MAX_JUNK)
        head = reader.read(found, 4)
        if len(head) < 4 or (scans and head[1] == END):
            break
        segments += 1
        check_count("segments in this JPEG", segments, MAX_SEGMENTS)
        marker, position = head[1], found + 2
        if marker in BARE:
            continue
        length = max(int.from_bytes(head[2:]), 2)
        data = b"" if scans and marker != SCAN else reader.read(found + 4, length - 2)
        position += length
        if marker == SCAN:
            if not scans:
                check_exif(metadata.exif)
            scans += 1
            check_count("scans in this JPEG", scans, MAX_SCANS)
            if frame is not None and data:
                several |= data[0] < len(frame.components)
                scan_pixels += frame.cost * frame.width * frame.height * min(data[0], 4)
                check_work(scan_pixels, MAX_SCAN_PIXELS, "pixels of scans")
        elif not scans:
            metadata.add(marker, data)
            if marker in FRAMES and len(data) >= 6:
                frame = Frame(marker, data)
                check_pixels(frame.width, frame.height)
    if frame is not None:
        buffered = frame.progressive or several or scans > 1
        check_memory(metadata.num_bytes + _count_bytes(frame, buffered, size))


def _count_bytes(frame: Frame, buffered: bool, size: int | None) -> float:
    """The memory that decoding takes at its peak: with all coefficients, or while copying."""
    pixels = frame.width * frame.height
    if size is not None:
        scale = min(frame.width, frame.height) // (2 * size)
        pixels //= next((s for s in (8, 4, 2) if scale >= s), 1) ** 2
    image = pixels * (1 if len(frame.components) == 1 else 4)
    coefficients = 2 * frame.count_coefficients() if buffered else 0.0
    return max(image + coefficients, image + 4 * pixels)
