"""What is said of a result, on answers whose meaning is known."""

from pathlib import Path

import pytest

from bookcls.data.samples import Sample, floor_correct
from bookcls.scoring.advice import advise
from bookcls.scoring.scores import binomial_interval

NAMES = ["ant", "bee", "cat"]


def told(rows: dict[str, list[tuple[str, str, float]]]) -> list[str]:
    """Advice on photos given as (accepted classes, answer, its probability)."""
    tests, probs, metrics = {}, {}, {}
    for split, photos in rows.items():
        tests[split], probs[split] = [], []
        for i, (accepted, pred, prob) in enumerate(photos):
            classes = tuple(NAMES.index(name) for name in accepted.split(";"))
            label = classes[0] if len(classes) == 1 else -1
            tests[split].append(Sample(Path("x"), f"{i}.jpg", label, classes, ""))
            rest = (1 - prob) / (len(NAMES) - 1)
            probs[split].append([prob if name == pred else rest for name in NAMES])
        correct = sum(pred in accepted.split(";") for accepted, pred, _ in photos)
        low, high = binomial_interval(correct, len(photos))
        scores = {"n": len(photos), "correct": correct, "ci_low": low, "ci_high": high}
        scores["floor"] = floor_correct(tests[split]) / len(photos)
        metrics |= {f"test/{split}_{key}": value for key, value in scores.items()}
    return advise(NAMES, tests, probs, metrics)


def test_confusions_and_the_weakest_class_are_named():
    lines = told(
        {
            "easy": [("ant", "ant", 0.9), ("bee", "bee", 0.9), ("cat", "cat", 0.9)],
            "hard": [
                *[("bee", "cat", 0.8), ("bee", "cat", 0.95), ("ant", "bee", 0.5)],
                *[("ant", "ant", 0.9)] * 7,
                *[("cat", "cat", 0.9)] * 7,
                ("ant;cat", "bee", 0.6),
            ],
        }
    )
    assert lines == [
        "easy: 3 of 3 correct; expect 29% to 100% (95 % interval) on many such photos, which "
        "may be no better than always giving one answer (33%)",
        "hard: 14 of 18 correct; expect 52% to 94% (95 % interval) on many such photos; four "
        "times as many test photos would halve this range",
        "mistakes: bee taken for cat (2), ant or cat taken for bee (1), ant taken for bee (1)",
        "most confident mistakes: hard/1.jpg (cat 0.95), hard/0.jpg (cat 0.80), "
        "hard/17.jpg (bee 0.60)",
        "photograph next: bee, the weakest class (1 of 3 correct, mean probability 0.34), in "
        "scenes like those of hard; then test on new photos, because these were used to choose",
    ]


def test_where_nothing_is_wrong_the_least_sure_is_named():
    lines = told({"test": [("ant", "ant", 0.9), ("bee", "bee", 0.4), ("cat", "cat", 0.8)] * 40})
    assert (
        lines[0]
        == "test: 120 of 120 correct; expect 97% to 100% (95 % interval) on many such photos"
    )
    assert lines[1].startswith("no mistakes; least confident: test/1.jpg (bee 0.40)")
    assert lines[2].startswith("photograph next: bee, the weakest class (40 of 40 correct")
    assert "scenes" not in lines[2], "there is one split only"


@pytest.mark.parametrize("rows", [{}, {"test": []}])
def test_nothing_is_said_of_nothing(rows):
    assert advise(NAMES, dict(rows), dict(rows), {}) == []
