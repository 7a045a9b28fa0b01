"""Keeps words as they were typed, for settings whose type says that they are text."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hydra.conf import HydraConf
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
OPENING, CLOSING = "([{", ")]}"
QUOTES = ("'", '"')


def find_hint(schema: type, key: str) -> object:
    """Finds the type of a setting.

    Args:
        schema: The dataclass that mirrors the configuration.
        key: The setting's dotted name; names below ``hydra.`` are looked up in Hydra's own.

    Returns:
        The type hint, or what the field's metadata calls ``given_as``; None if there is no
        such field.

    Example:
        >>> find_hint(HydraConf, "hydra.run.dir")
        <class 'str'>
    """
    hint: object = HydraConf if key.startswith("hydra.") else schema
    for part in key.removeprefix("hydra.").split("."):
        if not (isinstance(hint, type) and is_dataclass(hint)):
            return None
        metadata = {f.name: f.metadata for f in fields(hint)}
        if part not in metadata:
            return None
        hint = metadata[part].get("given_as", get_type_hints(hint)[part])
    return hint


class Typed:
    """Rewrites the values of one setting for Hydra, so that text stays as it was typed."""

    def __init__(self, hint: object) -> None:
        """Reads from the type what a value may be.

        Args:
            hint: See :func:`find_hint`.
        """
        kinds = set(get_args(hint)) if get_origin(hint) in (Union, UnionType) else {hint}
        self.is_anything = hint is Any
        self.is_text = self.is_anything or bool(kinds & {str, Path})
        self.is_number = self.is_anything or bool(kinds & {int, float})
        self.is_nullable = self.is_anything or NoneType in kinds
        self.is_texts = any(get_origin(k) is list and get_args(k) == (str,) for k in kinds)
        self._parser = OverridesParser.create()

    def rewrite(self, value: str, *, multirun: bool) -> str:
        """Rewrites what was given after ``name=``.

        Args:
            value: As typed.
            multirun: Whether commas separate the values of a sweep.
        """
        if exists(value):
            return self._one(value)
        choice = re.fullmatch(r"choice\((.*)\)", value, re.S)
        if not multirun or not (choice or len(list(split_at_commas(value))) > 1):
            return self._one(value, may_sweep=multirun)
        parts = split_at_commas(choice.group(1) if choice else value)
        return ",".join(self._one(part) for part in parts)  # Hydra's choice() drops quotes.

    def _one(self, value: str, *, may_sweep: bool = False) -> str:
        """Rewrites a single value; with ``may_sweep``, ``range(3)`` remains Hydra's."""
        if self.is_texts and value[:1] == "[" and value[-1:] == "]" and not exists(value):
            names = [_Text.rewrite(name, multirun=False) for name in split_at_commas(value[1:-1])]
            return f"[{','.join(names) if names != [''] else ''}]"
        if not self.is_text:
            return value
        try:
            override = self._parser.parse_override(f"name={value}")
            parsed = override.value()
        except (HydraException, RecursionError):
            return quote(value)
        if override.is_sweep_override():
            return value if may_sweep else quote(value)
        if isinstance(parsed, str):
            quoted = value[:1] in QUOTES
            interpolated = "${" in value and not exists(value)
            same = parsed == value and "\\" not in value and "${" not in value
            return value if quoted or interpolated or same else quote(value)
        keeps = (
            (self.is_nullable and parsed is None)
            or (self.is_number and NUMBER.fullmatch(value) is not None)
            or (self.is_anything and isinstance(parsed, bool | list | dict) and not exists(value))
        )
        return value if keeps else quote(value)


_Text = Typed(str)


def exists(value: str) -> bool:
    """Whether a value is the path of a file or folder."""
    try:
        return Path(value).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # RuntimeError: ~user without such a user
        return False


def split_at_commas(value: str) -> Iterator[str]:
    """Splits a value at commas as Hydra does: not in quotes, nor in brackets that are closed.

    Example:
        >>> list(split_at_commas("a, 'b,c',d(e,f),g"))
        ['a', "'b,c'", 'd(e,f)', 'g']
    """
    is_nested = _depth(value) == 0
    part, quote_mark, depth = "", "", 0
    for before, char in zip([",", *value], value, strict=False):
        if quote_mark:
            quote_mark = "" if char == quote_mark and before != "\\" else quote_mark
        elif char in QUOTES and not part.strip() and value.count(char) > 1:
            quote_mark = char  # An apostrophe within a word is none.
        elif is_nested:
            depth += (char in OPENING) - (char in CLOSING)
        if char == "," and not quote_mark and depth == 0:
            yield part.strip()
            part = ""
        else:
            part += char
    yield part.strip()


def _depth(value: str) -> int:
    """How many brackets remain open, or -1 if one is closed that was not opened."""
    depth = 0
    for char in value:
        depth += (char in OPENING) - (char in CLOSING)
        if depth < 0:
            return -1
    return depth


def quote(value: str) -> str:
    """Quotes a value as a Hydra string that is parsed back as ``value``."""
    value = re.sub(r'(\\*)"', r'\1\1\\"', value)
    value = re.sub(r"(\\+)$", r"\1\1", value)
    return '"' + value.replace("${", "\\${") + '"'


def unquote(value: str) -> str:
    """The text that Hydra reads: without the quotes, if there are any."""
    if value[:1] not in QUOTES:
        return value
    text = str(OverridesParser.create().parse_override(f"name={value}").value())
    return text.replace("\\${", "${")  # for OmegaConf
