import pickle
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18, vgg16

from bookcls import weights
from bookcls.errors import BookclsError
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


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 half a zip"])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_damaged_files_are_refused_by_name(tmp_path, content, suffix):
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes(content)
    with pytest.raises(BookclsError, match=rf"weights\.{suffix}"):
        load_features(str(path))


def test_other_contents_and_missing_files(tmp_path):
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(BookclsError, match="holds a list, not a state dict"):
        load_features(str(tmp_path / "list.pth"))
    with pytest.raises(BookclsError, match="no such file"):
        load_features(str(tmp_path / "absent.pth"))


def test_no_network_says_what_was_tried_and_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def refuse(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(BookclsError) as caught:
        load_features("imagenet")
    message = str(caught.value)
    assert "download.pytorch.org" in message
    assert "no route to host" in message
    assert str(tmp_path / "checkpoints" / "vgg16-397923af.pth") in message
    assert "model.weights=PATH" in message
    assert "\n" not in message


def test_mean_and_std_are_torchvisions():
    preset = weights.VGG16_Weights.IMAGENET1K_V1.transforms()
    assert tuple(preset.mean) == weights.MEAN
    assert tuple(preset.std) == weights.STD
