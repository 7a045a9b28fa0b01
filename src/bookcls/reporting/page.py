"""The one self-contained page: tables, figures, and the test photos with what was answered."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from bookcls import __version__
from bookcls.pages.templates import style, template
from bookcls.reporting import sights, tables
from bookcls.reporting.cells import Cell, Photo, photo_key, pluralise, shorten_hashes
from bookcls.reporting.found import Run, RunCollection
from bookcls.reporting.photos import PhotoFolders
from bookcls.reporting.summary import Row

HERE = Path(__file__).parent
FIGURES = {
    "ablation": "Every cell: seeds, mean and 95 % interval",
    "freeze": "Where to freeze: the layer from which all train",
    "learning": "Loss by epoch, every seed",
}
TOP = 3
"""Number of classes shown per prediction, with their probabilities."""


def render(
    collection: RunCollection,
    cells: Sequence[Cell],
    table: dict[str, list[Row]],
    figures: dict[str, str],
    folders: PhotoFolders,
) -> str:
    """The page as html: no script, style, font or picture from elsewhere.

    Args:
        collection: The runs.
        cells: In the order of their labels.
        table: From ``summarise``.
        figures: Name -> svg, from ``draw_all``.
        folders: Where the photos are.
    """
    photos = photo_data(cells, list(table), folders)
    number = {id(cell): i for i, cell in enumerate(cells)}
    return template(HERE / "page.html").render(
        title=collection.root.name,
        version=__version__,
        created=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        pluralise=pluralise,
        splits=[
            split_context(i, split, rows, number) for i, (split, rows) in enumerate(table.items())
        ],
        columns=tables.COLUMNS,
        notes=tables.footnotes(table),
        maps=maps_context(cells),
        maps_note=sights.NOTE,
        figures=[(FIGURES[k], Markup(figures[k])) for k in FIGURES if k in figures],
        accounts=[*tables.describe_runs(collection, cells), *folders.describe()],
        provenance=provenance([run for cell in cells for run in cell.runs]),
        cells=[cell_context(cell, cells) for cell in cells],
        style=style(),
        script=Markup((HERE / "page.js").read_text(encoding="utf-8")),
        data=Markup(as_json(photos)),
    )


def as_json(value: dict[str, Any]) -> str:
    """Json that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def split_context(
    index: int, split: str, rows: Sequence[Row], number: dict[int, int]
) -> dict[str, Any]:
    """What the template shows of a test split."""
    return {
        "name": split,
        "index": index,
        "photos": pluralise(rows[0].num_photos, "photo"),
        "finding": tables.describe_result(rows),
        "floor": rows[0].floor,
        "constant": rows[0].constant,
        "strict_n": rows[0].strict_n,
        "rows": [
            {
                "number": number[id(row.cell)],
                "label": row.cell.label,
                "marks": row.cell.marks,
                "seeds": len(row.cell.seeds),
                "figures": tables.format_row(row),
                "verdict": tables.describe_verdict(row, rows),
                "tied": row.tied,
                "mean": row.mean,
                "by_seed": sorted(set(row.by_seed)),
                "low": row.interval.low,
                "high": row.interval.high,
                "method": row.interval.method,
                "p": None if row.p is None else f"{row.p:.3f}" if row.p >= 0.001 else "< 0.001",
            }
            for row in rows
        ],
    }


