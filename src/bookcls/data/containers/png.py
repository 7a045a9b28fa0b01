"""PNG: chunks and the bytes of pixels."""

from bookcls.data.containers.reading import (
    Reader,
    check_count,
    check_memory,
    check_metadata,
    check_pixels,
    check_work,
)

MAX_CHUNKS = 100_000
"""Chunks of all kinds; those of pixels often have 8 kB each."""
MAX_OTHERS = 1_000
"""Chunks of metadata. One of a few bytes may hold a megabyte of compressed text."""
MAX_BYTES = 1_200_000_000
"""Bytes of pixels before compression: 200 megapixels with 16 bits for each colour."""
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Numbers per pixel, by the type of colour."""


def check_png(reader: Reader, size: int | None) -> None:
    """Checks a PNG; see :func:`bookcls.data.containers.check_container`.

    Raises:
        ImageError: If it costs too much to decode.
    """
    header = reader.unpack(">LLBB", 16)
    if header is None:
        return
    width, height, depth, colour = header
    check_pixels(width, height)
    decoded = height * (width * depth * CHANNELS.get(colour, 4) / 8 + 1)
    check_work(decoded, MAX_BYTES, "bytes of pixels")
    position, chunks, others, metadata, pixels, animated = 8, 0, 0, 0, 0, False
    while (chunk := reader.unpack(">L4s", position)) is not None:
        length, kind = chunk
        position += 12 + length
        chunks += 1
        check_count("chunks in this PNG", chunks, MAX_CHUNKS)
        if kind == b"IEND":
            break
        if kind == b"IDAT":
            pixels += min(length, reader.size)
        elif kind not in (b"fdAT", b"fcTL"):
            others += 1
            metadata += min(length, reader.size)
            animated |= kind == b"acTL"
            check_count("chunks of metadata in this PNG", others, MAX_OTHERS)
            check_metadata(metadata)
    # Compression adds a thousandth at most. What follows the pixels is read at once.
    check_work(pixels, int(1.1 * decoded) + 2**20, "bytes of compressed pixels")
    # An animation's first frame is kept thrice.
    image = 1 if (colour == 0 and depth <= 8) or colour == 3 else 4
    check_memory(width * height * (image * (3 if animated else 1) + 4) + metadata)
