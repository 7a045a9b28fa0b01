import json
import pickle
import re
import socket
import threading
import time
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18, vgg16

from bookcls import weights
from bookcls.classifier import load_classifier
from bookcls.errors import BookclsError
from bookcls.layers import NAMES
from bookcls.state_dict import dequantised, quantised
from bookcls.weights import load_features


@pytest.fixture(scope="module")
def features():
    torch.manual_seed(1)
    return {k: v.clone() for k, v in vgg16(weights=None).features.state_dict().items()}


def test_features_of_both_file_kinds_load_unchanged(tmp_path, features):
    torch.save(features, tmp_path / "weights.pth")
    save_file(features, tmp_path / "weights.safetensors")
    for path in (tmp_path / "weights.pth", tmp_path / "weights.safetensors"):
        state, provenance = load_features(str(path))
        assert state.keys() == features.keys()
        assert all(torch.equal(state[k], features[k]) for k in features)
        assert (provenance.source, provenance.name) == ("file", path.name)
        assert len(provenance.sha256) == 64


def test_a_whole_vgg16_in_half_precision_loads(tmp_path, features):
    whole = {f"features.{k}": v.half() for k, v in features.items()}
    whole["classifier.0.weight"] = torch.zeros(4, 4)
    save_file(whole, tmp_path / "whole.safetensors")
    state, _ = load_features(str(tmp_path / "whole.safetensors"))
    assert len(state) == 26
    assert state["0.weight"].dtype == torch.float32


def test_weights_of_another_architecture_are_refused(tmp_path, features):
    path = tmp_path / "other.pth"
    torch.save(resnet18(weights=None).state_dict(), path)
    with pytest.raises(BookclsError, match=r"no 0\.weight.*another architecture"):
        load_features(str(path))
    torch.save(features | {"0.weight": torch.zeros(64, 3, 5, 5)}, path)
    with pytest.raises(BookclsError, match=r"0\.weight of shape \(64, 3, 5, 5\)"):
        load_features(str(path))
    torch.save(features | {"0.bias": torch.full((64,), torch.nan)}, path)
    with pytest.raises(BookclsError, match="not finite"):
        load_features(str(path))


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
            load_features(name)
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
        load_classifier(path) if suffix == "ckpt" else load_features(str(path))


def test_other_contents_and_missing_files(tmp_path):
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(BookclsError, match="holds a list, not a state dict"):
        load_features(str(tmp_path / "list.pth"))
    with pytest.raises(BookclsError, match="no such file"):
        load_features(str(tmp_path / "absent.pth"))
    with pytest.raises(BookclsError, match=r"=~nobody-here/x\.pth: ~nobody-here is no user"):
        load_features("~nobody-here/x.pth")


@pytest.fixture
def no_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(weights, "ANSWER_SECONDS", 0.3)
    monkeypatch.setenv("no_proxy", "*")
    forget = weights.unanswered.cache_clear
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

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(BookclsError) as caught:
        load_features("imagenet")
    message = str(caught.value)
    assert "download.pytorch.org" in message
    assert "no route to host" in message
    assert str(no_cache) in message
    assert "model.weights=PATH" in message
    assert "model.weights=rendered" in message
    assert "\n" not in message


