"""Imports point down (docs/design.md). This test keeps the arrows."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bookcls
from bookcls.config import conf_dir

PACKAGE = Path(bookcls.__file__).parent
VERBS = {"train", "evaluate", "fetch", "pretrain", "tune", "report", "cam", "check", "init"}
VERBS |= {"predict", "export", "serve"}
LEAVES = {
    "errors": set(),
    "formulas": set(),
    "layers": {"errors"},
    "images": {"errors"},
    "config": {"errors"},
    "settings": {"errors"},
    "samples": {"errors", "images", "streams"},
    "groups": {"formulas", "runs", "samples"},
    "dataset": {"errors", "groups", "images", "samples"},
    "photos": {"images", "runs", "samples"},
    "environment": set(),
    "runs": {"config", "errors", "formulas", "samples"},
    "cells": {"errors", "layers", "runs", "weights"},
    "workers": {"cells"},
    "vgg16": {"layers"},
    "state_dict": {"errors", "layers"},
    "weights": {"config", "errors", "state_dict"},
    "precision": set(),
    "transforms": {"images"},
    "streams": set(),
    "sampler": {"streams"},
    "mixup": {"streams"},
    "views": {"errors", "sampler", "streams"},
    "scores": {"samples"},
    "callbacks": {"runs"},
    "advice": {"samples"},
    "console": {"classifier", "runs", "samples", "settings", "vgg16"},
    "pretraining.settings": {"errors", "settings"},
    "pretraining.identities": {"synthetic"},
    "pretraining.bank": {"errors", "pretraining", "runs", "synthetic"},
    "pretraining.rendered": {"pretraining", "streams", "synthetic"},
    "pretraining.targets": set(),
    "pretraining.augment": {"weights"},
    "pretraining.quads": set(),
    "pretraining.atlas": set(),
    "pretraining.arrange": {"pretraining"},
    "pretraining.ground": {"pretraining"},
    "pretraining.light": {"pretraining"},
    "pretraining.composer": {"pretraining"},
    "pretraining.export": {"errors", "pretraining", "runs", "state_dict"},
    "pretraining.sheet": {"errors", "pretraining", "runs"},
    "pretraining.probe": {
        "config",
        "dataset",
        "errors",
        "layers",
        "photos",
        "transforms",
        "vgg16",
        "weights",
    },
    "ensemble": {
        "advice",
        "classifier",
        "console",
        "errors",
        "photos",
        "runs",
        "samples",
        "settings",
        "testing",
    },
    "composing.segment": {"synthetic"},
    "composing.colours": {"synthetic"},
    "composing.corners": {"errors", "formulas", "images", "samples", "synthetic"},
    "composing.cutout": {"composing", "explaining", "images", "samples", "synthetic"},
    "composing.looks": {"composing", "synthetic"},
    "composing.compose": {"composing", "images", "samples", "streams", "synthetic"},
    "composing.gather": {"composing", "errors", "samples", "settings"},
    "composing.sheet": {"composing", "runs", "samples", "synthetic"},
    "command": {"cells", "config", "errors", "runs", "usage"},
    "usage": {"config"},
    "books.manifest": {"errors"},
    "books.source": {"books", "config", "errors"},
    "fetching": {"books", "errors", "images", "runs", "settings"},
    "schedule": set(),
    "devices": {"errors"},
    "predicting.settings": {"errors", "settings"},
    "predicting.prediction": set(),
    "predicting.files": {"config", "errors", "images", "predicting", "samples"},
    "predicting.decoding": {"errors", "images"},
    "predicting.threshold": {"config", "errors", "settings", "tuning"},
    "predicting.predictor": {
        "classifier",
        "devices",
        "errors",
        "images",
        "predicting",
        "transforms",
    },
    "predicting.table": {"formulas", "predicting"},
    "predicting.pictures": {"errors", "explaining", "predicting", "samples", "settings"},
    "predicting.words": {"predicting"},
    "predicting.run": {"errors", "predicting"},
    "explaining.settings": {"errors", "layers", "settings"},
    "explaining.chosen": {
        "config",
        "errors",
        "explaining",
        "images",
        "predicting",
        "runs",
        "samples",
    },
    "explaining.masks": {"errors", "images", "samples"},
    "explaining.external": {"errors", "samples"},
    "explaining.maps": {"layers", "vgg16"},
    "explaining.audit": {"explaining"},
    "explaining.road": {"explaining", "vgg16"},
    "explaining.numbers": {"explaining"},
    "explaining.explained": {"explaining", "samples"},
    "explaining.similarity": set(),
    "explaining.versus": {"explaining", "formulas", "runs", "samples"},
    "explaining.explainer": {
        "classifier",
        "devices",
        "errors",
        "explaining",
        "images",
        "samples",
        "transforms",
    },
    "explaining.records": {"explaining", "formulas", "runs"},
    "explaining.panels": {"explaining", "reporting", "runs"},
    "explaining.sheets": {"explaining", "reporting"},
    "explaining.failures": {"explaining", "reporting", "samples"},
    "explaining.words": {"explaining"},
    "explaining.explain": {
        "classifier",
        "dataset",
        "errors",
        "explaining",
        "images",
        "runs",
        "samples",
    },
    "exporting.settings": {"errors"},
    "exporting.chosen": {"config", "errors", "explaining", "exporting", "runs"},
    "exporting.photos": {
        "classifier",
        "config",
        "dataset",
        "errors",
        "explaining",
        "photos",
        "samples",
        "transforms",
    },
    "exporting.network": {"errors", "exporting"},
    "exporting.integers": {"exporting"},
    "exporting.check": {"errors", "exporting"},
    "exporting.export": {"classifier", "environment", "exporting", "images", "runs"},
    "reporting.settings": {"errors"},
    "reporting.statistics": set(),
    "reporting.files": {"errors", "formulas"},
    "reporting.found": {"errors", "layers", "reporting", "runs"},
    "reporting.cells": {"config", "layers", "reporting"},
    "reporting.summary": {"reporting"},
    "reporting.study": {"reporting"},
    "reporting.confusion": {"reporting"},
    "reporting.looked": {"errors", "reporting", "runs"},
    "reporting.sights": {"reporting"},
    "reporting.tables": {"formulas", "reporting"},
    "reporting.markdown": {"reporting"},
    "reporting.plots": {"layers", "reporting", "runs"},
    "reporting.thumbnails": {"images"},
    "reporting.templates": set(),
    "reporting.page": {"reporting"},
    "adopting.settings": {"errors", "settings"},
    "adopting.table": {"errors", "images", "samples"},
    "adopting.recognise": {"adopting", "errors", "groups", "images", "samples"},
    "adopting.plan": {"adopting", "checking", "errors", "groups", "samples"},
    "adopting.write": {"adopting", "errors", "groups", "runs", "samples"},
    "adopting.adopt": {"adopting", "config", "errors", "runs", "samples"},
    "checking.settings": {"errors", "settings"},
    "checking.finding": set(),
    "checking.look": {"images", "samples"},
    "checking.similar": {"checking"},
    "checking.alike": {"checking", "groups"},
    "checking.faults": {"checking", "dataset", "photos", "samples"},
    "checking.balance": {"checking", "errors", "runs", "samples", "settings"},
    "checking.page": {"checking", "reporting", "samples"},
    "checking.check": {"checking", "errors", "groups", "photos", "runs", "samples"},
    "serving.settings": {"predicting", "settings"},
    "serving.chosen": {"errors", "exporting", "predicting", "runs", "serving"},
    "serving.photos": {"dataset", "errors", "samples"},
    "serving.neighbours": {"explaining", "photos", "samples"},
    "serving.answerer": {
        "errors",
        "explaining",
        "images",
        "predicting",
        "samples",
        "serving",
        "settings",
    },
    "serving.body": set(),
    "serving.gate": {"serving"},
    "serving.connections": set(),
    "serving.upload": set(),
    "serving.api": {"errors", "serving"},
    "serving.page": {"errors", "explaining", "predicting", "reporting", "samples", "serving"},
    "serving.run": {"predicting", "serving"},
    "tuning.space": {"errors", "settings"},
    "tuning.held_out": {"errors", "formulas", "runs", "samples"},
    "tuning.trials": {"tuning"},
    "tuning.study": {"streams", "tuning"},
    "tuning.results": {"reporting", "runs", "tuning"},
}
LIGHTNING = {"datamodule", "classifier", "callbacks", "testing", "recipe", "trackers", "fitting"}
LIGHTNING |= {"tuning.crossval", "tuning.search"} | {
    f"pretraining.{name}" for name in ("data", "module", "rounds", "fit")
}
HYDRA = {"config", "command", "sweep", "usage"} | VERBS
HEAVY = {"torch", "torchvision", "pytorch_lightning", "albumentations", "torchmetrics", "imblearn"}


def modules() -> dict[str, Path]:
    """First name below the package -> file; a room counts by each of its files."""
    return {
        ".".join(p.relative_to(PACKAGE).with_suffix("").parts): p
        for p in sorted(PACKAGE.rglob("*.py"))
    }


def imported(path: Path, *, top_only: bool = False) -> set[str]:
    """Dotted names that a file imports, anywhere or only when it is loaded itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module)
            if node.module == "bookcls":
                names |= {f"bookcls.{alias.name}" for alias in node.names}
    return names


