"""The self-contained page of a check: counts, and every finding with its photos."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from bookcls import __version__
from bookcls.checking.balance import Row
from bookcls.checking.finding import Finding
from bookcls.data.samples import PhotoFolder
from bookcls.pages.templates import style, template
from bookcls.pages.thumbnails import embedded

HERE = Path(__file__).parent
GROUPS_SHOWN, PHOTOS_SHOWN = 40, 12
"""So many groups of a finding, and photos of a group, are shown."""
WIDTH = 200
"""Of a bar, in units of its svg."""
HOW = (
    "near-duplicate: perceptual hashes (256 bits of imagehash's phash) of which less than 12 % "
    "differ, also turned by right angles or mirrored. The same picture saved again, resized or "
    "brightened is found; one cropped by 2 % or turned by 2 degrees mostly is not.",
    "burst: photos that, by their EXIF data, one camera took within seconds.",
    "blurred or plain: the Laplacian's deviation is below 0.08 of that of the grey values, at "
    "256 px; dark: 99 % of the pixels are below 0.32.",
    "None of this knows what a photo shows: a wrong label is found only where one picture has two.",
)


def render(
    folder: PhotoFolder, rows: Sequence[Row], findings: Sequence[Finding], verdict: str
) -> str:
    """The page as html: no script, style, font or picture from elsewhere.

    Args:
        folder: The dataset.
        rows: Its classes in numbers.
        findings: What was found.
        verdict: The sentence that stands above all.
    """
    longest = max(row.train + row.val + sum(row.tests) for row in rows)
    num_tests = sum(map(len, folder.tests.values()))
    return template(HERE / "page.html").render(
        title=folder.root.name,
        folder=folder.root,
        version=__version__,
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        verdict=verdict,
        state="stop" if any(f.stops for f in findings) else "advice" if findings else "fine",
        total=f"{len(folder.train)} to train and validate, {num_tests} to test",
        tests=list(folder.tests),
        rows=[vars(row) | {"parts": parts(row, max(longest, 1))} for row in rows],
        notes=notes(folder),
        findings=[shown(folder.root, finding) for finding in findings],
        how=HOW,
        style=style(),
        own_style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
    )


def notes(folder: PhotoFolder) -> list[str]:
    """What the table does not say by itself."""
    several = any(len(s.accepted) > 1 for samples in folder.tests.values() for s in samples)
    return [
        "drawn an epoch: how often training sees each photo of a class, on average, so that all "
        "classes are seen equally often",
        *(["a test photo with several accepted classes counts for each"] if several else []),
    ]


def parts(row: Row, longest: int) -> list[dict[str, Any]]:
    """The pieces of a class's bar."""
    pieces, x = [], 0.0
    for kind, n in (("train", row.train), ("val", row.val), ("test", sum(row.tests))):
        width = WIDTH * n / longest
        pieces.append({"kind": kind, "x": x, "width": width})
        x += width
    return pieces


def shown(root: Path, finding: Finding) -> dict[str, Any]:
    """What the template shows of a finding."""
    return {
        "name": finding.name,
        "stops": finding.stops,
        "count": finding.num_cases,
        "advice": finding.advice[:1].upper() + finding.advice[1:],
        "lines": finding.lines,
        "groups": [
            {
                "text": text,
                "photos": [
                    {
                        "folder": path.parent.relative_to(root).as_posix(),
                        "file": path.name,
                        "image": embedded(path),
                    }
                    for path in paths[:PHOTOS_SHOWN]
                ],
                "more": len(paths[PHOTOS_SHOWN:]),
            }
            for text, paths in finding.photos[:GROUPS_SHOWN]
        ],
        "more": len(finding.photos[GROUPS_SHOWN:]),
    }
