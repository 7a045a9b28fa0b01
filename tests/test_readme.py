"""Every command that README.md and docs/ show is run, or at least exists."""

import importlib
import re
import shlex

import pytest
import torch
from torchvision.models import vgg16

from bookcls import train
from bookcls.config import CHECKOUT, conf_dir
from conftest import make_photos

PAGES = [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *(CHECKOUT / "docs").glob("*.md")]
TOY = ["data.image_size=32", "trainer=smoke"]


def commands() -> list[str]:
    found = []
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            lines = [re.sub(r"\s#.*", "", line).strip() for line in block.splitlines()]
            found += [line for line in lines if line and not line.startswith("#")]
    return sorted(set(found))


def test_no_page_holds_a_placeholder():
    for page in PAGES:
        assert not re.search(r"@[A-Z]+@", page.read_text(encoding="utf-8")), page


def test_there_are_commands_of_either_kind():
    assert {line.split()[0] for line in commands()} >= {"make", ".venv/bin/python"}


@pytest.mark.parametrize("line", [line for line in commands() if line.startswith("make ")])
def test_make_targets_exist(line):
    makefile = (CHECKOUT / "Makefile").read_text()
    for target in [word for word in line.split()[1:] if "=" not in word]:
        assert re.search(rf"^{target}:.*##", makefile, re.MULTILINE), target


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working directory with all that the commands name."""
    home = tmp_path_factory.mktemp("place")
    make_photos(home / "photos")
    (home / "photos" / "test_easy").rename(home / "photos" / "test")
    make_photos(home / "other_photos")
    torch.save(vgg16(weights=None).state_dict(), home / "weights.pth")
    return home


def is_short(line: str) -> bool:
    """One toy run; sweeps, tune, cam and report have tests of their own."""
    several = ("sweep=", "launcher=", "trainer=ddp", " -m aug", "small -m")
    return not any(word in line for word in several)


VERBS = [line for line in commands() if "-m bookcls." in line]


@pytest.mark.parametrize("line", VERBS)
def test_every_option_exists(line, place, run_verb, monkeypatch, capsys):
    """The verb composes its configuration from the words, and so knows all of them."""
    monkeypatch.chdir(place)
    words = shlex.split(line)
    verb = words[words.index("-m") + 1]
    arguments = words[words.index(verb) + 1 :]
    look = ["--cfg", "job"] if (conf_dir("train") / f"{verb.split('.')[1]}.yaml").exists() else []
    # Hydra shows the configuration of a single run only.
    one = [x for x in arguments if x != "-m" and not x.startswith(("sweep=", "hydra/launcher="))]
    one = [re.sub(r"^(?!.*[\[{])([^=]+=[^,]*),.*", r"\1", word) for word in one]
    known = {path.stem for path in (conf_dir("train") / "sweep").iterdir()}
    assert {x.removeprefix("sweep=") for x in arguments if x.startswith("sweep=")} <= known
    arguments = [x for x in one if not x.startswith("resume=")] if look else ["--help"]
    main = importlib.import_module(verb).main
    assert run_verb(main, *arguments, *look) == 0, capsys.readouterr().err
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    "line", [x for x in VERBS if re.search(r"bookcls\.(train|evaluate) ?", x) and is_short(x)]
)
def test_commands_run(line, place, run_verb, monkeypatch):
    monkeypatch.chdir(place)
    words = shlex.split(line)
    verb = words[words.index("-m") + 1]
    arguments = words[words.index(verb) + 1 :]
    run = place / "runs" / "DATE" / "TIME"
    if verb == "bookcls.evaluate" and not run.exists():
        assert run_verb(train.main, "data.root=photos", f"hydra.run.dir={run}", *TOY) == 0
    if verb == "bookcls.train":
        if not any(a.startswith("data.root=") for a in arguments):
            arguments.insert(0, "data.root=photos")
        if "model.pretrained=true" in arguments:
            arguments.insert(0, "model.weights=weights.pth")
        arguments = [*TOY, *arguments]
    assert run_verb(importlib.import_module(verb).main, *arguments) == 0