def ours(path: Path) -> set[str]:
    names = {name.split(".")[1] for name in imported(path) if name.startswith("bookcls.")}
    return {name for name in names if not name.startswith("__")}


@pytest.mark.parametrize("name", LEAVES)
def test_leaves_know_only_leaves_below_them(name):
    assert ours(modules()[name]) <= LEAVES[name]


def test_every_file_has_its_place():
    placed = set(LEAVES) | LIGHTNING | HYDRA | {"__init__", "__main__"}
    rooms = ("adopting", "books", "checking", "composing", "explaining", "exporting", "predicting")
    rooms += ("pretraining", "reporting", "serving", "tuning")
    placed |= {f"{room}.__init__" for room in rooms}
    assert {name for name in modules() if not name.startswith("synthetic.")} <= placed


def test_synthetic_knows_nobody():
    for name, path in modules().items():
        if name.startswith("synthetic."):
            assert ours(path) <= {"synthetic"}, name
            assert not HEAVY & {n.split(".")[0] for n in imported(path)}, name


def test_verbs_do_not_know_each_other_and_nobody_knows_a_verb():
    for name, path in modules().items():
        assert not ours(path) & VERBS, name


def test_datamodule_and_classifier_do_not_know_each_other():
    assert not ours(modules()["datamodule"]) & {"classifier", "testing", "fitting"}
    assert not ours(modules()["classifier"]) & {"datamodule", "testing", "fitting"}


