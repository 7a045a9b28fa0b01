"""Photos that cost far more to decode than their size suggests, in a small and a full version."""

import io
import random
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image


def save(kind: str, size: tuple[int, int] = (64, 48), mode: str = "RGB", **options) -> bytes:
    """A small honest photo."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    pixels = np.stack([x * 3 % 256, y * 5 % 256, (x + y) % 256], 2).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind, **options)
    return file.getvalue()


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def in_jpeg(extra: bytes, **options) -> bytes:
    """A JPEG with more segments at its beginning."""
    whole = save("JPEG", **options)
    return whole[:2] + extra + whole[2:]


def jpeg_scans(count: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """A progressive JPEG whose last scan is repeated; its header may promise another size."""
    whole = bytearray(save("JPEG", progressive=True))
    frame = whole.index(b"\xff\xc2")
    whole[frame + 5 : frame + 9] = struct.pack(">HH", size[1], size[0])
    last = whole.rindex(b"\xff\xda")
    return bytes(whole[:last] + whole[last:-2] * count + whole[-2:])


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def in_png(extra: bytes, **options) -> bytes:
    """A PNG with more chunks behind its header."""
    whole = save("PNG", **options)
    return whole[:33] + extra + whole[33:]


def png(size: tuple[int, int], colour: int, depth: int, extra: bytes = b"") -> bytes:
    """A PNG of zeros, of any size."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = bytes(1 + (size[0] * samples * depth + 7) // 8)
    packer = zlib.compressobj(1)
    data = b"".join([*(packer.compress(row) for _ in range(size[1])), packer.flush()])
    header = struct.pack(">LLBBBBB", *size, depth, colour, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data)) + chunk(
        b"IEND", b""
    )


def in_gif(extra: bytes) -> bytes:
    whole = save("GIF", mode="P")
    start = 13 + (3 << ((whole[10] & 7) + 1) if whole[10] & 128 else 0)
    return whole[:start] + extra + whole[start:]


def gif_frame(size: tuple[int, int]) -> bytes:
    """A frame that is to be disposed of, far larger than the screen."""
    control = b"!\xf9\x04\x08\0\0\0\0"
    return b"GIF89a\1\0\1\0\0\0\0" + control + b"," + struct.pack("<4HB", 0, 0, *size, 0) + b"\2\0;"


LONG, SHORT, RATIONAL, BYTES = 4, 3, 5, 7


def directory(tags: list[tuple[int, int, list[int] | tuple[int, int]]], at: int = 8) -> bytes:
    """A directory and its values: a list of numbers, or number and place of shared ones."""
    body, values = b"", b""
    end = at + 2 + 12 * len(tags) + 4
    for tag, kind, value in tags:
        if isinstance(value, tuple):
            body += struct.pack("<HHLL", tag, kind, *value)
            continue
        data = struct.pack(f"<{len(value)}{'L' if kind == LONG else 'H'}", *value)
        if len(data) <= 4:
            body += struct.pack("<HHL4s", tag, kind, len(value), data)
        else:
            body += struct.pack("<HHLL", tag, kind, len(value), end + len(values))
            values += data
    return struct.pack("<H", len(tags)) + body + struct.pack("<L", 0) + values


HEAD = b"II*\0\x08\0\0\0"


