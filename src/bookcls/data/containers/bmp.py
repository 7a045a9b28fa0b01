"""BMP: run lengths, which Pillow decodes in Python."""

from bookcls.data.containers.reading import Reader, check_pixels, check_work

MAX_RUN_BYTES = 8_000_000
MAX_RUN_PIXELS = 16_000_000
RUN_LENGTHS = (1, 2)


def check_bmp(reader: Reader, size: int | None) -> None:
    """Checks a BMP; see :func:`bookcls.data.containers.check_container`.

    Raises:
        ImageError: If it costs too much to decode.
    """
    header = reader.unpack("<LllHHL", 14)
    if header is None or header[0] < 40:
        return
    _, width, height, _, _, compression = header
    check_pixels(width & 0xFFFFFFFF, abs(height))
    if compression in RUN_LENGTHS:
        check_pixels(width, abs(height), MAX_RUN_PIXELS, "a BMP with run lengths")
        check_work(reader.size, MAX_RUN_BYTES, "bytes of run lengths")