def test_only_some_know_lightning_and_hydra():
    for name, path in modules().items():
        roots = {n.split(".")[0] for n in imported(path)}
        assert name in LIGHTNING or not roots & {"pytorch_lightning", "lightning_fabric"}, name
        assert name in HYDRA or not roots & {"hydra", "omegaconf"}, name
        assert name == "transforms" or "albumentations" not in roots, name


@pytest.mark.parametrize(
    ("verb", "argument"),
    [(verb, "--help") for verb in sorted(VERBS)]
    + [("train", "data.root=/no/such/folder"), ("train", "aug=strong"), ("evaluate", "ckpt=no")]
    + [("tune", "data.root=/no/such/folder"), ("tune", "space.optim.lr.low=1")]
    + [("cam", "ckpt=no"), ("cam", "layer=conv5"), ("cam", "ckpt=null")]
    + [("check", "data.root=/no/such/folder"), ("init", "test_fraction=2")]
    + [("predict", "images=/no/such"), ("predict", "rotations=3"), ("predict", "unsure=2")]
    + [("export", "ckpt=no"), ("export", "format=tflite"), ("export", "output=model.txt")]
    + [("serve", "ckpt=no"), ("serve", "port=70000"), ("serve", "max_mb=0")]
    + [("pretrain", "lr=0"), ("pretrain", "preset=moon"), ("pretrain", "resume=no")],
)
def test_help_and_bad_input_load_nothing_heavy(verb, argument, tmp_path):
    code = (
        f"import sys, bookcls.{verb} as verb\nsys.argv = ['bookcls', {argument!r}]\n"
        "try:\n    verb.main()\nexcept SystemExit as stop:\n    print('exit', stop.code)\n"
        f"print('heavy', *sorted(set(sys.modules) & {HEAVY | {'scipy', 'sklearn', 'gradio'}!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert "Traceback" not in done.stderr
    assert ("exit 1" in done.stdout) == (argument != "--help")
    assert done.stdout.splitlines()[-1] == "heavy"


def test_the_package_itself_loads_nothing():
    code = "import sys, bookcls; bookcls.load; print(len(set(sys.modules) & {'numpy', 'PIL'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "0\n", done.stderr


def test_python_m_bookcls_lists_every_verb():
    told = subprocess.run(
        [sys.executable, "-m", "bookcls"], capture_output=True, text=True, check=True
    ).stdout
    listed = re.findall(r"^  python -m bookcls\.(\w+)  ", told, re.MULTILINE)
    assert sorted(listed) == sorted(VERBS)
    assert {path.stem for path in conf_dir("train").glob("*.yaml")} == VERBS