@contextmanager
def answering(content):
    """The address of a server that sends ``content`` to whoever asks, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(content)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/vgg16-397923af.pth"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


LOGIN = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nPlease log in"
CUT_OFF = b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nhalf"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (LOGIN, "what came is another file: its sha256 does not begin with 397923af"),
        (CUT_OFF, "what came is another file"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "the server answers 403"),
        (b"go away\r\n\r\n", "the answer is garbled: go away"),
    ],
)
def test_what_a_proxy_sends_is_not_taken_for_weights(monkeypatch, no_cache, content, why):
    monkeypatch.setattr(weights, "ANSWER_SECONDS", 60.0)
    with answering(content) as url:
        monkeypatch.setattr(weights, "IMAGENET", SimpleNamespace(url=url))
        state, provenance = load_features("auto")
        assert (provenance.source, len(state)) == ("rendered", 26)
        assert why in provenance.warning
        with pytest.raises(BookclsError, match=f"could not be had .{why}"):
            load_features("imagenet")
    assert not list(no_cache.parent.glob("*"))


def test_a_download_that_stalls_is_given_up(monkeypatch, no_cache, silent):
    monkeypatch.setattr(weights, "STALL_SECONDS", 0.3)
    monkeypatch.setattr(weights, "IMAGENET", SimpleNamespace(url=silent))
    with pytest.raises(BookclsError, match="timed out"):
        load_features("imagenet")
    assert socket.getdefaulttimeout() is None


def test_nothing_in_imagenets_place_is_executed(monkeypatch, no_cache):
    monkeypatch.chdir(no_cache.parent.parent.parent)
    no_cache.parent.mkdir(parents=True)
    no_cache.write_bytes(pickle.dumps({"features.0.weight": Bomb()}))
    for name in ("imagenet", "auto"):
        with pytest.raises(BookclsError, match="does not begin with 397923af"):
            load_features(name)
    # Nor if its digest began like the right one's, which takes hours to arrange.
    monkeypatch.setattr(weights, "_digest", lambda path: "397923af" + 56 * "0")
    with pytest.raises(BookclsError, match="is not a state dict"):
        load_features("imagenet")
    assert not Path("bomb-went-off").exists()


def test_auto_takes_the_weights_that_ship_if_nobody_answers(monkeypatch, no_cache, silent):
    ask = weights.unanswered
    monkeypatch.setattr(weights, "unanswered", lambda url: ask(silent))
    state, provenance = load_features("auto")
    assert provenance.source == "rendered"
    assert "neither cached nor to be had (" in provenance.warning
    # The second, where the thread that asks is late on a busy machine.
    assert re.search("timed out|no answer within", provenance.warning)
    same, asked_for = load_features("rendered")
    assert asked_for.warning == ""
    assert asked_for.sha256 == provenance.sha256
    assert all(torch.equal(same[key], state[key]) for key in same)


def test_a_server_is_asked_once_and_not_for_long(no_cache, silent):
    started = time.monotonic()
    first = weights.unanswered(silent)
    assert time.monotonic() - started < 30
    assert first
    assert weights.unanswered(silent) is first


def test_auto_takes_imagenet_where_its_server_answers(monkeypatch, no_cache, features):
    def download(url, dst, *args, **kwargs):
        Path(dst).parent.mkdir(parents=True, exist_ok=True)
        torch.save({f"features.{k}": v for k, v in features.items()}, dst)

    monkeypatch.setattr(weights, "unanswered", lambda url: "")
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    monkeypatch.setattr(weights, "_digest", lambda path: "397923af" + 56 * "0")
    state, provenance = load_features("auto")
    assert provenance.source == "imagenet"
    assert torch.equal(state["0.weight"], features["0.weight"])
    # Now they are cached, and no server matters.
    monkeypatch.setattr(weights, "unanswered", lambda url: "no route to host")
    assert load_features("auto")[1].source == "imagenet"


def test_another_file_in_imagenets_place_is_refused(no_cache, features):
    no_cache.parent.mkdir(parents=True)
    torch.save({f"features.{k}": v for k, v in features.items()}, no_cache)
    with pytest.raises(BookclsError, match=r"damaged .its sha256 does not begin with 397923af"):
        load_features("auto")
    no_cache.write_bytes(b"PK half")
    with pytest.raises(BookclsError, match=r"is damaged .*: delete it"):
        load_features("imagenet")


def test_the_weights_that_ship_are_those_of_the_card(monkeypatch, tmp_path):
    card = json.loads(weights.CARD.read_text(encoding="utf-8"))
    content = bytearray(weights.SHIPPED.read_bytes())
    assert sha256(content).hexdigest() == card["sha256"]
    assert len(content) == card["bytes"] < 30e6
    assert card["natural_images"] == 0
    content[-1] ^= 1
    (tmp_path / "w.safetensors").write_bytes(content)
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "w.safetensors")
    with pytest.raises(BookclsError, match="is not the file that shipped"):
        load_features("rendered")
    (tmp_path / "w.safetensors").unlink()
    with pytest.raises(BookclsError, match="Install bookcls again"):
        load_features("rendered")


def test_int8_keeps_each_channel_within_half_a_step(features):
    state = {
        **features,
        "0.weight": features["0.weight"] * torch.logspace(-6, 3, 64).view(-1, 1, 1, 1),
    }
    state["2.weight"] = state["2.weight"].clone()
    state["2.weight"][3] = 0
    back = dequantised(quantised(state))
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
    path, small = tmp_path / "w.safetensors", quantised(features)
    save_file({k: v for k, v in small.items() if not k.endswith("_scale")}, path)
    with pytest.raises(BookclsError, match=r"0\.weight of int8, 2\.weight of int8.* 10 more"):
        load_features(str(path))
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
            load_features(str(path))
    save_file(small | {"0.bias_scale": torch.ones(64)}, path)
    with pytest.raises(BookclsError, match=r"an unknown 0\.bias_scale"):
        load_features(str(path))


def test_weights_of_every_source_say_how_to_tune_them():
    assert set(weights.TUNING) == {"scratch", "imagenet", "rendered", "file"}
    for tuning in weights.TUNING.values():
        assert tuning.freeze_to is None or tuning.freeze_to in NAMES


def test_mean_and_std_are_torchvisions():
    preset = weights.VGG16_Weights.IMAGENET1K_V1.transforms()
    assert tuple(preset.mean) == weights.MEAN
    assert tuple(preset.std) == weights.STD
