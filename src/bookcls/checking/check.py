"""Runs all checks of a dataset."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bookcls.checking.balance import Row, count_classes
from bookcls.checking.duplicates import find_similar
from bookcls.checking.faults import photo_faults, training_problems
from bookcls.checking.finding import Finding
from bookcls.checking.inspection import inspect_photos
from bookcls.checking.page import render
from bookcls.checking.settings import CheckConfig
from bookcls.data.groups import GROUPS, write_groups
from bookcls.data.photos import drop_unreadable
from bookcls.data.samples import PhotoFolder
from bookcls.environment import python_command
from bookcls.errors import BookclsError
from bookcls.storage.files import write_json, write_text

CASES = 8
"""Maximum number of cases printed per finding."""


def check(config: CheckConfig, folder: PhotoFolder, output: Path, overrides: Sequence[str]) -> None:
    """Inspects every photo, prints the findings and writes the page.

    Args:
        config: The settings.
        folder: The dataset.
        output: Folder for check.html, check.json and, if photos should stay together, groups.csv.
        overrides: Data settings from the command line, repeated in the suggested training command.

    Raises:
        BookclsError: If something must be fixed before training.
    """
    infos, bad = inspect_photos(folder)
    rows, count_findings = count_classes(
        drop_unreadable(folder, bad, config.data.on_bad), config.data
    )
    similar_findings, groups = find_similar(infos, config.burst_seconds)
    findings = [
        *training_problems(folder, bad, config.data.on_bad),
        *similar_findings,
        *photo_faults(infos, config.data.image_size),
        *count_findings,
    ]
    findings = sorted((f for f in findings if f.num_cases), key=lambda f: not f.stops)
    verdict = conclusion(findings)
    print_findings(folder, rows, findings)
    write_json(output / "check.json", as_json(folder, findings))
    if groups:
        write_groups(output / GROUPS, groups)
    else:
        (output / GROUPS).unlink(missing_ok=True)
    write_text(output / "check.html", render(folder, rows, findings, verdict))
    print(f"page   {output / 'check.html'}")
    if any(f.stops for f in findings):
        raise BookclsError(verdict)
    print(verdict)
    arguments = shlex.join([f"data.root={folder.root}", *overrides])
    print(f"train  {python_command()} -m bookcls.train experiment=laptop data=folder {arguments}")


def conclusion(findings: Sequence[Finding]) -> str:
    """Summarises the check in one sentence."""
    if not findings:
        return "No problems found: you can train."
    names = [f.name for f in findings if f.stops]
    if names:
        return f"Training refuses this folder; fix first: {', '.join(names)}."
    return f"You can train, but first look at: {', '.join(f.name for f in findings)}."


def as_json(folder: PhotoFolder, findings: Sequence[Finding]) -> dict[str, Any]:
    """Converts the findings to plain values, for check.json."""
    return {
        "root": str(folder.root),
        "findings": [
            {
                "name": f.name,
                "stops": f.stops,
                "advice": f.advice,
                "lines": list(f.lines),
                "photos": [
                    {"text": text, "files": [p.relative_to(folder.root).as_posix() for p in paths]}
                    for text, paths in f.photos
                ],
            }
            for f in findings
        ],
    }


def print_findings(folder: PhotoFolder, rows: Sequence[Row], findings: Sequence[Finding]) -> None:
    """Prints the counts and the findings."""
    console = Console(highlight=False)
    console.print(str(folder.root), markup=False, soft_wrap=True)
    if skipped := str(folder.leavings):
        console.print(f"skipped: {skipped}", markup=False, soft_wrap=True)
    table = Table()
    table.add_column("class")
    for column in ("train", "validate", *(f"test: {name}" for name in folder.tests), "drawn"):
        table.add_column(escape(column), justify="right")
    for row in rows:
        numbers = [row.train, row.val, *row.tests]
        table.add_row(escape(row.name), *map(str, numbers), f"{row.drawn:.1f} x {row.train}")
    console.print(table)
    for f in findings:
        console.print(f"\n[bold]{escape(f.name)}[/bold]{' (fix first)' if f.stops else ''}")
        cases = [*f.lines]
        for text, paths in f.photos:
            files = ", ".join(p.relative_to(folder.root).as_posix() for p in paths)
            cases.append(f"{files}{f': {text}' if text else ''}")
        more = [f"... and {len(cases) - CASES} more"] if len(cases) > CASES else []
        for case in [*cases[:CASES], *more]:
            console.print(f"  {case}", markup=False, soft_wrap=True)
        console.print(f"  -> {f.advice}", markup=False, soft_wrap=True)
    if findings:
        print()
