"""A progress bar on the terminal."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Iterates over items with a progress bar on stderr, if that is a terminal.

    Args:
        items: What to iterate over.
        description: Text of the bar, such as "Reading photos".
        total: Number of items, if they have no length.
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
