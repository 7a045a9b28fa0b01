"""Prints what init does not use."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bookcls.layouts.names import OUR_FOLDERS
from bookcls.layouts.source import SourceDataset
from bookcls.layouts.tree import count_photos

MAX_NAMED = 10
"""Maximum number of left-out files that are listed."""


def print_unused(console: Console, found: SourceDataset) -> None:
    """Prints everything that is not used, with the reasons."""
    if found.leavings:
        print(f"not used, left by this or other programs: {describe_leavings(found.leavings)}")
        if any(p.name in OUR_FOLDERS and count_photos(p) for p in found.leavings):
            print("  if one of these folders is a class, name all classes: classes=[...]")
    if found.left_out:
        print(f"left out: {len(found.left_out)}")
    for path, why in found.left_out[:MAX_NAMED]:
        inside = path.relative_to(found.root) if path.is_relative_to(found.root) else path
        console.print(f"  {inside.as_posix()}: {why}", markup=False, soft_wrap=True)
    rest = Counter(why for _, why in found.left_out[MAX_NAMED:])
    if rest:
        print(f"  ... and {rest.total()} more")
    if len(rest) > 1:
        for why, number in rest.most_common(MAX_NAMED):
            console.print(f"    {number}: {why}", markup=False, soft_wrap=True)


def describe_leavings(paths: Sequence[Path]) -> str:
    """Names each kind of hidden file and of folder once, with the photos in folders."""
    photos = Counter[str]()
    for path in paths:
        photos[f"{path.name}/" if path.is_dir() else path.name] += count_photos(path)
    shown = [f"{name} ({n} photos)" if n else name for name, n in list(photos.items())[:MAX_NAMED]]
    more = f" and {len(photos) - MAX_NAMED} more names" if len(photos) > MAX_NAMED else ""
    return ", ".join(shown) + more