def maps_context(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """What the template shows of the activation maps, a table per test split."""
    return [
        {
            "name": split,
            "columns": sights.headings(group),
            "rows": [(sights.row_label(s, group), sights.format_row(s, group)) for s in group],
            "methods": list(dict.fromkeys(sight.method for sight in group)),
        }
        for split, group in sights.summarise_maps(cells).items()
    ]


def cell_context(cell: Cell, cells: Sequence[Cell]) -> dict[str, Any]:
    """What the foot of the page says of a cell: its runs and every setting that is not shared."""
    keys = dict.fromkeys(key for other in cells for key in other.facets)
    differs = [k for k in keys if len({other.facets.get(k) for other in cells}) > 1]
    run = cell.runs[0]
    return {
        "label": cell.label,
        "marks": cell.marks,
        "settings": [f"{k}={cell.facets[k]}" for k in differs if cell.facets.get(k)],
        "runs": [f"seed {run.seed}: {run.name}" for run in cell.runs],
        "superseded": cell.superseded,
        "code": shorten_hashes(run.code),
        "weights": shorten_hashes(run.weights),
    }


def provenance(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Name of a fact of environment.json -> its values, each with the number of runs if several."""
    facts: dict[str, dict[str, int]] = {}
    for run in runs:
        env, data = run.environment, run.environment["dataset"]
        versions = env.get("versions") or {}
        values = {
            "code": f"bookcls {shorten_hashes(run.code)}",
            "weights": shorten_hashes(run.weights),
            "dataset": f"{data.get('root', '')} {data['fingerprint'][:7]}",
            "training photos": f"{data.get('num_train', '?')}, held out {data.get('num_val', '?')}",
            "device": f"{env.get('device', '?')}, {env.get('precision', '?')}",
            "machine": f"{env.get('platform', '?')}, {env.get('cpu_count', '?')} cores",
            "python": env.get("python", "?"),
            **versions,
        }
        for name, value in values.items():
            counts = facts.setdefault(name, {})
            counts[str(value)] = counts.get(str(value), 0) + 1
    return [
        (
            name,
            [f"{v} ({pluralise(n, 'run')})" if len(counts) > 1 else v for v, n in counts.items()],
        )
        for name, counts in facts.items()
    ]


def photo_data(
    cells: Sequence[Cell], splits: Sequence[str], folders: PhotoFolders
) -> dict[str, Any]:
    """What the script needs: photos, each thumbnail once, and every answer.

    Returns:
        ``classes``, ``splits``, ``cells`` (label, seeds), ``photos`` (split, file, accepted,
        dominant or -1, thumbnail or -1), ``thumbs``, and ``answers[cell][seed]``: lists of photo,
        class answered, right or not, and the most probable classes with their probabilities.
    """
    names = {name for c in cells for r in c.runs for a in r.answers for name in a.probs}
    classes = sorted(names | {n for c in cells for a in c.runs[0].answers for n in a.accepted})
    index = {name: i for i, name in enumerate(classes)}
    photos: list[list[Any]] = []
    photo_index: dict[tuple[str, Photo], int] = {}
    thumbs: dict[str, int] = {}
    answers = []
    for cell in cells:
        data = cell.runs[0].data
        for a in sorted(cell.runs[0].answers, key=photo_key):
            if (data, photo_key(a)) in photo_index:
                continue
            thumb = folders.thumbnail(cell.runs[0], a.split, a.file)
            at = -1 if thumb is None else thumbs.setdefault(thumb, len(thumbs))
            accepted = [index[name] for name in a.accepted]
            dominant = index[a.dominant] if a.dominant else -1
            photo_index[data, photo_key(a)] = len(photos)
            photos.append([splits.index(a.split), a.file, accepted, dominant, at])
        answers.append(
            [
                [
                    [
                        photo_index[data, photo_key(a)],
                        index[a.pred],
                        int(a.correct),
                        top_classes(a.probs, index),
                    ]
                    for a in sorted(run.answers, key=photo_key)
                ]
                for run in cell.runs
            ]
        )
    return {
        "classes": classes,
        "splits": list(splits),
        "cells": [{"label": cell.label, "seeds": cell.seeds} for cell in cells],
        "photos": photos,
        "thumbs": list(thumbs),
        "answers": answers,
    }


def top_classes(probs: dict[str, float], index: dict[str, int]) -> list[list[float]]:
    """The most probable classes: index and probability."""
    first = sorted(probs.items(), key=lambda item: -item[1])[:TOP]
    return [[index[name], round(p, 3)] for name, p in first]
