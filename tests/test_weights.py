import io
import json
import pickle
import re
import socket
import threading
import time
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18, vgg16

from bookcls.errors import BookclsError
from bookcls.models import download, keras, start, weights
from bookcls.models.layers import NAMES
from bookcls.models.state_dict import dequantise, quantise
from bookcls.models.weights import find_weights
from bookcls.training.checkpoint import load_classifier


@pytest.fixture(scope="module")
def features():
    torch.manual_seed(1)
    return {k: v.clone() for k, v in vgg16(weights=None).features.state_dict().items()}


def test_features_of_both_file_kinds_load_unchanged(tmp_path, features):
    torch.save(features, tmp_path / "weights.pth")
    save_file(features, tmp_path / "weights.safetensors")
    for path in (tmp_path / "weights.pth", tmp_path / "weights.safetensors"):
        found = find_weights(str(path))
        assert found.state.keys() == features.keys()
        assert all(torch.equal(found.state[k], features[k]) for k in features)
        assert (found.source, found.name) == ("file", path.name)
        assert len(found.sha256) == 64


def test_a_whole_vgg16_in_half_precision_loads(tmp_path, features):
    whole = {f"features.{k}": v.half() for k, v in features.items()}
    whole["classifier.0.weight"] = torch.zeros(4, 4)
    save_file(whole, tmp_path / "whole.safetensors")
    state = find_weights(str(tmp_path / "whole.safetensors")).state
    assert len(state) == 26
    assert state["0.weight"].dtype == torch.float32


def test_weights_of_another_architecture_are_refused(tmp_path, features):
    path = tmp_path / "other.pth"
    torch.save(resnet18(weights=None).state_dict(), path)
    with pytest.raises(BookclsError, match=r"no 0\.weight.*another architecture"):
        find_weights(str(path))
    torch.save(features | {"0.weight": torch.zeros(64, 3, 5, 5)}, path)
    with pytest.raises(BookclsError, match=r"0\.weight of shape \(64, 3, 5, 5\)"):
        find_weights(str(path))
    torch.save(features | {"0.bias": torch.full((64,), torch.nan)}, path)
    with pytest.raises(BookclsError, match="not finite"):
        find_weights(str(path))


class Bomb:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("bomb-went-off"),)


def test_nothing_in_a_weights_file_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Path("bomb.pth").open("wb") as file:
        pickle.dump({"0.weight": Bomb()}, file)
    torch.save({"0.weight": Bomb()}, "bomb2.pth")
    for name in ("bomb.pth", "bomb2.pth"):
        with pytest.raises(BookclsError, match=f"{name} is not a state dict"):
            find_weights(name)
    assert not Path("bomb-went-off").exists()


CUT = pickle.dumps({"0.weight": 1.5}, protocol=2)[:-3]


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"PK\x03\x04 half a zip", b"this is no weights file", b"bad", b"a: 1", CUT,
     b"\x80\x02M"],
)  # fmt: skip
@pytest.mark.parametrize("suffix", ["pth", "safetensors", "ckpt"])
def test_damaged_files_are_refused_by_name(tmp_path, content, suffix):
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes(content)
    with pytest.raises(BookclsError, match=rf"weights\.{suffix}"):
        load_classifier(path) if suffix == "ckpt" else find_weights(str(path))


def test_other_contents_and_missing_files(tmp_path):
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(BookclsError, match="holds a list, not a state dict"):
        find_weights(str(tmp_path / "list.pth"))
    with pytest.raises(BookclsError, match="no such file"):
        find_weights(str(tmp_path / "absent.pth"))
    with pytest.raises(BookclsError, match=r"=~nobody-here/x\.pth: ~nobody-here is not the home"):
        find_weights("~nobody-here/x.pth")


@pytest.fixture
def no_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(download, "ANSWER_SECONDS", 0.3)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(keras, "URLS", ("http://127.0.0.1:1/a.h5", "http://127.0.0.1:1/b.h5"))
    forget = download.check_url.cache_clear
    forget()
    yield tmp_path / "hub" / "checkpoints" / "vgg16-397923af.pth"
    forget()


@pytest.fixture
def silent():
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/vgg16.pth"


