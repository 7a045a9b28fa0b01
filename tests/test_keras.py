"""Keras's weights, from a server of our own with a file of that layout."""

import hashlib
import io
import threading
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, pad

from bookcls.errors import BookclsError
from bookcls.models import keras
from bookcls.models.layers import CONV_INDEX
from bookcls.models.weights import MEAN, STD, find_weights
from test_weights import OK, answering, features, no_cache  # noqa: F401 - fixtures

CAFFE_MEAN = np.array((103.939, 116.779, 123.68))  # BGR


def h5_of(state, names="{0}/{0}_{1}_1:0"):
    """Bytes of a file as Keras wrote it in 2016: its kernels are HWIO, its input is caffe's BGR."""
    with io.BytesIO() as content:
        with h5py.File(content, "w") as file:
            file.attrs["layer_names"] = [b"input_1", *(name.encode() for name in CONV_INDEX)]
            file.create_group("input_1").attrs["weight_names"] = np.zeros(0)
            for layer, index in CONV_INDEX.items():
                kernel = state[f"{index}.weight"].numpy().transpose(2, 3, 1, 0)
                file[names.format(layer, "W")] = kernel
                file[names.format(layer, "b")] = state[f"{index}.bias"].numpy()
        return content.getvalue()


@pytest.fixture(scope="module")
def h5(features):  # noqa: F811
    return h5_of(features)


@pytest.fixture
def served(monkeypatch, no_cache):  # noqa: F811
    """Takes a content for Keras's file; yields a function that serves it, and the cache."""

    def take(content):
        monkeypatch.setattr(keras, "MD5", hashlib.md5(content).hexdigest())

    return SimpleNamespace(
        take=take,
        urls=lambda *urls: monkeypatch.setattr(keras, "URLS", urls),
        cache=no_cache.parent / "bookcls",
    )


def test_whole_from_the_second_address(served, h5, features):  # noqa: F811
    served.take(h5)
    with answering(OK % len(h5) + h5, keras.FILE) as url:
        served.urls("http://127.0.0.1:1/x.h5", url)
        found = find_weights("keras")
    assert (found.source, found.warning) == ("keras", "")
    assert all(torch.equal(found.state[k], features[k]) for k in features if k[:2] != "0.")
    # It is cached under its own hash, and the server is not asked again.
    (file,) = served.cache.iterdir()
    assert file == found.path
    assert file.name == f"vgg16_keras-{found.sha256[:16]}.safetensors"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == found.sha256
    assert find_weights("auto").path == file


