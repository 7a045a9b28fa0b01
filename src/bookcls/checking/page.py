"""The self-contained page of a check: the counts, and every finding with its photos."""

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
from bookcls.pages.thumbnails import embed_photo

HERE = Path(__file__).parent
GROUPS_SHOWN, PHOTOS_SHOWN = 40, 12
"""Groups shown of a finding, and photos shown of a group."""
WIDTH = 200
"""Width of a bar, in units of its svg."""
CRITERIA = (
    "near-duplicate: perceptual hashes (256 bits of imagehash's phash) of which less than 12 % "
    "differ, also after right-angle rotations or mirroring. This finds a picture that was saved "
    "again, resized or brightened; it mostly misses one cropped by 2 % or rotated by 2 degrees.",
    "burst: photos that the same camera took within seconds, according to their EXIF data.",
    "blurred or plain: at 256 px, the standard deviation of the Laplacian is below 0.08 of that of "
    "the grey values; dark: 99 % of the pixels are below 0.32.",
    "No check knows what a photo shows: a wrong label is found only if one picture has two labels.",
)


def render(
    folder: PhotoFolder, rows: Sequence[Row], findings: Sequence[Finding], verdict: str
) -> str:
    """Renders the page as html, without any external script, style, font or picture.

    Args:
        folder: The dataset.
        rows: The counts of its classes.
        findings: The findings.
        verdict: The sentence at the top.
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
        total=f"{len(folder.train)} for training and validation, {num_tests} for testing",
        tests=list(folder.tests),
        rows=[vars(row) | {"parts": bar_segments(row, max(longest, 1))} for row in rows],
        notes=table_notes(folder),
        findings=[finding_context(folder.root, finding) for finding in findings],
        how=CRITERIA,
        style=style(),
        own_style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
    )


def table_notes(folder: PhotoFolder) -> list[str]:
    """Explanations below the table."""
    several = any(len(s.accepted) > 1 for samples in folder.tests.values() for s in samples)
    return [
        "drawn per epoch: how often training sees each photo of a class, on average, so that all "
        "classes are seen equally often",
        *(
            ["a test photo with several accepted classes counts for each of them"]
            if several
            else []
        ),
    ]


def bar_segments(row: Row, longest: int) -> list[dict[str, Any]]:
    """The segments of a class's bar."""
    segments, x = [], 0.0
    for kind, n in (("train", row.train), ("val", row.val), ("test", sum(row.tests))):
        width = WIDTH * n / longest
        segments.append({"kind": kind, "x": x, "width": width})
        x += width
    return segments


def finding_context(root: Path, finding: Finding) -> dict[str, Any]:
    """The template's values for a finding."""
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
                        "image": embed_photo(path),
                    }
                    for path in paths[:PHOTOS_SHOWN]
                ],
                "more": len(paths[PHOTOS_SHOWN:]),
            }
            for text, paths in finding.photos[:GROUPS_SHOWN]
        ],
        "more": len(finding.photos[GROUPS_SHOWN:]),
    }