def test_imagenet_insists(monkeypatch, no_cache):
    def refuse(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr(download, "urlopen", refuse)
    with pytest.raises(BookclsError) as caught:
        find_weights("imagenet")
    message = str(caught.value)
    assert "download.pytorch.org" in message
    assert "no route to host" in message
    assert str(no_cache) in message
    assert "model.weights=PATH" in message
    assert "model.weights=rendered" in message
    assert "\n" not in message


@contextmanager
def answering(content, name="vgg16-397923af.pth"):
    """The address of a server that sends ``content`` to whoever asks, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer(connection):
            with connection, suppress(OSError):  # HEAD is answered with a body, too
                connection.recv(65536)
                connection.sendall(content)

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/{name}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
LOGIN = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nPlease log in"
CUT_OFF = b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nhalf"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (LOGIN, "what came is another file: its sha256 does not begin with 397923af"),
        (CUT_OFF, "the connection ended after 0.0 of 0.1 MB"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "the server answers 403"),
        (b"go away\r\n\r\n", "the answer is garbled: go away"),
    ],
)
def test_what_a_proxy_sends_is_not_taken_for_weights(monkeypatch, no_cache, content, why):
    monkeypatch.setattr(download, "ANSWER_SECONDS", 60.0)
    with answering(content) as url:
        monkeypatch.setattr(weights, "IMAGENET", SimpleNamespace(url=url))
        monkeypatch.setattr(keras, "URLS", (url, url))
        found = find_weights("auto")
        assert (found.source, len(found.state)) == ("rendered", 26)
        assert why.partition(": its")[0] in found.warning
        with pytest.raises(BookclsError, match=f"could not be downloaded .{why}"):
            find_weights("imagenet")
    assert not [path for path in no_cache.parent.rglob("*") if path.is_file()]


def test_a_download_that_stalls_is_given_up(monkeypatch, no_cache, silent):
    monkeypatch.setattr(download, "STALL_SECONDS", 0.3)
    monkeypatch.setattr(weights, "IMAGENET", SimpleNamespace(url=silent))
    with pytest.raises(BookclsError, match="timed out"):
        find_weights("imagenet")
    assert socket.getdefaulttimeout() is None


def called_for(monkeypatch, path):
    """Takes a file for ImageNet's: its name ends in the first digits of its hash."""
    name = f"vgg16-{sha256(path.read_bytes()).hexdigest()[:8]}.pth"
    monkeypatch.setattr(weights, "IMAGENET", SimpleNamespace(url=f"http://127.0.0.1:1/{name}"))
    path.rename(path.with_name(name))


def test_nothing_in_imagenets_place_is_executed(monkeypatch, no_cache):
    monkeypatch.chdir(no_cache.parent.parent.parent)
    no_cache.parent.mkdir(parents=True)
    no_cache.write_bytes(pickle.dumps({"features.0.weight": Bomb()}))
    for name in ("imagenet", "auto"):
        with pytest.raises(BookclsError, match="does not begin with 397923af"):
            find_weights(name)
    # Nor if its hash begins like the right one's, which takes hours to arrange.
    called_for(monkeypatch, no_cache)
    with pytest.raises(BookclsError, match="is not a state dict"):
        find_weights("imagenet")
    assert not Path("bomb-went-off").exists()


def test_auto_takes_the_weights_that_ship_if_nobody_answers(monkeypatch, no_cache, silent):
    ask = download.check_url
    monkeypatch.setattr(download, "check_url", lambda url: ask(silent))
    found = find_weights("auto")
    assert found.source == "rendered"
    assert "not cached and could not be downloaded (" in found.warning
    # The second, where the thread that asks is late on a busy machine.
    assert re.search("timed out|no answer within", found.warning)
    asked_for = find_weights("rendered")
    assert asked_for.warning == ""
    assert asked_for.sha256 == found.sha256
    assert all(torch.equal(asked_for.state[key], found.state[key]) for key in found.state)


def test_a_server_is_asked_once_and_not_for_long(no_cache, silent):
    started = time.monotonic()
    first = download.check_url(silent)
    assert time.monotonic() - started < 30
    assert first
    assert download.check_url(silent) is first


def test_imagenet_is_downloaded_once_and_then_also_autos(monkeypatch, no_cache, features):
    file = io.BytesIO()
    torch.save({f"features.{k}": v for k, v in features.items()}, file)
    digest = sha256(file.getbuffer()).hexdigest()
    with answering(OK % file.tell() + file.getvalue(), f"vgg16-{digest[:8]}.pth") as url:
        monkeypatch.setattr(weights, "IMAGENET", SimpleNamespace(url=url))
        found = find_weights("imagenet")
    assert (found.source, found.sha256) == ("imagenet", digest)
    assert torch.equal(found.state["0.weight"], features["0.weight"])
    # Now they are cached, and no server matters.
    assert find_weights("auto").source == "imagenet"


def test_another_file_in_imagenets_place_is_refused(no_cache, features):
    no_cache.parent.mkdir(parents=True)
    torch.save({f"features.{k}": v for k, v in features.items()}, no_cache)
    with pytest.raises(BookclsError, match=r"damaged .its sha256 does not begin with 397923af"):
        find_weights("auto")
    no_cache.write_bytes(b"PK half")
    with pytest.raises(BookclsError, match=r"is damaged .*: delete it"):
        find_weights("imagenet")


def test_the_weights_that_ship_are_those_of_the_card(monkeypatch, tmp_path):
    card = json.loads(weights.CARD.read_text(encoding="utf-8"))
    content = bytearray(weights.SHIPPED.read_bytes())
    assert sha256(content).hexdigest() == card["sha256"]
    assert len(content) == card["bytes"] < 30e6
    assert card["natural_images"] == 0
    content[-1] ^= 1
    (tmp_path / "w.safetensors").write_bytes(content)
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "w.safetensors")
    with pytest.raises(BookclsError, match=r"is damaged.*Install bookcls again"):
        find_weights("rendered")
    (tmp_path / "w.safetensors").unlink()
    with pytest.raises(BookclsError, match="Install bookcls again"):
        find_weights("rendered")


