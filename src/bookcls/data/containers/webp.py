"""WebP: chunks and pixels."""

from bookcls.data.containers.reading import (
    Reader,
    check_count,
    check_memory,
    check_metadata,
    check_pixels,
)

MAX_CHUNKS = 20_000
MAX_WEBP_PIXELS = 100_000_000
"""Of a WebP, which has no reduced decoding, and takes longer than a JPEG."""
BYTES_PER_PIXEL = 16
"""Two frames and two copies of the first, four bytes each."""
MAX_FILE = 256 * 2**20
METADATA = (b"ICCP", b"EXIF", b"XMP ")


def check_webp(reader: Reader, size: int | None) -> None:
    """Checks a WebP; see :func:`bookcls.data.containers.check_container`.

    Raises:
        ImageError: If it costs too much to decode.
    """
    width, height = _read_size(reader.read(12, 18))
    check_pixels(width, height, MAX_WEBP_PIXELS, "WebP")
    check_metadata(reader.size, MAX_FILE, "WebP")
    # Pillow and libwebp each hold a copy of the file.
    check_memory(width * height * BYTES_PER_PIXEL + 2 * reader.size)
    position, chunks, metadata = 12, 0, 0
    while (chunk := reader.unpack("<4sL", position)) is not None:
        kind, length = chunk
        position += 8 + length + length % 2
        chunks += 1
        check_count("chunks in this WebP", chunks, MAX_CHUNKS)
        if kind in METADATA:
            metadata += min(length, reader.size)
            check_metadata(metadata)


def _read_size(head: bytes) -> tuple[int, int]:
    """Width and height from the first chunk; 0 if it is too short, or none that can be first."""
    if len(head) == 18 and head.startswith(b"VP8X"):
        return 1 + int.from_bytes(head[12:15], "little"), 1 + int.from_bytes(head[15:], "little")
    if len(head) >= 13 and head.startswith(b"VP8L"):
        bits = int.from_bytes(head[9:13], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if len(head) == 18 and head.startswith(b"VP8 "):
        return (
            int.from_bytes(head[14:16], "little") & 0x3FFF,
            int.from_bytes(head[16:18], "little") & 0x3FFF,
        )
    return 0, 0
