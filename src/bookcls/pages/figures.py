"""Text in matplotlib figures."""

import textwrap


def literal(text: str) -> str:
    """Text that matplotlib neither takes for mathematics nor stumbles over."""
    # A file name that is no UTF-8 reaches Python with surrogates in it.
    return text.encode("utf-8", "backslashreplace").decode().replace("$", r"\$")


def plain(text: str, width: int = 34) -> str:
    """The same in lines of a limited width."""
    return literal("\n".join(textwrap.wrap(text, width)))
