"""Csv fields that no spreadsheet takes for a formula, and back. No heavy imports."""

import re
from collections.abc import Iterable

FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""How a field begins that a spreadsheet may run (OWASP, CSV Injection), marks of ours before it.

The last four are the full-width forms of the first four.
"""


def safe(value: object) -> str:
    """A csv field that no spreadsheet takes for a formula.

    >>> safe("=1+1"), safe("'=1+1"), safe("a=1")
    ("'=1+1", "''=1+1", 'a=1')
    """
    text = str(value)
    return f"'{text}" if FORMULA.match(text) else text


def meant(field: str) -> str:
    """The inverse of :func:`safe`.

    >>> meant("'=1+1"), meant("''=1+1"), meant("'a")
    ('=1+1', "'=1+1", "'a")
    """
    return field[1:] if field[:1] == "'" and FORMULA.match(field) else field


def safe_row(values: Iterable[object]) -> list[object]:
    """A csv row of which the texts are :func:`safe`; numbers stay, negative ones too."""
    return [safe(value) if isinstance(value, str) else value for value in values]
