"""Compares our predictions with those of another system: figure, captions, paired test."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bookcls.data.samples import Sample
from bookcls.explaining.explainer import Explainer
from bookcls.explaining.external import ExternalAnswer
from bookcls.explaining.sheets import Sheet, concatenate_pictures
from bookcls.scoring.statistics import mcnemar_test
from bookcls.storage.files import write_csv, write_json

DIFFER = "#b35900"
YES = ("no", "yes")


def compare_answers(
    records: Sequence[dict[str, Any]], answers: dict[tuple[str, str], ExternalAnswer | None]
) -> list[dict[str, Any]]:
    """Combines our prediction and the other system's for each photo, as plain values."""
    rows = []
    for record in records:
        answer = answers[record["split"], record["file"]]
        accepted = record["accepted"].split(";")
        rows.append(
            {
                "split": record["split"],
                "file": record["file"],
                "accepted": record["accepted"],
                "ours": record["pred"],
                "ours_score": record["prob"],
                "ours_correct": record["correct"],
                "other": answer.label if answer else "",
                "other_score": answer.score if answer else 0.0,
                "other_correct": int(answer is not None and answer.label in accepted),
                "other_answered": int(answer is not None),
            }
        )
    return rows


def caption(row: dict[str, Any]) -> str:
    """Two lines, as in the 2018 study: ``ours: nlp (0.65) yes``, ``other: keras (0.71) yes``."""
    ours = f"ours: {row['ours']} ({row['ours_score']:.2f}) {YES[row['ours_correct']]}"
    if not row["other_answered"]:
        return f"{ours}\nother: no prediction"
    other = f"other: {row['other']} ({row['other_score']:.2f}) {YES[row['other_correct']]}"
    return f"{ours}\n{other}"


def draw(
    rows: Sequence[dict[str, Any]],
    photos: dict[tuple[str, str], Sample],
    explainer: Explainer,
    output: Path,
) -> list[Path]:
    """Draws every photo with both predictions, as in the 2018 study. Returns the pages."""
    sheet = Sheet(output / "external.png", "our predictions and those of the other system")
    for row in rows:
        photo = explainer.shown(photos[row["split"], row["file"]])
        both = row["ours_correct"] == row["other_correct"]
        sheet.add(concatenate_pictures([photo]), caption(row), "black" if both else DIFFER)
    sheet.flush()
    return sheet.pages


def write(rows: Sequence[dict[str, Any]], warnings: list[str], output: Path) -> list[str]:
    """Writes external.csv and external.json, and returns the results of the paired tests."""
    write_csv(output / "external.csv", list(rows[0]), (row.values() for row in rows))
    parts, lines = {}, []
    for split in dict.fromkeys(row["split"] for row in rows):
        split_rows = [row for row in rows if row["split"] == split]
        for name, part in (
            ("all", split_rows),
            ("answered", [row for row in split_rows if row["other_answered"]]),
        ):
            ours = [bool(row["ours_correct"]) for row in part]
            other = [bool(row["other_correct"]) for row in part]
            test = mcnemar_test(ours, other)
            parts[f"{split}/{name}"] = {
                "n": len(part), "ours": sum(ours), "other": sum(other), **test
            }  # fmt: skip
            subset = "" if name == "all" else " of the photos with a prediction"
            if name == "all" or len(part) < len(split_rows):
                lines.append(
                    f"{split}{subset}: ours {sum(ours)}/{len(part)}, "
                    f"other {sum(other)}/{len(part)}; "
                    f"only one correct {test['only_ours']} : {test['only_other']}, "
                    f"McNemar p = {test['p']:.2g}"
                )
    write_json(output / "external.json", {"notes": warnings, "splits": parts})
    return lines
