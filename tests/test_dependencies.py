"""Promise 9 of docs/reliability.md: each direct dependency has a range, a use and no known hole."""

import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from bookcls.config import CHECKOUT
from test_imports import PACKAGE, imports

# A cap on these makes pip take a local build of the wrong pair; pyproject.toml says more.
OPEN = {"torch", "torchvision"}
# The malicious releases, and the last ones with a hole that docs/reliability.md names.
REFUSED = {
    "pytorch-lightning": ["2.6.2", "2.6.3", "2.6.5"],
    "filelock": ["3.20.2"],
    "h11": ["0.15.0"],
    "hydra-core": ["1.3.3"],
    "jinja2": ["3.1.5"],
    "mlflow-skinny": ["3.15.2"],
    "onnx": ["1.20.1"],
    "opencv-python-headless": ["4.11.0.86"],
    "pillow": ["12.3.0"],
    "pillow-heif": ["1.2.1"],
    "pytest": ["9.0.2"],
    "requests": ["2.32.3"],
    "starlette": ["1.3.0"],
    "torch": ["2.9.1"],
}


def direct() -> dict[str, list[Requirement]]:
    """Part of pyproject.toml ("core", an extra, "dev", "build") -> what it asks for."""
    file = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    project = file["project"]
    parts = {"core": project["dependencies"], **project["optional-dependencies"]}
    parts |= {"dev": file["dependency-groups"]["dev"], "build": file["build-system"]["requires"]}
    return {part: [Requirement(line) for line in lines] for part, lines in parts.items()}


def named(*parts: str) -> dict[str, Requirement]:
    found = direct()
    return {canonicalize_name(r.name): r for part in parts or found for r in found[part]}


@pytest.mark.parametrize(("part", "requirements"), direct().items())
def test_every_range_has_both_ends_and_is_the_same_everywhere(part, requirements):
    for asked in requirements:
        ends = {">="} if asked.name in OPEN else {">=", "<"}
        assert {each.operator for each in asked.specifier} in (ends, {"=="}), f"{part}: {asked}"
        assert str(named()[canonicalize_name(asked.name)]) == str(asked), part


def test_what_is_pinned_is_in_range():
    lines = (CHECKOUT / "requirements.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^([\w.-]+)==([^\s;]+)", lines, re.MULTILINE)
    assert named("core", "dev").keys() <= {name for name, _ in pins}
    for name, version in pins:
        assert name not in named() or Version(version) in named()[name].specifier, name


@pytest.mark.parametrize("name", REFUSED)
def test_bad_releases_are_out_of_range(name):
    assert not list(named()[name].specifier.filter(REFUSED[name]))


def test_what_is_imported_is_declared_and_the_core_is_imported():
    roots = {name.split(".")[0] for path in PACKAGE.rglob("*.py") for name in imports(path)}
    roots, owners = roots - {*sys.stdlib_module_names, "bookcls"}, packages_distributions()
    makers = {root: {canonicalize_name(owner) for owner in owners[root]} for root in roots}
    declared = named(*(direct().keys() - {"dev", "build"})).keys()
    assert not [root for root in roots if not makers[root] & declared]
    assert named("core").keys() <= set().union(*makers.values())
