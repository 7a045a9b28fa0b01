import math
import re

import pytest
import torch
from scipy.stats import beta
from sklearn.metrics import accuracy_score, log_loss

from bookcls.data.samples import SCORES, Sample
from bookcls.runs import METRICS
from bookcls.scoring.scores import SplitScores, binomial_interval
from bookcls.storage.files import write_json
from bookcls.sweeping.jobs import format_accuracies
from bookcls.training.console import print_scores, unused_folders
from bookcls.training.testing import TestResult, mean_of_answers


def scored(probs, labels, accepted, batches=1):
    scores = SplitScores(len(probs[0]))
    size = math.ceil(len(probs) / batches)
    for start in range(0, len(probs), size):
        part = slice(start, start + size)
        scores.update(
            torch.tensor(probs[part]), torch.tensor(labels[part]), torch.tensor(accepted[part])
        )
    return scores.compute()


def test_a_worked_example():
    probs = [[0.7, 0.2, 0.1], [0.1, 0.5, 0.4], [0.2, 0.2, 0.6]]
    accepted = [[True, False, False], [False, True, True], [True, True, False]]
    result = scored(probs, [0, 2, -1], accepted)
    assert (result["correct"], result["n"]) == (2, 3)
    assert result["acc"] == pytest.approx(2 / 3)
    assert result["nll"] == pytest.approx(-(math.log(0.7) + math.log(0.9) + math.log(0.4)) / 3)
    assert result["brier"] == pytest.approx((0.3**2 + 0.1**2 + 0.6**2) / 3, rel=1e-5)
    assert (result["strict_acc"], result["strict_n"]) == (0.5, 2)


def test_with_one_accepted_class_each_it_agrees_with_scikit_learn():
    torch.manual_seed(0)
    probs = torch.randn(50, 4).softmax(dim=1)
    labels = torch.randint(0, 4, (50,))
    accepted = torch.nn.functional.one_hot(labels, 4).bool()
    result = scored(probs.tolist(), labels.tolist(), accepted.tolist(), batches=7)
    expected = accuracy_score(labels, probs.argmax(dim=1))
    assert result["acc"] == pytest.approx(expected)
    assert result["strict_acc"] == pytest.approx(expected)
    assert result["nll"] == pytest.approx(log_loss(labels, probs.numpy()), rel=1e-5)


def test_a_certain_and_wrong_answer_costs_much_but_not_infinity():
    result = scored([[1.0, 0.0]], [1], [[False, True]])
    assert 80 < result["nll"] < 100
    assert result["brier"] == 1


def test_strict_is_absent_where_no_class_leads():
    result = scored([[0.5, 0.5]], [-1], [[True, True]])
    assert result["strict_n"] == 0
    assert "strict_acc" not in result


@pytest.mark.parametrize(("correct", "total"), [(0, 6), (6, 6), (13, 20), (19, 20), (20, 20)])
def test_interval_is_clopper_pearson(correct, total):
    low, high = binomial_interval(correct, total)
    assert low == pytest.approx(beta.ppf(0.025, correct, total - correct + 1) if correct else 0.0)
    assert high == pytest.approx(
        beta.ppf(0.975, correct + 1, total - correct) if correct < total else 1.0
    )


def test_the_table_shows_every_split_and_takes_names_as_text(capsys):
    result = scored([[0.9, 0.1], [0.2, 0.8]], [0, 0], [[True, False], [True, False]])
    metrics = {f"test/[odd]_{key}": value for key, value in (result | {"floor": 1.0}).items()}
    print_scores(metrics, ["[odd]"], "/photos/[red]/x[/y]")
    out = capsys.readouterr().out
    assert "/photos/[red]/x[/y]" in out
    assert re.search(r"\[odd\].*1/2.*0\.50.*0\.01 - 0\.99.*1\.00.*0\.50 of 2", out)


def test_folders_that_were_meant_for_testing_are_noticed(tmp_path):
    for name in ("train", "test", "test_easy", "tests", "Test_new", "validation", "masks"):
        (tmp_path / name).mkdir()
    assert [p.name for p in unused_folders(tmp_path)] == ["Test_new", "tests", "validation"]


def test_every_score_is_among_the_names_that_splits_are_checked_for(tmp_path):
    sample = Sample(tmp_path / "a.png", "a.png", 0, (0,), "")
    result = mean_of_answers([TestResult({}, {"easy": [[0.9, 0.1]]})], {"easy": [sample]})
    assert {key.removeprefix("test/easy_") for key in result.metrics} == set(SCORES)


def test_a_split_called_strict_is_named_among_the_accuracies(tmp_path):
    metrics = {"test/easy_strict_acc": 0.5, "test/easy_strict_strict_acc": 0.25}
    write_json(tmp_path / METRICS, metrics | {"test/easy_strict_floor": 0.1})
    assert format_accuracies(tmp_path) == "easy_strict 0.50"
