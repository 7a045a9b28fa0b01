"""Promise 5: files from strangers run nothing.

More of it: test_5_settings.py (settings, studies, photos on pages, terminals),
test_weights.py (weights and their cache), test_report.py and test_check.py (pages),
test_fetch.py (a manifest that climbs out).
"""

import csv
import os
import pickle
import stat
import struct
from pathlib import Path

import pytest
import torch
from PIL import Image

from bookcls import evaluate, runs, train
from bookcls.data.groups import read_groups, write_groups
from bookcls.data.images import FORMATS, ImageError, load_image
from bookcls.data.samples import Sample
from bookcls.errors import BookclsError
from bookcls.models.weights import find_weights
from bookcls.reporting.files import read_answers
from bookcls.storage.files import escape_field, unescape_field
from bookcls.training.checkpoint import load_classifier
from conftest import TINY
from victims import Victim, at_epoch, die, needs_fork, save_always, verb

MARK = "a-stranger-was-here"


class Gadget:
    """Something that a pickle calls when it is loaded."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


class State:
    """Calls when its state is set: another way through a pickle."""

    def __reduce__(self):
        return Path, (), None, None, iter([(Gadget(os.mkdir, MARK), 1)])


GADGETS = {
    "touch": Gadget(Path.touch, Path(MARK)),
    "mkdir": Gadget(os.mkdir, MARK),
    "system": Gadget(os.system, f"touch {MARK}"),
    "eval": Gadget(eval, f"__import__('os').mkdir({MARK!r})"),
    "exec": Gadget(exec, f"import os; os.mkdir({MARK!r})"),
    "items": State(),
    "torch": Gadget(torch.save, {}, MARK),
}


def bombs(folder: Path, suffix: str, around) -> dict[str, Path]:
    """Files with each gadget, in each format that torch.load knows, at the place that is given."""
    paths = {}
    for name, gadget in GADGETS.items():
        for kind in ("zip", "legacy", "plain"):
            path = paths[f"{name}-{kind}"] = folder / f"{name}-{kind}{suffix}"
            if kind == "plain":
                path.write_bytes(pickle.dumps(around(gadget)))
            else:
                torch.save(around(gadget), path, _use_new_zipfile_serialization=kind == "zip")
    return paths


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory in which a gadget would leave its mark."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors", ".ckpt"])
def test_a_pickle_among_weights_is_refused_by_name(here, suffix):
    for place in (
        lambda gadget: gadget,
        lambda gadget: {"features.0.weight": gadget},
        lambda gadget: {"state_dict": {}, "hyper_parameters": {"class_names": gadget}},
    ):
        for path in bombs(here, suffix, place).values():
            with pytest.raises(BookclsError, match=path.name):
                find_weights(str(path))
            with pytest.raises(BookclsError, match=path.name):
                load_classifier(path)
    assert not Path(MARK).exists()


@needs_fork
@pytest.mark.usefixtures("narrow")
def test_a_pickle_in_the_place_of_a_runs_checkpoints_is_refused_by_name(here, shared_photos):
    run = here / "run"
    words = (f"data.root={shared_photos}", *TINY, f"hydra.run.dir={run}")

    def stop():
        save_always()
        at_epoch(1, die)

    Victim(verb(train.main, *words, cwd=here, before=stop), here / "log").wait()
    last, best = run / "last.ckpt", run / "best.ckpt"
    whole = torch.load(last, weights_only=True)
    for place in (lambda gadget: {**whole, "loops": gadget}, lambda gadget: gadget):
        for name in ("touch-zip", "items-legacy", "system-plain"):
            bombs(here, ".ckpt", place)[name].replace(last)
            victim = Victim(verb(train.main, f"resume={run}", cwd=here / "here"), here / "log")
            assert victim.wait() == 1
            assert f"{last} is damaged (" in victim.last_line
    # GHSA-qqmf-gpg7-g8gw: before Lightning 2.6.6 this name was imported and called.
    strange = {**whole["hyper_parameters"], "_instantiator": "os.mkdir", "_class_path": MARK}
    for path, main, words in (
        (last, train.main, (f"resume={run}",)),
        (best, evaluate.main, (f"ckpt={run}",)),
    ):
        ckpt = torch.load(path, weights_only=True) if path == best else whole
        torch.save({**ckpt, "hyper_parameters": strange}, path)
        victim = Victim(verb(main, *words, cwd=here / "here"), here / "log")
        assert victim.wait() == 1
        assert str(path) in victim.last_line
        assert "unknown hyperparameters: _class_path, _instantiator" in victim.last_line
    assert not Path(MARK).exists()


def test_settings_in_a_strangers_run_folder_name_no_code(here, shared_photos, run_verb, capsys):
    """A yaml tag would build an object, and an interpolation could ask the environment."""
    (here / "run").mkdir()
    for text, said in [
        (f"a: !!python/object/apply:os.mkdir [{MARK}]", "config.yaml is damaged"),
        (f"a: !!python/object/new:os.system [touch {MARK}]", "config.yaml is damaged"),
        (f"_target_: os.mkdir\npath: {MARK}", "_target_"),
        (f"data: {{_target_: os.mkdir, path: {MARK}}}", "_target_"),
    ]:
        (here / "run" / "config.yaml").write_text(text)
        assert run_verb(train.main, f"resume={here / 'run'}") == 1
        assert said in capsys.readouterr().err
    assert not list(here.rglob(MARK))


def test_a_photo_starts_no_program(here, monkeypatch):
    """Pillow hands PostScript, whatever the file's name, to Ghostscript."""
    program = here / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {here / MARK}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    text = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    dos = struct.pack("<IIIIIIIH", 0xC6D3D0C5, 30, len(text), 0, 0, 0, 0, 0xFFFF) + text
    for suffix in (".jpg", ".png", ".tif"):
        for content in (text, dos):
            (here / f"photo{suffix}").write_bytes(content)
            with pytest.raises(ImageError, match="not an image"):
                load_image(here / f"photo{suffix}")
    assert not (here / MARK).exists()
    with Image.open(here / "photo.jpg") as image:  # What a bare Image.open would have done.
        assert image.format == "EPS" not in FORMATS