def tiff(
    size: tuple[int, int],
    places: list[int] | None = None,
    *,
    rows: int | None = None,
    tile: tuple[int, int] | None = None,
    bits: int = 8,
    compression: int = 1,
    data: bytes = b"",
    kind: int = 1,
    more: tuple = (),
) -> bytes:
    """A grey TIFF whose strips or tiles all begin at 8, where the data is, or at given places."""
    start = 8 + len(data) + len(data) % 2
    across, down = tile or (size[0], rows or size[1])
    count = -(-size[0] // across) * -(-size[1] // down)
    places = [8] * count if places is None else places
    bytes_ = [len(data) or across * down * bits // 8] * len(places)
    tags = [(256, LONG, [size[0]]), (257, LONG, [size[1]]), (258, SHORT, [bits])]
    tags += [(259, SHORT, [compression]), (262, SHORT, [1])]
    if tile is None:
        tags += [(273, LONG, places), (277, SHORT, [1]), (278, LONG, [down]), (279, LONG, bytes_)]
    else:
        tags += [(277, SHORT, [1]), (322, LONG, [across]), (323, LONG, [down])]
        tags += [(324, LONG, places), (325, LONG, bytes_)]
    tags += [(339, SHORT, [kind]), *more]
    return (
        b"II*\0"
        + struct.pack("<L", start)
        + data
        + b"\0" * (len(data) % 2)
        + directory(sorted(tags, key=lambda tag: tag[0]), start)
    )


def tiff_chain(count: int) -> bytes:
    """A TIFF with many directories of one entry."""
    first = tiff((4, 4), data=bytes(16))
    start = struct.unpack_from("<L", first, 4)[0]
    end = start + 2 + 12 * struct.unpack_from("<H", first, start)[0]
    pages = b""
    for i in range(count):
        following = len(first) + 18 * (i + 1) if i + 1 < count else 0
        pages += struct.pack("<HHHLLL", 1, 256, LONG, 1, 1, following)
    return first[:end] + struct.pack("<L", len(first)) + first[end + 4 :] + pages


def overlapping(count: int, length: int, kind: int = BYTES) -> bytes:
    """EXIF of many entries with the same value."""
    tags = [(1000 + i, kind, (length // (8 if kind == RATIONAL else 1), 8)) for i in range(count)]
    data = HEAD + directory(tags)
    return data + bytes(max(0, 8 + length - len(data)))


def webp(size: tuple[int, int], extra: bytes = b"") -> bytes:
    """A lossless WebP of one colour with transparency: each of its five codes has one symbol."""
    bits, used = 0, 0
    for value, width in [(size[0] - 1, 14), (size[1] - 1, 14), (1, 1), (0, 3), (0, 3)] + [
        (1, 1),
        (0, 1),
        (0, 1),
        (0, 1),
    ] * 5:
        bits |= value << used
        used += width
    data = b"\x2f" + bits.to_bytes((used + 7) // 8, "little")
    body = b"WEBP" + b"VP8L" + struct.pack("<L", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<L", len(body) + len(extra)) + body + extra


def bmp_runs(size: tuple[int, int], data: bytes) -> bytes:
    """A BMP with run lengths."""
    palette = bytes(range(256)) * 4
    header = struct.pack("<LllHHLLLLLL", 40, *size, 1, 8, 1, len(data), 0, 0, 256, 0)
    offset = 14 + len(header) + len(palette)
    return struct.pack("<2sLLL", b"BM", offset + len(data), 0, offset) + header + palette + data


SEGMENTS = {
    "Photoshop resources": segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * 5000),
    "quantization tables": segment(0xDB, (b"\0" + bytes(range(1, 65))) * 500),
    "picture headers": segment(0xC0, b"\x08\0\x09\0\x09\x03" + b"\1\x11\0" * 3),
    "EXIF": segment(0xE1, b"Exif\0\0" + bytes(60_000)),
    "metadata": segment(0xE5, bytes(65_000)),
}
"""What a JPEG may hold many times; by the words of the refusal."""

MANY = "save it again"
FAMILIES: dict[str, tuple[Callable[[int], bytes], int, str]] = {
    "scans": (lambda n: jpeg_scans(n), 600, "500 scans"),
    "scan pixels": (lambda n: jpeg_scans(n, (16000, 12000)), 20, "million pixels of scans"),
    "empty segments": (lambda n: in_jpeg(segment(0xE0, b"") * n), 6_000, "5,000 segments"),
    "bare markers": (lambda n: in_jpeg(b"\xff\xd0" * n), 6_000, "5,000 segments"),
    "junk": (lambda n: in_jpeg(segment(0xE0, b"") + bytes(n)), 200_000, "100,000 bytes between"),
    "fill": (lambda n: in_jpeg(b"\xff" * n), 200_000, "100,000 bytes between"),
    "resources": (lambda n: in_jpeg(SEGMENTS["Photoshop resources"] * n), 6, "Photoshop res"),
    "tables": (lambda n: in_jpeg(SEGMENTS["quantization tables"] * n), 2, "quantization tables"),
    "headers": (lambda n: in_jpeg(SEGMENTS["picture headers"] * n), 2, "picture headers"),
    "exif": (lambda n: in_jpeg(SEGMENTS["EXIF"] * n), 80, "MB of EXIF"),
    "metadata": (lambda n: in_jpeg(SEGMENTS["metadata"] * n), 1_100, "MB of metadata"),
    "exif entries": (
        lambda n: in_jpeg(segment(0xE1, b"Exif\0\0" + overlapping(n, 40_000))),
        1_000,
        "the values of its metadata",
    ),
    "pictures": (
        lambda n: in_jpeg(segment(0xE2, b"MPF\0" + overlapping(n, 40_000, RATIONAL))),
        1_000,
        "numbers in its metadata",
    ),
    "png chunks": (lambda n: in_png(chunk(b"teSt", b"") * n), 2_000, "1,000 chunks of metadata"),
    "png pixels": (lambda n: in_png(chunk(b"IDAT", b"") * n), 101_000, "100,000 chunks"),
    "png profiles": (
        lambda n: in_png(chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10**6))) * n),
        2_000,
        "1,000 chunks of metadata",
    ),
    "png exif": (
        lambda n: in_png(chunk(b"eXIf", overlapping(n, 60_000))),
        4_000,
        "the values of its metadata",
    ),
    "png text": (
        lambda n: in_png(
            chunk(
                b"zTXt",
                b"Raw profile type exif\0\0"
                + zlib.compress(b"\nexif\n 99\n" + overlapping(n, 60_000).hex().encode()),
            )
        ),
        4_000,
        "the values of its metadata",
    ),
    "png size": (
        lambda n: in_png(b"")[:16] + struct.pack(">LL", n, n) + in_png(b"")[24:],
        60_000,
        "60000x60000 pixels",
    ),
    "comments": (lambda n: in_gif(b"!\xfe" + (b"\xff" + b"a" * 255) * n + b"\0"), 5_000, "comm"),
    "hidden comments": (
        lambda n: in_gif(b"!\xf9\0\3,,,\0!\xfe" + (b"\1a") * n + b"\0"),
        5_000,
        "4,000 blocks of comments",
    ),
    "extensions": (lambda n: in_gif(b"!\xf0\0\0" * n), 101_000, "200,000 blocks before"),
    "gif junk": (lambda n: in_gif(b"\0" * n), 201_000, "200,000 blocks before"),
    "frame": (lambda n: gif_frame((min(n, 65_535),) * 2), 65_000, "65000x65000 pixels"),
    "tiles": (lambda n: tiff((n, n), tile=(1, 1), data=b"a"), 500, "200,000 strips or tiles"),
    "strips": (lambda n: tiff((1, n), rows=1, data=b"a"), 250_000, "200,000 strips or tiles"),
    "entries": (
        lambda n: tiff(
            (4, 4), data=bytes(9_000), more=[(40_000 + i, BYTES, (9_000, 8)) for i in range(n)]
        ),
        900,
        "the values of its metadata",
    ),
    "numbers": (
        lambda n: tiff((4, 4), data=bytes(n), more=((282, RATIONAL, (n // 8, 8)),)),
        5_000_000,
        "numbers in its metadata",
    ),
    "chain": (tiff_chain, 11_000, "10,000 pages"),
    "large tile": (
        lambda n: tiff((9, 9), tile=(n, n), compression=8, data=b"a"),
        60_000,
        "bytes of pixels",
    ),
    "tiff size": (lambda n: tiff((n, n), data=b"a"), 60_000, "60000x60000 pixels"),
    "shared jpeg": (
        lambda n: tiff((64 * n, 48), tile=(64, 48), compression=7, data=jpeg_scans(90)),
        20,
        "its tiles take",
    ),
    "webp": (
        lambda n: webp((min(n, 16_384),) * 2),
        14_000,
        "14000x14000 pixels; the limit for WebP",
    ),
    "webp chunks": (lambda n: webp((9, 9), b"abcd\0\0\0\0" * n), 21_000, "20,000 chunks"),
    "runs": (lambda n: bmp_runs((n, n), b"\1\1"), 5_000, "for a BMP with run lengths"),
    "run bytes": (lambda n: bmp_runs((4_000, 4_000), b"\1\1" * n), 5_000_000, "bytes of run"),
}
"""Attacks of a size, the size of the small version and what its refusal says."""

HONEST: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: save("JPEG"),
    "progressive": lambda: save("JPEG", progressive=True),
    "cmyk": lambda: save("JPEG", mode="CMYK"),
    "exif": lambda: save("JPEG", exif=b"Exif\0\0" + HEAD + directory([(274, SHORT, [6])])),
    "mpo": lambda: save("MPO", save_all=True, append_images=[Image.new("RGB", (64, 48))]),
    "png": lambda: save("PNG"),
    "rgba": lambda: save("PNG", mode="RGBA"),
    "palette": lambda: save("PNG", mode="P"),
    "sixteen": lambda: png((40, 30), 0, 16),
    "apng": lambda: save("PNG", save_all=True, append_images=[Image.new("RGB", (64, 48))]),
    "gif": lambda: save("GIF", mode="P", save_all=True, append_images=[Image.new("P", (64, 48))]),
    "webp": lambda: save("WEBP"),
    "lossless": lambda: save("WEBP", mode="RGBA", lossless=True),
    "animated": lambda: save("WEBP", save_all=True, append_images=[Image.new("RGB", (64, 48))]),
    "bmp": lambda: save("BMP"),
    "runs": lambda: bmp_runs((40, 30), b"\x28\1\0\0" * 30 + b"\0\1"),
    "tiff": lambda: save("TIFF"),
    "lzw": lambda: save("TIFF", compression="tiff_lzw"),
    "deflate": lambda: save("TIFF", compression="tiff_adobe_deflate"),
    "packed": lambda: save("TIFF", compression="packbits"),
    "tiff jpeg": lambda: save("TIFF", compression="jpeg"),
    "fax": lambda: save("TIFF", mode="1", compression="group4"),
    "float": lambda: tiff((40, 30), bits=32, kind=3, data=bytes(4800)),
    "tiled": lambda: tiff((64, 48), tile=(16, 16), data=bytes(256)),
    "cmyk tiff": lambda: save("TIFF", mode="CMYK"),
}
"""Small photos to mutate."""


def mutate(whole: bytes, rng: random.Random) -> bytes:
    """A photo with some damage that keeps its structure, or breaks it."""
    data = bytearray(whole)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(data))
        match rng.randrange(8):
            case 0:
                data[at] = rng.randrange(256)
            case 1:  # a length or a size
                value = rng.choice((0, 1, 0xFFFF, 0x7FFF, rng.randrange(65536)))
                data[at : at + 2] = struct.pack(rng.choice(("<H", ">H")), value)
            case 2:
                value = rng.choice((0, 2**31 - 1, 2**32 - 1, rng.randrange(2**32)))
                data[at : at + 4] = struct.pack(rng.choice(("<L", ">L")), value)
            case 3:
                data[at : at + rng.randrange(1, 64)] = b""
            case 4:  # a part, many times
                part = bytes(data[at : at + rng.randrange(1, 400)])
                data[at:at] = part * rng.choice((1, 10, 1000, 20000))
            case 5:
                data[at:at] = bytes(rng.choice((1, 100, 100_000)))
            case 6:  # in the header
                data[rng.randrange(min(64, len(data)))] = rng.randrange(256)
            case 7:
                data[at:at] = rng.choice(
                    (b"\xff\xda", b"\xff\xd9", b"\xff\xe1\xff\xff", b"IDAT", b"!\xfe\xff", b",")
                )
        data = data[:20_000_000] or bytearray(b"\0")
    return bytes(data)


def invent(rng: random.Random) -> tuple[str, bytes]:
    """A hostile photo: an attack of any size, a mutated attack or a mutated honest photo."""
    if rng.random() < 0.6:
        name = rng.choice(list(HONEST))
        return name, mutate(HONEST[name](), rng)
    name = rng.choice(list(FAMILIES))
    make, count, _ = FAMILIES[name]
    share = rng.choice((0.1, 0.5, 0.8, 0.82, 0.9, 1.0, 3.0))
    data = make(max(1, int(count * share)))
    return name, mutate(data, rng) if rng.random() < 0.3 else data
