import struct

import numpy as np
import pytest
from PIL import Image

from bookcls.data import images, rgb
from bookcls.data.images import ImageError, fit_square, load_image
from conftest import draw


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tiff"])
def test_reads_every_format(tmp_path, suffix):
    path = tmp_path / f"photo{suffix.upper()}"
    Image.new("RGB", (30, 20), (200, 30, 40)).save(path)
    pixel = np.asarray(load_image(path))[10, 10]
    assert np.allclose(pixel, (200, 30, 40), atol=6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_applies_exif_orientation(tmp_path, orientation):
    upright = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5)
    stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = upright if stored is None else upright.transpose(stored)
    turned.save(tmp_path / "photo.png", exif=exif)
    assert np.array_equal(load_image(tmp_path / "photo.png"), upright)


def test_exif_that_is_broken_elsewhere_still_turns_the_photo(tmp_path):
    """Orientation 6, and a Make that is a fraction where it should be text."""
    upright = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5)
    tags = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack("<HHII", 0x010F, 5, 1, 38)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + tags + struct.pack("<III", 0, 1, 1)
    path = tmp_path / "photo.png"
    upright.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    assert np.array_equal(load_image(path), upright)
    upright.save(path, exif=b"Exif\0\0no exif at all")
    assert np.array_equal(load_image(path), upright)


def test_a_jpeg_with_a_second_picture_is_read_as_its_first(tmp_path):
    y, x = np.mgrid[0:600, 0:800]
    first = Image.fromarray(np.stack([x / 800 * 255, y / 600 * 255, 0 * x], 2).astype(np.uint8))
    first.save(tmp_path / "one.jpg")
    first.save(tmp_path / "two.jpg", "MPO", save_all=True, append_images=[first.rotate(180)])
    with Image.open(tmp_path / "two.jpg") as image:
        assert image.format == "MPO"
    one, two = (load_image(tmp_path / name, size=64) for name in ("one.jpg", "two.jpg"))
    assert two.size == one.size == (200, 150)
    assert np.array_equal(one, two)


def test_damaged_heic_needs_no_pillow_heif_where_it_is(tmp_path, monkeypatch):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    for there, said in ((True, "^damaged$"), (False, "needs pillow-heif")):
        monkeypatch.setattr(images, "register_heic", lambda there=there: there)
        with pytest.raises(ImageError, match=said):
            load_image(tmp_path / "a.heic")


def test_converts_modes_without_clipping(tmp_path):
    def read(image, **options):
        image.save(tmp_path / "photo.tiff", **options)
        return tuple(np.asarray(load_image(tmp_path / "photo.tiff"))[0, 0].tolist())

    size = (2, 2)
    assert read(Image.new("L", size, 77)) == (77, 77, 77)
    assert read(Image.new("1", size, 1)) == (255, 255, 255)
    sixteen = Image.fromarray(np.full(size, 0x8080, dtype=np.uint16))
    assert read(sixteen) == (128, 128, 128)
    assert read(Image.fromarray(np.full(size, 0.5, dtype=np.float32))) == (128, 128, 128)
    assert read(Image.new("CMYK", size, (0, 255, 255, 0))) == (255, 0, 0)


def test_sixteen_bit_png_and_palette_and_alpha(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.full((2, 2), 65535, dtype=np.uint16)).save(path)
    assert np.asarray(load_image(path)).tolist() == [[[255] * 3] * 2] * 2
    palette = Image.new("RGB", (2, 2), (10, 200, 30)).convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(path)
    assert np.asarray(load_image(path))[0, 0].tolist() == [10, 200, 30]
    Image.new("RGBA", (2, 2), (0, 0, 0, 0)).save(path)
    assert np.asarray(load_image(path))[0, 0].tolist() == [255, 255, 255], "transparent is white"


def test_float_image_outside_its_range_is_refused(tmp_path):
    Image.fromarray(np.full((2, 2), 7.0, dtype=np.float32)).save(tmp_path / "photo.tiff")
    with pytest.raises(ImageError, match="outside 0 to 1"):
        load_image(tmp_path / "photo.tiff")


