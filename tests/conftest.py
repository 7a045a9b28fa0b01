"""Small photos that the tests render themselves, and verbs run in this process."""

import csv
import gc
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

# Where they are set, rich colours what tests read, or breaks its lines elsewhere.
for variable in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS"):
    os.environ.pop(variable, None)

CLASSES = ("background", "blue", "red")
COLOURS = {"background": (90, 90, 90), "blue": (40, 60, 220), "red": (220, 50, 40)}


def draw(path: Path, colour: tuple[int, int, int], seed: int, size: tuple[int, int] = (48, 40)):
    """A noisy photo of one colour, different for every seed."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(colour, 30, (size[1], size[0], 3)).clip(0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def make_photos(root: Path) -> Path:
    """3 classes (8, 5 and 5 photos), 6 Easy in class folders, 20 Difficult with labels.csv."""
    seed = 0
    for name, count in zip(CLASSES, (8, 5, 5), strict=True):
        for i in range(count):
            draw(root / "train" / name / f"{name}_{i}.png", COLOURS[name], seed := seed + 1)
        for i in range(2):
            draw(root / "test_easy" / name / f"{i}.png", COLOURS[name], seed := seed + 1)
    rows = []
    for i in range(20):
        name = CLASSES[i % 3]
        draw(root / "test_difficult" / f"{i:02d}.png", COLOURS[name], seed := seed + 1)
        rows.append((f"{i:02d}.png", name, name) if i % 4 else (f"{i:02d}.png", "", "blue;red"))
    write_labels(root / "test_difficult", rows)
    return root


def write_labels(folder: Path, rows, header=("file", "dominant", "accepted")) -> None:
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "photos")


@pytest.fixture(scope="session")
def shared_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same photos for tests that change nothing in them."""
    return make_photos(tmp_path_factory.mktemp("shared") / "photos")


NARROW = [8, 8, "M", 8, 8, "M", 8, 8, 8, "M", 8, 8, 8, "M", 8, 8, 512, "M"]
"""Channels of a VGG16 that takes a fraction of the time."""


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that know no channels."""
    import torchvision

    monkeypatch.setitem(torchvision.models.vgg.cfgs, "D", NARROW)


TINY = ("data.image_size=32", "data.batch_size=8", "optim.epochs=2", "trainer=cpu")


@pytest.fixture
def run_verb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Runs a verb as the command line would, in this process and in a fresh working directory.

    Returns its exit code.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BOOKCLS_TRACEBACK", raising=False)

    def run(main, *overrides: str) -> int:
        GlobalHydra.instance().clear()
        monkeypatch.setattr(sys, "argv", ["bookcls", *overrides])
        os.environ.pop("HYDRA_FULL_ERROR", None)
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
        finally:
            os.environ.pop("HYDRA_FULL_ERROR", None)
            signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by a stopped verb
            gc.collect()  # a trainer and its model refer to each other
        return 0

    return run


def pytest_configure(config: pytest.Config) -> None:
    """Hides GPUs from tests that are for a CPU: a GPU rounds otherwise than a test expects."""
    if "not gpu" in config.option.markexpr:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.fixture(scope="session", autouse=True)
def imports_are_no_garbage():
    """Spares ``gc.collect()`` half a million objects of imported modules, a third of a second."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory):
    """Keeps cached features out of the home directory."""
    os.environ["BOOKCLS_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def two_threads():
    """Leaves other processes of the machine alone, and makes sums repeatable."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))


@pytest.fixture
def adopt(run_verb, capsys):
    """Runs init: its exit code and all that it printed."""
    from bookcls import init

    def run(*words: str) -> tuple[int, str]:
        code = run_verb(init.main, *words)
        said = capsys.readouterr()
        return code, said.out + said.err

    return run
