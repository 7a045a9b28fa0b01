"""A bar on the terminal for what takes its time."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Goes through items with a bar on stderr, if that is a terminal; it vanishes at the end.

    Args:
        items: What to go through.
        description: What is done, such as "Reading photos".
        total: Number of items, where they do not say it themselves.
    """
    console = Console(stderr=True)
    yield from track(
        items,
        description=description,
        total=total,
        transient=True,
        console=console,
        disable=not console.is_terminal,
    )