def test_names_what_is_wrong_with_a_file(tmp_path):
    whole = draw(tmp_path / "whole.jpg", (9, 99, 199), 0, (300, 200)).read_bytes()
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "half.png").write_bytes(draw(tmp_path / "p.png", (1, 2, 3), 0).read_bytes()[:500])
    for name, reason in [
        ("empty.jpg", "0 bytes"),
        ("text.jpg", "not an image"),
        ("half.jpg", "truncated"),
        ("half.png", "truncated"),
        ("absent.jpg", "no such file"),
    ]:
        with pytest.raises(ImageError, match=reason):
            load_image(tmp_path / name)
    with pytest.raises(ImageError, match="truncated"):
        load_image(tmp_path / "half.jpg", size=32)


def test_refuses_a_decompression_bomb(tmp_path, monkeypatch):
    path = draw(tmp_path / "photo.png", (1, 2, 3), 0, (100, 100))
    monkeypatch.setattr(images, "MAX_PIXELS", 9_999)
    with pytest.raises(ImageError, match="100x100 pixels"):
        load_image(path)


def test_a_photo_of_the_largest_phone_sensor_is_read(tmp_path):
    Image.new("L", (16320, 12240), 99).save(tmp_path / "photo.jpg")
    assert max(load_image(tmp_path / "photo.jpg", size=64).size) == 16320 // 8


def test_reduced_decoding_shows_the_same_picture(tmp_path):
    y, x = np.mgrid[0:600, 0:800]
    pixels = np.stack([x / 800 * 255, y / 600 * 255, 0 * x], axis=2).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg", quality=95)
    full = fit_square(load_image(tmp_path / "photo.jpg"), 64, "letterbox")
    reduced = fit_square(load_image(tmp_path / "photo.jpg", size=64), 64, "letterbox")
    assert np.abs(full.astype(int) - reduced).mean() < 1.5


def test_letterbox_keeps_the_aspect_ratio_and_squash_does_not():
    wide = Image.new("RGB", (200, 100), (255, 255, 255))
    boxed = fit_square(wide, 64, "letterbox")
    assert boxed.shape == (64, 64, 3)
    assert boxed[0, 0].tolist() == list(images.PAD_RGB)
    assert (boxed[16:48] == 255).all()
    assert (fit_square(wide, 64, "squash") == 255).all()


def convert_at_once(image):
    """What the loader did before it worked in bands."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        scale = 255.0
        if image.mode != "F":
            scale = 255.0 / 65535.0 if image.mode != "I" or values.max() > 255 else 1.0
        image = Image.fromarray(np.rint(values * scale).astype(np.uint8))
    if image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


@pytest.mark.parametrize("turn", [1, 6])
@pytest.mark.parametrize("band", [1, 100, 4_000_000])
def test_bands_change_no_pixel(tmp_path, monkeypatch, band, turn):
    monkeypatch.setattr(rgb, "BAND", band)
    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 256, (37, 53, 4), dtype=np.uint8), "RGBA")
    palette = photo.convert("RGB").quantize(16)
    deep = rng.integers(0, 65536, (37, 53))
    pictures = [photo, photo.convert("LA"), photo.convert("RGB"), photo.convert("CMYK"), palette]
    pictures += [photo.convert("L"), photo.convert("1"), photo.convert("RGBA").convert("PA")]
    pictures += [Image.fromarray(deep.astype(kind)) for kind in (np.uint16, np.int32)]
    pictures += [Image.fromarray((deep % 200).astype(np.int32))]
    pictures += [Image.fromarray((deep / 65535).astype(np.float32))]
    clear = [palette.copy(), palette.copy(), photo.convert("RGB"), photo.convert("L")]
    for picture, key in zip(clear, (3, bytes(range(0, 256, 16)), (1, 2, 3), 9), strict=True):
        picture.info["transparency"] = key
    for picture in pictures + clear:
        picture.getexif()[0x0112] = turn
        expected = convert_at_once(picture)
        if turn == 6:
            expected = expected.transpose(Image.Transpose.ROTATE_270)
        assert np.array_equal(images.convert_image(picture), expected), picture.mode
    for suffix, options in ((".png", {}), (".webp", {"lossless": True}), (".tiff", {})):
        path = tmp_path / f"photo{suffix}"
        exif = Image.Exif()
        exif[0x0112] = turn
        photo.save(path, exif=exif, **options)
        with Image.open(path) as opened:
            opened.load()
            expected = convert_at_once(opened)
        if turn == 6 and suffix != ".tiff":  # Pillow has turned it.
            expected = expected.transpose(Image.Transpose.ROTATE_270)
        assert np.array_equal(load_image(path), expected), suffix
