"""What loads what. Who may import whom is a contract in pyproject.toml (make check)."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import bookcls

PACKAGE = Path(bookcls.__file__).parent
VERBS = {"train", "evaluate", "fetch", "pretrain", "tune", "report", "cam", "check", "init"}
VERBS |= {"predict", "export", "serve"}
HEAVY = {"torch", "torchvision", "pytorch_lightning", "albumentations", "torchmetrics", "imblearn"}


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, and those of what it takes from them."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_rooms_use_only_what_others_offer():
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0]
        for name in imports(path):
            package, *parts = name.split(".")
            if package != "bookcls" or len(parts) < 2 or parts[0] == room:
                continue
            if (PACKAGE / parts[0] / f"{parts[1]}.py").is_file():
                assert parts[1] in import_module(f"bookcls.{parts[0]}").__all__, (path, name)


def test_only_transforms_knows_albumentations():
    knows = {p.name for p in PACKAGE.rglob("*.py") if "albumentations" in imports(p)}
    assert knows == {"transforms.py"}


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
        f"print('heavy', *sorted(set(sys.modules) & {HEAVY | {'scipy', 'sklearn', 'starlette'}!r}))"
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
