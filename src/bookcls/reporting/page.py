"""Renders the self-contained page: tables, figures, and the test photos with predictions."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from bookcls import __version__
from bookcls.pages.templates import style, template
from bookcls.reporting import map_tables, tables
from bookcls.reporting.cells import Cell, Photo, photo_key, pluralise, shorten_hashes
from bookcls.reporting.collect import Run, RunCollection
from bookcls.reporting.photos import PhotoFolders
from bookcls.reporting.summary import Row

HERE = Path(__file__).parent
FIGURES = {
    "ablation": "Every cell: seeds, mean and 95 % interval",
    "freeze": "Accuracy by the first trained layer",
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
    """Renders the page as html, without external scripts, styles, fonts or pictures.

    Args:
        collection: The runs.
        cells: The cells, sorted by label.
        table: Result of :func:`bookcls.reporting.summary.summarise`.
        figures: Name -> svg, from :func:`bookcls.reporting.plots.draw_all`.
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
        maps_note=map_tables.NOTE,
        figures=[(FIGURES[k], Markup(figures[k])) for k in FIGURES if k in figures],
        accounts=[*tables.describe_runs(collection, cells), *folders.describe()],
        provenance=provenance([run for cell in cells for run in cell.runs]),
        cells=[cell_context(cell, cells) for cell in cells],
        style=style(),
        script=Markup((HERE / "page.js").read_text(encoding="utf-8")),
        data=Markup(as_json(photos)),
    )


def as_json(value: dict[str, Any]) -> str:
    """Converts to JSON that cannot end the surrounding script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def split_context(
    index: int, split: str, rows: Sequence[Row], number: dict[int, int]
) -> dict[str, Any]:
    """The template's values for a test split."""
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
    """The template's values for the activation maps, one table per test split."""
    return [
        {
            "name": split,
            "columns": map_tables.headings(group),
            "rows": [
                (map_tables.row_label(s, group), map_tables.format_row(s, group)) for s in group
            ],
            "methods": list(dict.fromkeys(row.method for row in group)),
        }
        for split, group in map_tables.summarise_maps(cells).items()
    ]


def cell_context(cell: Cell, cells: Sequence[Cell]) -> dict[str, Any]:
    """The template's values for a cell: its runs, and the settings that differ between cells."""
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
    """Collects facts from environment.json: name -> values, with numbers of runs if they differ."""
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
    """Collects the data for the script: photos, each thumbnail once, and all predictions.

    Returns:
        ``classes``, ``splits``, ``cells`` (label, seeds), ``photos`` (split, file, accepted,
        dominant or -1, thumbnail or -1), ``thumbs``, and ``answers[cell][seed]``: lists of photo,
        predicted class, correct or not, and the most probable classes with their probabilities.
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
    """Returns index and probability of the most probable classes."""
    first = sorted(probs.items(), key=lambda item: -item[1])[:TOP]
    return [[index[name], round(p, 3)] for name, p in first]
