"""Directories of TIFF, which EXIF and the list of pictures in a JPEG also are."""

import io
from typing import NamedTuple

from bookcls.data.containers.reading import ImageError, Reader, check_count, check_metadata

MAX_ENTRIES = 4_096
MAX_NUMBERS = 4 * 2**20
"""Bytes of numbers in a directory, but for the places of strips and tiles. Pillow makes an object
of each."""
SLACK = 4_096
"""Bytes by which the values of a directory may exceed the file: some entries share their value."""

TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
TYPE_SIZES |= {16: 8, 17: 8, 18: 8}
NUMBER_FORMATS = {3: "H", 4: "L", 13: "L", 16: "Q"}
TEXT_TYPES = (1, 2, 6, 7)
STRIP_OFFSETS, STRIP_BYTES, TILE_OFFSETS, TILE_BYTES = 273, 279, 324, 325
PLACES = (STRIP_OFFSETS, STRIP_BYTES, TILE_OFFSETS, TILE_BYTES)
EXIF, GPS, INTEROPERABILITY = 0x8769, 0x8825, 0xA005


class Entry(NamedTuple):
    """An entry of a directory: its number of values, and where they are."""

    type: int
    length: int
    position: int

    @property
    def num_bytes(self) -> int:
        """Of all values."""
        return self.length * TYPE_SIZES[self.type]


class Directory:
    """Directories of a file.

    Attributes:
        entries: Of the first directory, by their tag.
        num_bytes: Of their values.
        next: Where the second directory is, 0 if there is none.
    """

    def __init__(self, reader: Reader, big: bool) -> None:
        """Reads the first directory and checks it.

        Args:
            reader: Of the file.
            big: Whether it is BigTIFF, with numbers of 64 bits.

        Raises:
            ImageError: If it costs too much to read.
        """
        self.reader, self.big = reader, big
        self.order = ">" if reader.read(0, 2) == b"MM" else "<"
        start = self.unpack("Q", 8) if big else self.unpack("L", 4)
        self.entries, self.num_bytes, self.next = self.read(start)
        for tag in (EXIF, GPS, INTEROPERABILITY):
            if tag in self.entries:
                below, _, _ = self.read(self.number(self.entries[tag]))
                self.read(self.number(below.get(INTEROPERABILITY)))

    def unpack(self, format: str, position: int) -> int:
        """The number at a position, 0 beyond the end of the file."""
        found = self.reader.unpack(self.order + format, position)
        return int(found[0]) if found else 0

    def number(self, entry: Entry | None, default: int = 0) -> int:
        """The first value of an entry."""
        if entry is None or entry.type not in NUMBER_FORMATS:
            return default
        return self.unpack(NUMBER_FORMATS[entry.type], entry.position)

    def numbers(self, entry: Entry) -> tuple[int, ...]:
        """All values of an entry."""
        if entry.type not in NUMBER_FORMATS:
            return ()
        kind = NUMBER_FORMATS[entry.type]
        return self.reader.unpack(f"{self.order}{entry.length}{kind}", entry.position) or ()

    def skip(self, start: int) -> tuple[int, int]:
        """The number of entries of a directory, and where the next one begins."""
        count = self.unpack("Q" if self.big else "H", start)
        end = start + (8 + 20 * count if self.big else 2 + 12 * count)
        return count, self.unpack("Q" if self.big else "L", end)

    def read(self, start: int) -> tuple[dict[int, Entry], int, int]:
        """Reads one directory: its entries, the bytes of their values, where the next begins.

        Raises:
            ImageError: If it costs too much to read.
        """
        entries: dict[int, Entry] = {}
        if start < 8:  # Not there, or within the header.
            return entries, 0, 0
        count, following = self.skip(start)
        # Of a damaged directory, what the file does not hold is not there.
        count = min(count, self.reader.size // 12)
        check_count("entries in a directory of its metadata", count, MAX_ENTRIES)
        total = numbers = 0
        width, head = (20, 8) if self.big else (12, 2)
        for i in range(count):
            position = start + head + width * i
            found = self.reader.unpack(self.order + ("HHQ" if self.big else "HHL"), position)
            if found is None or found[1] not in TYPE_SIZES:
                continue
            tag, type_, num = found
            inline, place = (8, position + 12) if self.big else (4, position + 8)
            entry = Entry(type_, num, place)
            if entry.num_bytes > inline:
                entry = Entry(type_, num, self.unpack("Q" if self.big else "L", place))
                if entry.position + entry.num_bytes > self.reader.size:
                    continue
                total += entry.num_bytes
                if type_ not in TEXT_TYPES and tag not in PLACES:
                    numbers += entry.num_bytes
            entries[tag] = entry
        check_metadata(numbers, MAX_NUMBERS, "numbers in its metadata")
        if total > self.reader.size + SLACK:
            raise ImageError(
                f"the values of its metadata take {total:,} bytes, but there are only "
                f"{self.reader.size:,}: save it again as JPEG, without metadata"
            )
        return entries, total, following


def check_exif(data: bytes) -> None:
    """Checks EXIF, which is a TIFF file without a picture.

    Raises:
        ImageError: If it costs too much to read.
    """
    while data.startswith(b"Exif\0\0"):
        data = data[6:]
    if data[:2] in (b"II", b"MM"):
        Directory(Reader(io.BytesIO(data)), data[2:3] == b"+")
