"""The commands of docs/tutorial.md, in their order: they run, and print what the page shows."""

import importlib
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bookcls.config import CHECKOUT
from bookcls.environment import python_command

PAGE = CHECKOUT / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(sh|text|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HOME = "/home/you/bookcls"
"""Where the session of the page took place."""
FAST = {
    # Another network after a few steps: what is said of it has the same form.
    "train": ["model.pretrained=false", "data.image_size=32", "trainer=smoke"],
    "cam": ["size=32", "road=false"],
}
COMPOSED = ("serve",)
"""Verbs that run until they are stopped."""
EXACT = ("init", "check")
"""Verbs whose output does not depend on the network."""


class Session:
    """A terminal: what was printed last, and by what."""

    def __init__(self, run_verb, capsys, monkeypatch) -> None:
        self.run_verb, self.capsys, self.monkeypatch = run_verb, capsys, monkeypatch
        self.said, self.verb = "", ""

    def sh(self, line: str) -> None:
        """Runs one command; only check may refuse something, and then says so on the page."""
        words = shlex.split(line)
        self.verb = ""
        if words[:2] == ["python", "-m"]:
            self.verb = words[2].removeprefix("bookcls.")
            extra = FAST.get(self.verb, [])
            if self.verb in COMPOSED:
                extra = ["--cfg", "job"]
            main = importlib.import_module(words[2]).main
            code = self.run_verb(main, *words[3:], *extra)
            assert code == 0 or self.verb == "check", line
        elif words[0] == "python":
            self.monkeypatch.setattr(sys, "argv", words[1:])
            runpy.run_path(str(CHECKOUT / words[1]), run_name="__main__")
        else:
            subprocess.run(line, shell=True, check=True)
        out, err = self.capsys.readouterr()
        here = str(Path.cwd())
        self.said = (out + err).replace(python_command(), ".venv/bin/python").replace(here, HOME)

    def python(self, code: str) -> None:
        exec(compile(code, str(PAGE), "exec"), {})
        self.said, self.verb = self.capsys.readouterr().out, "python"

    def text(self, shown: str) -> None:
        """Every line that is shown was printed: as it is, or with other numbers and names."""
        form = str.rstrip if self.verb in EXACT else kind
        printed = {form(line) for line in self.said.splitlines()}
        lines = [line for line in shown.splitlines() if line.strip() != "..."]
        missing = [line for line in lines if form(line) not in printed]
        assert missing == [], self.said


def kind(line: str) -> str:
    """What sort of line it is: its first words, without figures and the edges of a table."""
    line = re.sub(r"^[│┃] +", "", line)
    if re.match("[┏┡├└╇]", line):
        return ""
    if line.startswith("- "):
        return "-"
    return re.match(r"[^\d(:]*?(?=  |[\d(:│┃]|$)", line).group().strip()


def blocks() -> list[tuple[str, str]]:
    return BLOCK.findall(PAGE.read_text(encoding="utf-8"))


def commands() -> list[str]:
    return [line for name, text in blocks() if name == "sh" for line in text.splitlines() if line]


def test_the_page_goes_from_photos_to_use():
    verbs = [line.split()[2] for line in commands() if line.startswith("python -m bookcls.")]
    order = [f"bookcls.{v}" for v in ("init", "check", "train", "cam", "predict", "export")]
    assert list(dict.fromkeys(verbs))[: len(order)] == order


@pytest.mark.usefixtures("narrow")
def test_the_session(run_verb, capsys, monkeypatch):
    session = Session(run_verb, capsys, monkeypatch)
    for name, text in blocks():
        if name == "sh":
            for line in filter(None, text.splitlines()):
                session.sh(line)
        else:
            getattr(session, name)(text)
    assert {path.name for path in Path.cwd().iterdir()} >= {"predictions.csv", "signs.onnx"}


def test_pictures_are_small_and_there():
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", PAGE.read_text(encoding="utf-8"))
    assert pictures
    assert max((PAGE.parent / name).stat().st_size for name in pictures) < 150_000