def test_int8_keeps_each_channel_within_half_a_step(features):
    state = {
        **features,
        "0.weight": features["0.weight"] * torch.logspace(-6, 3, 64).view(-1, 1, 1, 1),
    }
    state["2.weight"] = state["2.weight"].clone()
    state["2.weight"][3] = 0
    back = dequantise(quantise(state))
    assert back.keys() == state.keys()
    for name, value in state.items():
        if value.ndim == 1:
            assert torch.equal(back[name], value)
            continue
        step = value.flatten(1).abs().amax(1) / 127
        error = (back[name] - value).flatten(1).abs().amax(1)
        assert bool((error <= 0.501 * step).all())
    assert not back["2.weight"][3].any()


def test_whole_numbers_without_a_fitting_scale_are_refused(tmp_path, features):
    path, small = tmp_path / "w.safetensors", quantise(features)
    save_file({k: v for k, v in small.items() if not k.endswith("_scale")}, path)
    with pytest.raises(BookclsError, match=r"0\.weight of int8, 2\.weight of int8.* 10 more"):
        find_weights(str(path))
    odd = [
        {"2.weight_scale": small["2.weight_scale"][:1].clone()},
        {"2.weight_scale": small["2.weight_scale"].view(-1, 1)},
        {"2.weight_scale": torch.ones(64, dtype=torch.int64)},
        {"2.weight": torch.zeros(64, 64, 3, 3, dtype=torch.int16)},
        {"2.weight": torch.zeros(64, 64, 3, 3, dtype=torch.complex64)},
    ]
    for changed in odd:
        save_file(small | changed, path)
        with pytest.raises(BookclsError, match=r"holds 2\.weight of (int8|int16|complex64)\. "):
            find_weights(str(path))
    save_file(small | {"0.bias_scale": torch.ones(64)}, path)
    with pytest.raises(BookclsError, match=r"an unknown 0\.bias_scale"):
        find_weights(str(path))


def test_weights_of_every_source_say_how_to_tune_them():
    assert set(start.DEFAULTS) == {"scratch", "keras", "imagenet", "rendered", "file"}
    for freeze_to, lr in start.DEFAULTS.values():
        assert freeze_to is None or freeze_to in NAMES
        assert 0 < lr < 1e-3


def test_mean_and_std_are_torchvisions():
    preset = weights.VGG16_Weights.IMAGENET1K_V1.transforms()
    assert tuple(preset.mean) == weights.MEAN
    assert tuple(preset.std) == weights.STD
