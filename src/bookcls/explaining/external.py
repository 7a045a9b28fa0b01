"""Predictions of another system for the same photos, joined by file name. No torch."""

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bookcls.data.samples import Sample
from bookcls.errors import BookclsError

COLUMNS = ("file", "label", "score")


@dataclass(frozen=True)
class ExternalAnswer:
    """Another system's prediction for one photo; the label is None if there was no prediction."""

    file: str
    label: str | None
    score: float


@dataclass
class Joined:
    """Another system's predictions, joined with the photos.

    Attributes:
        answers: (split, photo name) -> prediction; None if there is none.
        unknown_files: Files that match no photo.
        ambiguous: Files whose name matches several photos.
        unknown_labels: Labels that are not a class; they count as wrong.
    """

    answers: dict[tuple[str, str], ExternalAnswer | None]
    unknown_files: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    unknown_labels: list[str] = field(default_factory=list)


def read_answers(path: Path) -> dict[str, ExternalAnswer]:
    """Reads predictions; if there are several for a file, the one with the highest score is used.

    Args:
        path: A csv with the columns file, label, score; or JSON lines as cloud AutoML writes
            them: ``{"ID": ..., "annotations": [{"display_name": ..., "classification": {"score":
            ...}}]}`` or ``{"instance": {"content": ...}, "prediction": {"displayNames": [...],
            "confidences": [...]}}``.

    Returns:
        File name as written in the file -> prediction.

    Raises:
        BookclsError: If the file is missing, damaged or in another format.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BookclsError(f"external={path} cannot be read ({error}).") from error
    rows = _read_lines(path, text) if text.lstrip().startswith("{") else _read_csv(path, text)
    if not rows:
        raise BookclsError(f"external={path} contains no predictions.")
    best: dict[str, ExternalAnswer] = {}
    for row in rows:
        known = best.get(row.file)
        if known is None or known.label is None or (row.label and row.score > known.score):
            best[row.file] = row
    return best


def _read_csv(path: Path, text: str) -> list[ExternalAnswer]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [c.strip().lower() for c in reader.fieldnames or []]
        reader.fieldnames = columns
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        what = "a json array: write one object per line" if text.lstrip()[:1] == "[" else error
        raise BookclsError(
            f"external={path} is neither a csv file nor JSON lines ({what}); see "
            "docs/explanations.md."
        ) from error
    if not {"file", "label"} <= set(columns):
        raise BookclsError(
            f"external={path}: its columns are {','.join(columns) or 'none'}; expected "
            f"{','.join(COLUMNS)} (or JSON lines, see docs/explanations.md)."
        )
    answers = []
    for number, row in rows:
        name, label = (row["file"] or "").strip(), (row["label"] or "").strip()
        if not name:
            raise BookclsError(f"external={path} line {number}: no file name.")
        score = _score(path, number, (row.get("score") or "").strip())
        answers.append(ExternalAnswer(name, label or None, score))
    return answers


def _read_lines(path: Path, text: str) -> list[ExternalAnswer]:
    answers = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            name, pairs = _parse(json.loads(line))
            "\n".join([name, *(str(label) for label, _ in pairs)]).encode()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BookclsError(
                f"external={path} line {number} has neither of the two formats of cloud AutoML "
                f"predictions ({type(error).__name__}: {error}); see docs/explanations.md."
            ) from error
        rows = [
            ExternalAnswer(name, str(label), _score(path, number, score)) for label, score in pairs
        ]
        answers += rows or [ExternalAnswer(name, None, 0.0)]
    return answers


def _parse(row: dict[str, Any]) -> tuple[str, list[tuple[Any, Any]]]:
    """Returns the file and its (label, score) pairs; no pairs mean no prediction."""
    if "instance" in row:
        prediction = row.get("prediction") or {}
        labels, scores = prediction.get("displayNames") or [], prediction.get("confidences") or []
        return str(row["instance"]["content"]), list(zip(labels, scores, strict=True))
    notes = row.get("annotations") or []
    pairs = [(n["display_name"], n["classification"]["score"]) for n in notes]
    return str(row["ID"]), pairs


def _score(path: Path, number: int, value: str | float) -> float:
    if value == "":
        return 0.0
    try:
        score = float(value)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not 0 <= score <= 1:
        raise BookclsError(
            f"external={path} line {number}: score {value} is not a number from 0 to 1."
        )
    return score


def join(
    answers: dict[str, ExternalAnswer],
    photos: Sequence[tuple[str, Sample]],
    class_names: Sequence[str],
) -> Joined:
    """Joins predictions with photos by the longest path suffix that matches exactly one photo.

    If several files match the same photo, the one with the longest suffix is used, and the others
    count as unknown. A file whose path contains the folder of another split is unknown as well.

    Args:
        answers: File name as written by the other system (a path, a URL or a bare name) ->
            prediction.
        photos: (split, photo) pairs; each gets a prediction or None.
        class_names: The classes.
    """
    folders: dict[tuple[str, str], str] = {}
    by_end: dict[str, list[tuple[str, str]]] = {}
    for split, sample in photos:
        folder = sample.path.parents[len(Path(sample.name).parts) - 1].name
        folders[split, sample.name] = folder
        parts = [folder, *sample.name.split("/")]
        for n in range(len(parts)):
            by_end.setdefault("/".join(parts[n:]), []).append((split, sample.name))
    joined = Joined({(split, sample.name): None for split, sample in photos})
    candidates: dict[tuple[str, str], list[tuple[int, int, float, str]]] = {}
    for file, answer in answers.items():
        # The first part of a URL is the host or the bucket.
        parts = re.sub(r"^\w+://[^/]*/", "", file.replace("\\", "/")).split("/")
        ends = ["/".join(parts[n:]) for n in range(len(parts))]
        start = next((n for n, end in enumerate(ends) if end in by_end), None)
        hits = [] if start is None else by_end[ends[start]]
        if len(hits) > 1:
            joined.ambiguous.append(file)
        elif start is None or _names_other_split(ends[start], parts[:start], hits[0], folders):
            joined.unknown_files.append(file)
        else:
            rank = (len(parts) - start, -start, answer.score, file)
            candidates.setdefault(hits[0], []).append(rank)
    for photo, ranks in candidates.items():
        *others, (*_, file) = sorted(ranks)
        joined.unknown_files += [other for *_, other in others]
        if answers[file].label is None:
            continue
        joined.answers[photo] = answers[file]
        label = str(answers[file].label)
        if label not in class_names and label not in joined.unknown_labels:
            joined.unknown_labels.append(label)
    return joined


def _names_other_split(
    end: str, before: Sequence[str], photo: tuple[str, str], folders: dict[tuple[str, str], str]
) -> bool:
    """Whether the path before the matching suffix contains the folder of another split."""
    if end == f"{folders[photo]}/{photo[1]}" or folders[photo] in before:
        return False
    known = {"train", *folders.values()}
    return any(part in known or part.startswith("test_") for part in before)


def join_warnings(joined: Joined, path: Path) -> list[str]:
    """Describes what could not be joined.

    Raises:
        BookclsError: If no photo got a prediction.
    """

    def some(names: Sequence[str]) -> str:
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

    lines = []
    missing = [name for (_, name), answer in joined.answers.items() if answer is None]
    if len(missing) == len(joined.answers):
        raise BookclsError(
            f"external={path}: none of its predictions matches a photo; its files are called "
            f"{some(joined.unknown_files or joined.ambiguous) or 'nothing'}. They are joined by "
            "the end of the path, such as test_easy/NAME.jpg or NAME.jpg."
        )
    if missing:
        lines.append(
            f"no prediction for {len(missing)} of {len(joined.answers)} photos: counted as wrong"
        )
    if joined.unknown_files:
        lines.append(f"not among the photos, left out: {some(joined.unknown_files)}")
    if joined.ambiguous:
        lines.append(f"matches several photos, left out: {some(joined.ambiguous)}")
    if joined.unknown_labels:
        lines.append(f"not a class, counted as wrong: {some(joined.unknown_labels)}")
    return lines
