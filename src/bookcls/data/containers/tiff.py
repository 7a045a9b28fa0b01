"""TIFF: directories, strips and tiles."""

import re

from bookcls.data.containers.directory import (
    PLACES,
    STRIP_BYTES,
    TILE_BYTES,
    Directory,
)
from bookcls.data.containers.reading import (
    MAX_METADATA,
    ImageError,
    Reader,
    check_count,
    check_memory,
    check_metadata,
    check_pixels,
    check_work,
)

MAX_TILES = 200_000
"""Strips of one row in three planes make 60,000 in a scan of 20,000 rows."""
MAX_PAGES = 10_000
MAX_BYTES = 1_300_000_000
"""Bytes of pixels in all tiles before compression: 200 megapixels with 16 bits for each colour."""
COSTS = {5: 1.5, 34925: 6.0, 34676: 3.0, 34677: 3.0}
"""How much longer LZW, LZMA and LogLuv take than other compressions."""
OLD_JPEG, JPEG = 6, 7
MAX_SCAN_PIXELS = 1_000_000_000
START_OF_SCAN = re.compile(rb"\xff\xda")
(WIDTH, HEIGHT, BITS, COMPRESSION, ORIENTATION, SAMPLES, ROWS, PLANES, TILE_WIDTH, TILE_HEIGHT) = (
    *(256, 257, 258, 259, 274, 277, 278, 284, 322, 323),
)


def check_tiff(reader: Reader, size: int | None) -> None:
    """Checks a TIFF; see :func:`bookcls.data.containers.check_container`.

    Raises:
        ImageError: If it costs too much to decode.
    """
    head = reader.read(0, 4)
    if head == b"MM\0+":  # For libtiff this is BigTIFF, for Pillow it is not.
        _check(Directory(reader, True))
    if head[2:3] in b"*\0+" or head[3:4] == b"*":
        _check(Directory(reader, head[2:3] == b"+"))


def _check(directory: Directory) -> None:
    entries = directory.entries

    def get(tag: int, default: int) -> int:
        return directory.number(entries.get(tag), default)

    _check_pages(directory)
    width, height = get(WIDTH, 0), get(HEIGHT, 0)
    check_pixels(width, height)
    for tag in PLACES:
        if tag in entries:
            check_count("strips or tiles in this TIFF", entries[tag].length, MAX_TILES)
    places = sum(entries[tag].num_bytes for tag in PLACES if tag in entries)
    check_metadata(directory.num_bytes - places, 4 * MAX_METADATA)

    compression = get(COMPRESSION, 1)
    samples = get(SAMPLES, 3 if compression in (OLD_JPEG, JPEG) else 1)
    planes = samples if get(PLANES, 1) == 2 else 1
    across = get(TILE_WIDTH, width) or 1
    down = get(TILE_HEIGHT, 0) or min(get(ROWS, height), height) or 1
    tiles = -(-width // across) * -(-height // down) * planes
    check_count("strips or tiles in this TIFF", tiles, MAX_TILES)
    tile = across * down * samples / planes * get(BITS, 1) / 8
    check_work(tile * tiles * COSTS.get(compression, 1.0), MAX_BYTES, "bytes of pixels")
    if compression in (OLD_JPEG, JPEG):
        _check_scans(directory, across * down)
    pixels = width * height * (4 if samples > 1 or get(BITS, 1) > 16 else -(-get(BITS, 1) // 8))
    copies = 2 if get(ORIENTATION, 1) > 1 else 1
    decoding = pixels * copies + (0 if compression == 1 else tile)
    check_memory(max(decoding, pixels + 4 * width * height) + 2 * directory.num_bytes)


def _check_pages(directory: Directory) -> None:
    """Checks the number of pictures, which libtiff walks through."""
    seen: set[int] = set()
    page = directory.next
    while page and page not in seen and page < directory.reader.size:
        seen.add(page)
        check_count("pages in this TIFF", len(seen), MAX_PAGES)
        page = directory.skip(page)[1]


def _check_scans(directory: Directory, pixels: int) -> None:
    """Checks a TIFF of JPEGs, each of which may have many scans."""
    scans, position = 0, 0
    reader, entries = directory.reader, directory.entries
    while (position := reader.find(START_OF_SCAN, position)) < reader.size:
        scans, position = scans + 1, position + 2
        check_work(scans * pixels, MAX_SCAN_PIXELS, "pixels of scans")
    for tag in (STRIP_BYTES, TILE_BYTES):
        if tag in entries:
            entry = entries[tag]
            total = sum(directory.numbers(entry))
            if total > 1.25 * reader.size:
                raise ImageError(
                    f"its tiles take {total:,} bytes, but the file has only {reader.size:,}: save "
                    "it again as JPEG"
                )
