"""Control characters in names of files and classes must not reach the terminal."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import rich.control

CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but for tab and line breaks, and those that reverse the order of letters."""
LETTERS = "".join(map(chr, range(0x2070)))
"""Those among which the controls are."""


def escape_controls(text: str) -> str:
    r"""Shows control characters as Python writes them.

    >>> print(escape_controls("red\x1b[2K"))
    red\x1b[2K
    """
    return CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


class EscapedStream:
    """A text stream that escapes what is printed; rich, which colours tables, writes past it."""

    def __init__(self, stream: TextIO) -> None:
        self.rich_proxied_file = stream

    def write(self, text: str) -> int:
        """Writes a text."""
        self.rich_proxied_file.write(escape_controls(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self.rich_proxied_file, name)


@contextmanager
def escape_output() -> Iterator[None]:
    """Escapes control characters in what this process prints, with or without rich."""
    # Of what rich is given as text, it removes some of them by this table; its own are no text.
    table: dict[int, Any] = rich.control._CONTROL_STRIP_TRANSLATE
    kept, streams = dict(table), (sys.stdout, sys.stderr)
    table.update({ord(letter): escape_controls(letter) for letter in CONTROLS.findall(LETTERS)})
    sys.stdout, sys.stderr = map(EscapedStream, streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        table.clear()
        table.update(kept)