def test_the_first_convolution_gives_the_same_answers(served, h5, features):  # noqa: F811
    served.take(h5)
    served.cache.mkdir(parents=True)
    (served.cache / keras.FILE).write_bytes(h5)
    state = find_weights("keras").state
    levels = torch.randint(256, (2, 3, 9, 8), generator=torch.Generator().manual_seed(0)).double()

    ours = (levels / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    caffe = levels.flip(1) - torch.from_numpy(CAFFE_MEAN).view(3, 1, 1)
    got, expected = (
        conv2d(pad(x, (1, 1, 1, 1)), s["0.weight"].double(), s["0.bias"].double())
        for x, s in ((ours, state), (caffe, features))
    )
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(got[inside], expected[inside], rtol=1e-5, atol=1e-3)
    # At the border the mean colours differ by up to half a level: nine taps of three channels.
    most = 0.5 * features["0.weight"].abs().sum((1, 2, 3)).max()
    assert 1e-3 < (got - expected).abs().max() < most


def test_a_file_copied_into_the_cache_needs_no_network(served, h5):
    served.take(h5)
    served.cache.mkdir(parents=True)
    copied = served.cache / keras.FILE
    copied.write_bytes(h5)
    assert find_weights("auto").source == "keras"
    assert copied.read_bytes() == h5


def test_no_network(served, h5):
    with pytest.raises(BookclsError) as caught:
        find_weights("keras")
    said = str(caught.value)
    assert "Connection refused" in said
    assert f"copy {keras.FILE} into {served.cache}" in said
    assert "\n" not in said
    found = find_weights("auto")
    assert found.source == "rendered"
    assert found.warning.count("Connection refused") == 1


@pytest.mark.parametrize(
    ("take", "content", "why"),
    [
        (True, lambda h5: OK % len(h5) + h5[:-1_000_000], r"ended after 57.* of 58\.9 MB"),
        (False, lambda h5: OK % len(h5) + h5, f"its md5 does not begin with {keras.MD5}"),
    ],
    ids=["cut off", "wrong md5"],
)  # fmt: skip
def test_what_is_not_the_whole_file_leaves_nothing(served, h5, take, content, why):
    if take:
        served.take(h5)
    with answering(content(h5), keras.FILE) as url:
        served.urls(url, "http://127.0.0.1:1/x.h5")
        with pytest.raises(BookclsError, match=why):
            find_weights("keras")
    assert list(served.cache.iterdir()) == []


def test_two_at_once(served, h5):
    served.take(h5)
    said = []
    with answering(OK % len(h5) + h5, keras.FILE) as url:
        served.urls(url, url)
        both = [threading.Thread(target=lambda: said.append(keras.fetch())) for _ in range(2)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join(30)
    assert said == ["", ""]
    (file,) = served.cache.iterdir()
    assert find_weights("keras").path == file


def test_a_damaged_cache_is_an_error(served, h5):
    served.take(h5)
    served.cache.mkdir(parents=True)
    copied = served.cache / keras.FILE
    copied.write_bytes(h5[:-1])
    with pytest.raises(BookclsError, match=rf"{keras.FILE} is another file or damaged.*delete it"):
        find_weights("auto")
    copied.write_bytes(h5)
    path = find_weights("keras").path
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    for name in ("keras", "auto"):
        with pytest.raises(BookclsError, match=rf"{path.name} is damaged.*: delete it"):
            find_weights(name)


def without(*names):
    def change(file):
        for name in names:
            del file[name]

    return change


KERNEL, BIAS = "block3_conv2/block3_conv2_W_1:0", "block1_conv1/block1_conv1_b_1:0"


def instead(name, **kept):
    def change(file):
        value = file[name][()]
        del file[name]
        file.create_dataset(name, **{"data": value, **kept})

    return change


def linked(name, link):
    def change(file):
        del file[name]
        file[name] = link

    return change


@pytest.mark.parametrize(
    ("change", "layer"),
    [
        (without("block5_conv3"), "block5_conv3"),
        (without(KERNEL), "block3_conv2"),
        (instead(KERNEL, data=np.zeros((3, 3, 256, 255), np.float32)), "block3_conv2"),
        (instead(BIAS, dtype="float64"), "block1_conv1"),
        (instead(BIAS, compression="gzip"), "block1_conv1"),
        (instead(BIAS, external="elsewhere.raw"), "block1_conv1"),
        (linked(BIAS, h5py.SoftLink("/block1_conv2/block1_conv2_b_1:0")), "block1_conv1"),
        (linked(BIAS, h5py.ExternalLink("other.h5", "/b")), "block1_conv1"),
        (linked("block1_conv1", h5py.ExternalLink("other.h5", "/g")), "block1_conv1"),
        (linked("block1_conv1", np.zeros(64, np.float32)), "block1_conv1"),
    ],
)
def test_what_is_not_plain_arrays_of_vgg16_is_refused(
    served, tmp_path, monkeypatch, h5, change, layer
):
    monkeypatch.chdir(tmp_path)
    with io.BytesIO(h5) as changed:
        with h5py.File(changed, "r+") as file:
            change(file)
        content = changed.getvalue()
    served.take(content)
    path = tmp_path / "weights.h5"
    path.write_bytes(content)
    with pytest.raises(BookclsError, match=rf"weights\.h5 does not hold .*: {layer} needs one"):
        keras.read_h5(path)


def test_other_contents(served, tmp_path):
    path = tmp_path / "weights.h5"
    for content in (b"", b"no HDF5", b"\x89HDF\r\n\x1a\n half"):
        served.take(content)
        path.write_bytes(content)
        with pytest.raises(BookclsError, match=r"weights\.h5 is not a readable HDF5 file"):
            keras.read_h5(path)


def test_newer_names_of_the_arrays_will_do(served, tmp_path, features):  # noqa: F811
    content = h5_of(features, names="{0}/{1}:0")
    served.take(content)
    path = tmp_path / "weights.h5"
    path.write_bytes(content)
    assert torch.equal(keras.read_h5(path)["28.bias"], features["28.bias"])
