"""Training from Python, which leaves the session as it found it."""

import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir, version
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

import bookcls
from bookcls.errors import BookclsError
from bookcls.storage.files import read_json

TINY = ["trainer=smoke", "data.image_size=32", "data.batch_size=8"]


@pytest.mark.usefixtures("narrow")
def test_fit_trains_twice_also_within_another_hydra_application(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argv = list(sys.argv)
    GlobalHydra.instance().clear()
    first = bookcls.fit(photos, experiment=None, overrides=TINY)
    assert not GlobalHydra.instance().is_initialized()
    assert first.folder.relative_to(tmp_path / "runs").parts

    (tmp_path / "other.yaml").write_text("value: ${if:5}\n")
    OmegaConf.register_new_resolver("if", lambda value: value + 1, replace=True)
    with initialize_config_dir(str(tmp_path), version_base="1.2"):
        outer = GlobalHydra.instance().hydra
        second = bookcls.fit(str(photos), experiment=None, overrides=TINY, output="again")
        assert GlobalHydra.instance().hydra is outer
        assert compose("other").value == 6
        assert str(version.getbase()) == "1.2"

    assert (sys.argv, Path.cwd()) == (argv, tmp_path)
    assert second.folder == tmp_path / "again"
    same = {key: value for key, value in first.metrics.items() if key != "seconds"}
    assert same.items() <= second.metrics.items()
    assert "test/easy_acc" in same
    found, unreadable = second.predictor(batch_size=2).predict(
        [photos / "test_easy" / "red" / "0.png", tmp_path / "gone.png"]
    )
    assert found.answer in ("background", "blue", "red")
    assert unreadable.error == "no such file"
    environment = read_json(second.folder / "environment.json")
    assert environment["overrides"] == ["data=folder", f'data.root="{photos}"', *TINY]
    with pytest.raises(BookclsError, match="belongs to another run"):
        bookcls.fit(photos, experiment=None, overrides=TINY, output="again")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overrides": "seed=1"}, r"give a list, such as \['seed=1'\]"),
        ({"overrides": ["resume=run"]}, r"resume=run is for the command line"),
        ({"overrides": ["data.root=x"]}, r"give the folder as root"),
        ({"overrides": ["sed=1"]}, r"sed is not a setting. Did you mean seed"),
        ({"overrides": ["seed=one"]}, r"seed: .*'one'"),
        ({"overrides": ["trainer.devices=2"]}, r"fit trains on one device"),
        ({"experiment": "desktop"}, r"experiment=desktop: choose one of .*laptop"),
        ({}, r"no such.* does not exist"),
    ],
)
def test_fit_refuses_what_cannot_be_trained(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BookclsError, match=message):
        bookcls.fit("no such, {folder}", **options)
    assert not list(tmp_path.iterdir())
