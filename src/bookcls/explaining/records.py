"""Writes cam.csv and cam.json: the results for each photo, and summaries."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from bookcls import runs
from bookcls.explaining.audit import SURE
from bookcls.explaining.explanation import Explanation
from bookcls.explaining.map_scores import FLAGS, MapScores
from bookcls.storage.files import write_csv, write_json

Record = dict[str, Any]
SUSPECT = 2
"""A class is suspect if at least this many, and half, of its predictions survive the removal."""


def record(explanation: Explanation, class_names: Sequence[str]) -> Record:
    """Converts an explanation to plain values; scores and audit are those of the predicted class.

    The keys are the columns of cam.csv, explained in docs/explanations.md; ``maps`` contains the
    scores of every class that has a map.
    """
    sample, pred = explanation.sample, explanation.pred
    heat, numbers, audit = explanation.heat_maps[pred], explanation.numbers[pred], explanation.audit

    def name(k: int | None) -> str | None:
        return None if k is None or k < 0 else class_names[k]

    return {
        "split": explanation.split,
        "file": sample.name,
        "dominant": name(sample.label),
        "accepted": ";".join(class_names[k] for k in sample.accepted),
        "pred": class_names[pred],
        "prob": round(float(explanation.probs[pred]), 6),
        "correct": None if explanation.correct is None else int(explanation.correct),
        "flag": explanation.flag,
        "reason": explanation.reason,
        "energy": float(f"{heat.energy:.6g}"),
        "empty": int(heat.empty),
        "map_prob": _short(heat.prob),
        **{f.name: _short(getattr(numbers, f.name, None)) for f in fields(MapScores)},
        "road": _short(explanation.road and explanation.road[0]),
        "road_random": _short(explanation.road and explanation.road[1]),
        "blurred_pred": name(audit.blurred_pred),
        "blurred_prob": _short(audit.blurred_prob),
        "blurred_random_prob": _short(audit.random_prob),
        "background_pred": name(audit.background_pred),
        "background_prob": _short(audit.background_prob),
        "same_on_background": int(audit.same_on_background),
        "without_pred": name(audit.without_pred),
        "without_prob": _short(audit.without_prob),
        "maps": {
            class_names[k]: {
                "energy": float(f"{h.energy:.6g}"),
                "empty": h.empty,
                "prob": _short(h.prob),
                "grid": list(h.grid),
                "numbers": n and asdict(n),
            }
            for (k, h), n in zip(
                explanation.heat_maps.items(), explanation.numbers.values(), strict=True
            )
        },
    }


def _short(value: float | None) -> float | int | None:
    if value is None or isinstance(value, bool):
        return None if value is None else int(value)
    return round(float(value), 4)


def summarise(records: Sequence[Record]) -> dict[str, Any]:
    """Summarises the photos of a split; means are over the photos that have a value."""
    flags = Counter(r["flag"] for r in records)
    summary: dict[str, Any] = {
        "n": len(records),
        "flags": {word: flags[word] for word in FLAGS},
        "empty": sum(r["empty"] for r in records),
        "measured": sum(r["inside"] is not None for r in records),
    }
    for key in ("inside", "hit", "random_inside", "random_hit", "centre_inside", "centre_hit"):
        summary[key] = _mean([r[key] for r in records if r["inside"] is not None])
    for key in ("road", "road_random", "prob", "blurred_prob", "blurred_random_prob"):
        summary[key] = _mean([r[key] for r in records if r["blurred_prob"] is not None])
    return summary


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [v for v in values if v is not None]
    return round(float(np.mean(numbers)), 4) if numbers else None


def shortcuts(records: Sequence[Record]) -> list[str]:
    """Describes each class whose predictions survive removing the object."""
    tested = Counter(r["pred"] for r in records if r["area"] is not None)
    same = Counter(r["pred"] for r in records if r["same_on_background"])
    return [
        f"shortcut? {same[name]} of {tested[name]} predictions '{name}' stay the same, with at "
        f"least {SURE:g}, when all objects are removed: the evidence is in the background"
        for name in sorted(same)
        if same[name] >= SUSPECT and 2 * same[name] >= tested[name]
    ]


def write(output: Path, records: Mapping[str, Sequence[Record]], head: Record) -> None:
    """Writes cam.csv and cam.json.

    Args:
        output: The folder.
        records: Run -> its photos.
        head: The settings, for cam.json.
    """
    several = len(records) > 1
    columns = [key for key in next(r for rs in records.values() for r in rs) if key != "maps"]
    table = [
        [*([run] if several else []), *("" if row[key] is None else row[key] for key in columns)]
        for run, rows in records.items()
        for row in rows
    ]
    write_csv(output / "cam.csv", ["run", *columns] if several else columns, table)
    parts = []
    for run, rows in records.items():
        splits = dict.fromkeys(r["split"] for r in rows)
        parts.append(
            {
                "run": run,
                "summary": {s: summarise([r for r in rows if r["split"] == s]) for s in splits},
                "shortcuts": shortcuts(rows),
                "photos": list(rows),
            }
        )
    write_json(output / runs.CAM_JSON, {**head, "runs": parts})
