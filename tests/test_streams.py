"""Random numbers are drawn from named streams, and none changes by a rename."""

import ast
from pathlib import Path

import numpy as np

import bookcls
from bookcls.data.sampler import OverSampler
from bookcls.data.streams import Stream

PACKAGE = Path(bookcls.__file__).parent
SEEDED = {"default_rng", "SeedSequence", "mixed"}


def test_no_generator_is_seeded_by_a_seed_and_a_bare_number():
    for path in sorted(PACKAGE.rglob("*.py")):
        if "synthetic" in path.parts:
            continue
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func).split(".")[-1] in SEEDED:
                parts = [n for a in call.args for n in getattr(a, "elts", [a])]
                bare = any(isinstance(part, ast.Constant) for part in parts)
                assert not bare or len(parts) == 1, f"{path}: {ast.unparse(call)}"


def test_streams_give_the_numbers_that_they_always_gave():
    named = np.random.default_rng([3, Stream.ORDER, 0]).random(4)
    assert named.tolist() == np.random.default_rng([3, 2, 0]).random(4).tolist()
    drawn = [(2, 2613022947), (1, 1577950859), (0, 3509597660), (3, 3707692862)]
    assert list(OverSampler([0, 0, 1, 1], seed=0)) == drawn
