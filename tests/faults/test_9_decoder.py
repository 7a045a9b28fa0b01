"""Promise 4 again: no photo takes more than 5 seconds of CPU time or 2 GB of memory."""

import json
import os
import random
import resource
import time
import warnings
from pathlib import Path

import pytest
from PIL import Image

from bookcls.data.images import ImageError, convert_image, load_image
from hostile import (
    FAMILIES,
    HONEST,
    chunk,
    in_gif,
    in_jpeg,
    in_png,
    invent,
    save,
    segment,
    tiff,
    tiff_chain,
)
from victims import needs_fork

MAX_SECONDS, MAX_BYTES = 5.0, 2 * 2**30


@pytest.mark.parametrize("name", FAMILIES)
def test_an_attack_is_refused_at_once_and_says_what_to_do(tmp_path, name):
    make, count, said = FAMILIES[name]
    path = tmp_path / "photo"
    path.write_bytes(make(count))
    begin = time.process_time()
    with pytest.raises(ImageError) as caught:
        load_image(path)
    assert time.process_time() - begin < 1
    assert said in str(caught.value)
    assert "save it" in str(caught.value)


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_photo_is_not(tmp_path, name):
    (tmp_path / "photo").write_bytes(HONEST[name]())
    image = load_image(tmp_path / "photo")
    with Image.open(tmp_path / "photo") as opened:
        assert convert_image(opened).tobytes() == image.tobytes()


def many_segments() -> bytes:
    """Photoshop's, a colour profile in 255 parts, and 700 parts of a depth map."""
    profile = b"".join(
        segment(0xE2, b"ICC_PROFILE\0" + bytes((i, 255)) + bytes(60_000)) for i in range(1, 256)
    )
    depth = segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(60_000)) * 700
    resources = segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * 50) * 20
    return in_jpeg(resources + profile + depth + bytes(2_000) + b"\xff" * 2_000, progressive=True)


def trailer() -> bytes:
    """A film behind a phone's photo, which by chance holds what looks like scans."""
    return save("JPEG") + random.Random(0).randbytes(20_000_000)


LARGE = {
    "segments": many_segments,
    "film": trailer,
    "comments": lambda: in_gif(b"!\xfe" + (b"\xff" + b"a" * 255) * 300 + b"\0"),
    "small chunks": lambda: in_png(chunk(b"tEXt", b"a\0b") * 300 + chunk(b"IDAT", b"") * 30_000),
    "rows": lambda: tiff((300, 20_000), rows=1, data=bytes(300)),
    "scanner": lambda: tiff((12_000, 8_000), tile=(256, 256), data=bytes(65_536)),
    "pages": lambda: tiff_chain(5_000),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_honest_photo_is_used_within_the_limits(tmp_path, name):
    (tmp_path / "photo").write_bytes(LARGE[name]())
    seconds, peak, said = cost(tmp_path / "photo", 224)
    print(f"cost {seconds:.2f} s, {peak / 2**20:.0f} MB")
    assert said[0] == "(", said
    assert seconds < MAX_SECONDS
    assert peak < MAX_BYTES


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "mode", "size", "options"),
    [
        (".jpg", "RGB", (16_320, 12_240), {}),
        (".jpg", "RGB", (16_320, 12_240), {"progressive": True}),
        (".jpg", "RGB", (16_320, 12_240), {"progressive": True, "subsampling": 0}),
        (".png", "I;16", (8_000, 6_300), {}),
        (".png", "RGBA", (16_320, 12_240), {"compress_level": 1}),
        (".tif", "F", (16_320, 12_240), {"compression": "tiff_adobe_deflate"}),
        (".tif", "RGB", (16_320, 12_240), {"compression": "tiff_lzw"}),
        (".webp", "RGBA", (9_000, 9_000), {"method": 0}),
    ],
)
@pytest.mark.parametrize("fit", [None, 224])
def test_the_largest_photos_are_used_within_the_limits(tmp_path, suffix, mode, size, options, fit):
    path = tmp_path / f"photo{suffix}"
    Image.new(mode, size).save(path, **options)
    seconds, peak, said = cost(path, fit)
    print(f"cost {seconds:.2f} s, {peak / 2**20:.0f} MB")
    assert said[0] == "(", said
    assert seconds < MAX_SECONDS
    assert peak < MAX_BYTES


def cost(path: Path, size: int | None) -> tuple[float, int, str]:
    """CPU time, growth of memory and outcome of decoding a photo in a process of its own."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(read)
            resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
            status = Path("/proc/self/statm").read_text().split()
            page = resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (int(status[0]) * page + 6 * 2**30,) * 2)
            warnings.simplefilter("ignore")  # Pillow has one for much that is damaged.
            before, begin = int(status[1]) * page, time.process_time()
            try:
                said = str(load_image(path, size=size).size)
            except ImageError as error:
                said = f"! {error}"
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
            answer = json.dumps((time.process_time() - begin, peak, said))
            os.write(write, answer.encode())
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        answer = file.read()
    status = os.waitpid(pid, 0)[1]
    if not answer:
        return 0.0, 0, f"died: {status}"
    seconds, peak, said = json.loads(answer)
    return seconds, peak, said


@needs_fork
@pytest.mark.parametrize(
    "count",
    [
        pytest.param(25, id="part"),
        pytest.param(
            int(os.environ.get("BOOKCLS_HOSTILE", "2000")), id="full", marks=pytest.mark.slow
        ),
    ],
)
def test_no_photo_takes_long_or_much(tmp_path, count):
    rng = random.Random(count)
    costs = []
    for i in range(count):
        name, data = invent(rng)
        path = tmp_path / "photo"
        path.write_bytes(data)
        size = rng.choice((None, 224))
        seconds, peak, said = cost(path, size)
        costs.append((seconds, peak, said, name, i))
        if seconds > MAX_SECONDS or peak > MAX_BYTES or said.startswith("died"):
            kept = Path(os.environ.get("BOOKCLS_KEEP", tmp_path)) / f"{name}-{i}"
            kept.write_bytes(data)
            print("TOO MUCH", costs[-1], size, kept)
    for key in (0, 1):
        print(*sorted(costs, key=lambda c: -c[key])[:8], sep="\n")
    print(f"{sum(c[2][0] == '!' for c in costs)} of {count} refused")
    bad = [c for c in costs if c[0] > MAX_SECONDS or c[1] > MAX_BYTES or c[2].startswith("died")]
    assert not bad
