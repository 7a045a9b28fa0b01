"""GIF: blocks before the first frame."""

from bookcls.data.containers.reading import Reader, check_count, check_pixels

MAX_BLOCKS = 200_000
"""Blocks of up to 255 bytes before the first frame, and as many lengths of blocks."""
MAX_COMMENTS = 4_000
"""Of those, blocks of comments. Pillow copies all earlier ones for each."""
COMMENT, APPLICATION = b"\xfe", b"\xff"


def check_gif(reader: Reader, size: int | None) -> None:
    """Checks a GIF; see :func:`bookcls.data.containers.check_container`.

    Raises:
        ImageError: If it costs too much to decode.
    """
    header = reader.unpack("<HHB", 6)
    if header is None:
        return
    width, height, flags = header
    check_pixels(width, height)
    blocks = Blocks(reader, 13 + (3 << ((flags & 7) + 1) if flags & 128 else 0))
    while (kind := blocks.read_bytes(1)) and kind != b";":
        if kind == b",":
            frame = reader.unpack("<4H", blocks.position)
            if frame is not None:
                left, top, across, down = frame
                check_pixels(max(width, left + across), max(height, top + down))
            return
        if kind == b"!":
            blocks.skip_extension()


class Blocks:
    """Reads the blocks of a GIF as Pillow does, also where they are damaged."""

    def __init__(self, reader: Reader, position: int) -> None:
        self.reader, self.position, self.count, self.comments = reader, position, 0, 0

    def read_bytes(self, num_bytes: int) -> bytes:
        """The next bytes.

        Raises:
            ImageError: If there were too many blocks.
        """
        self.count += 1
        check_count("blocks before the first frame of this GIF", self.count, MAX_BLOCKS)
        data = self.reader.read(self.position, num_bytes)
        self.position += len(data)
        return data

    def read_block(self) -> bytes:
        """The next block, empty at the end of an extension.

        Raises:
            ImageError: If there were too many blocks.
        """
        length = self.read_bytes(1)
        return self.read_bytes(length[0]) if length and length[0] else b""

    def skip_extension(self) -> None:
        """Reads the blocks of a comment or another extension.

        Raises:
            ImageError: If there were too many blocks.
        """
        kind = self.read_bytes(1)
        block = self.read_block()
        if kind == COMMENT:
            while block:
                self.comments += 1
                check_count("blocks of comments in this GIF", self.comments, MAX_COMMENTS)
                block = self.read_block()
            return
        if kind == APPLICATION and block.startswith(b"NETSCAPE2.0"):
            self.read_block()
        while self.read_block():
            pass
