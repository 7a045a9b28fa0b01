"""Text in matplotlib figures."""

import textwrap


def literal(text: str) -> str:
    """Escapes text that matplotlib would parse as mathematics or fail on."""
    # File names that are not UTF-8 contain surrogates in Python.
    return text.encode("utf-8", "backslashreplace").decode().replace("$", r"\$")


def plain(text: str, width: int = 34) -> str:
    """Escapes text and wraps it to a limited width."""
    return literal("\n".join(textwrap.wrap(text, width)))