FORMULAS = ("=1+1", "+1", "-1", "@SUM(1)", "\tx", "\rx", "\nx", "\uff1d1", "'=1", "''@a")
NAMES = (*FORMULAS, "'", "''a", "a=1", "", "'a", "写真", '"=1"')


def test_what_a_spreadsheet_would_run_is_a_text_and_reads_back():
    assert [unescape_field(escape_field(name)) for name in NAMES] == list(NAMES)
    assert len({escape_field(name) for name in NAMES}) == len(NAMES)
    assert all(escape_field(name)[:1] == "'" for name in FORMULAS)
    assert escape_field("写真.jpg") == "写真.jpg"


def test_tables_hold_no_formula_and_read_back(tmp_path):
    classes = sorted(name for name in FORMULAS if name == name.strip())
    samples = [
        Sample(Path(f"{name}.png"), f"{name}.png", i, (i,), str(i))
        for i, name in enumerate(classes)
    ]
    probs = [[1.0 if i == j else 0.0 for j in range(len(classes))] for i in range(len(classes))]
    runs.write_predictions(tmp_path / "p.csv", classes, {"=": samples}, {"=": probs})
    with (tmp_path / "p.csv").open(newline="", encoding="utf-8") as file:
        fields = [field for row in csv.reader(file) for field in row]
    assert not [field for field in fields if field[:1] and field[:1] in "=+-@\t\r\n\uff1d"]
    answers = read_answers(tmp_path / "p.csv")
    assert [answer.file for answer in answers] == [s.name for s in samples]
    assert [answer.dominant for answer in answers] == [a.pred for a in answers] == classes
    assert all(answer.accepted == (answer.pred,) for answer in answers)

    photos = [Sample(Path(n), f"a/{n}.png", 0, (0,), n) for n in classes]
    problems: list[str] = []
    write_groups(tmp_path / "groups.csv", {f"train/{s.name}": s.sha256 for s in photos})
    found = read_groups(tmp_path, photos, problems)
    assert [s.group for s in found] == classes
    assert not problems
