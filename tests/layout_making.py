"""Folders of tiny photos in the layouts of others, with the truth that they were made from."""

import io
from pathlib import Path

from PIL import Image

from bookcls.layouts.plan import make_plan
from bookcls.layouts.recognise import recognise


def encode() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (90, 120, 30)).save(buffer, "PNG")
    return buffer.getvalue()


PNG = encode()


def put(root: Path, *names: str) -> Path:
    """Photos that differ in their last bytes."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PNG + name.encode())
    return root


def planned(root: Path, *args, **settings) -> dict[str, tuple[str, str]]:
    """Photo, as a path below the root, -> split and class in the new layout."""
    plan = make_plan(recognise(root, *args, **settings), 0, 3, 0)
    return {
        path.relative_to(root).as_posix(): tuple(place.split("/")[:2])
        for place, path in plan.files.items()
    }
