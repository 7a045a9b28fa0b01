"""Advice on a result: how certain it is, what is confused, and what to photograph next."""

from collections import Counter
from collections.abc import Mapping, Sequence

from bookcls.data.answers import OR, Answer, make_answers
from bookcls.data.samples import Sample

MAX_NAMED = 3
"""Maximum number of photos or pairs named in a line."""
WIDE = 0.2
"""Width of an interval above which more test photos are advised."""


def advise(
    class_names: Sequence[str],
    tests: Mapping[str, Sequence[Sample]],
    probs: Mapping[str, Sequence[Sequence[float]]],
    metrics: Mapping[str, float],
) -> list[str]:
    """Gives advice on a tested classifier.

    Args:
        class_names: By index.
        tests: Split -> its photos.
        probs: Split -> a row of class probabilities for each photo, (N, C).
        metrics: Scores by key, ``test/<split>_<score>``.

    Returns:
        Lines of one or two sentences; empty if there are no test photos.
    """
    answers = list(make_answers(class_names, tests, probs))
    if not answers:
        return []
    lines = [describe_accuracy(split, metrics) for split in tests]
    wrong = sorted((a for a in answers if not a.correct), key=lambda a: -a.prob)
    if wrong:
        pairs = Counter((a.truth, a.pred) for a in wrong).most_common(MAX_NAMED)
        lines.append(
            "mistakes: "
            + ", ".join(f"{truth} taken for {pred} ({n})" for (truth, pred), n in pairs)
        )
        lines.append(f"most confident mistakes: {format_first(wrong)}")
    else:
        least = sorted(answers, key=lambda a: a.p_accepted)
        lines.append(f"no mistakes; least confident: {format_first(least)}")
    return [*lines, suggest_next(answers)]


def format_first(answers: Sequence[Answer]) -> str:
    """Formats the first few predictions."""
    return ", ".join(f"{a.split}/{a.file} ({a.pred} {a.prob:.2f})" for a in answers[:MAX_NAMED])


def describe_accuracy(split: str, metrics: Mapping[str, float]) -> str:
    """Describes the accuracy on a split and its uncertainty."""
    n, correct, low, high, floor = (
        metrics[f"test/{split}_{key}"] for key in ("n", "correct", "ci_low", "ci_high", "floor")
    )
    span = f"{low:.0%} to {high:.0%} (95 % interval)"
    text = f"{split}: {correct:.0f} of {n:.0f} correct; expect {span} on many such photos"
    if low <= floor:
        return f"{text}, which may be no better than always giving one answer ({floor:.0%})"
    if high - low > WIDE:
        return f"{text}; four times as many test photos would halve this range"
    return text


def suggest_next(answers: Sequence[Answer]) -> str:
    """Names the class with the worst predictions, by accuracy and then by probability."""
    by_class: dict[str, list[Answer]] = {}
    for answer in answers:
        by_class.setdefault(answer.truth, []).append(answer)
    single = [name for name in by_class if OR not in name] or list(by_class)
    weakest = min(single, key=lambda name: (*score_class(by_class[name]), name))
    theirs = by_class[weakest]
    right, prob = score_class(theirs)
    splits = dict.fromkeys(a.split for a in theirs)
    worst = min(splits, key=lambda split: score_class([a for a in theirs if a.split == split]))
    several = len({a.split for a in answers}) > 1
    where = f", in scenes like those of {worst}" if several else ""
    return (
        f"photograph next: {weakest}, the weakest class ({round(right * len(theirs))} of "
        f"{len(theirs)} correct, mean probability {prob:.2f}){where}; then test on new photos, "
        "because these were used to choose"
    )


def score_class(answers: Sequence[Answer]) -> tuple[float, float]:
    """Share of right answers, and mean probability of the accepted classes."""
    right = sum(answer.correct for answer in answers) / len(answers)
    return right, sum(answer.p_accepted for answer in answers) / len(answers)
