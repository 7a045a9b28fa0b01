"""Reads the rows of a table, whatever its encoding and separator."""

import codecs
import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bookcls.data.images import SUFFIXES
from bookcls.errors import BookclsError

TABLES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson")
"""Suffixes of files that can be read as tables."""
SHEETS = (".xlsx", ".xls", ".ods", ".parquet", ".feather", ".arrow", ".xml")
"""Suffixes of tables that cannot be read."""
MAX_BYTES = 200_000_000
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


@dataclass
class Grid:
    """The cells of a table.

    Attributes:
        header: Names of the columns; empty if the first line is a row like the others.
        rows: Number of the line (of JSON: of the record), and its cells.
        said: Encoding and separator, in words.
    """

    header: list[str]
    rows: list[tuple[int, list[str]]]
    said: str


def read_text(path: Path) -> tuple[str, str]:
    """The text of a file, and its encoding.

    Raises:
        BookclsError: If it is in none of UTF-8, UTF-16 and Windows-1252.
    """
    if path.stat().st_size > MAX_BYTES:
        raise BookclsError(f"{path} is larger than {MAX_BYTES // 10**6} MB: split it.")
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        tries = ["utf-16"]
    elif b"\0" in content[:1000]:
        tries = ["utf-16-le"] if content[1:2] == b"\0" else ["utf-16-be"]
    else:
        tries = ["utf-8-sig", "cp1252"]
    for encoding in tries:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            name = {"utf-8-sig": "UTF-8", "cp1252": "Windows-1252"}.get(encoding, "UTF-16")
            return text, name
    raise BookclsError(
        f"{path} is not text in UTF-8, UTF-16 or Windows-1252: save it as csv in UTF-8."
    )


def read_grid(path: Path) -> Grid:
    """Reads a table; one column if no separator is found.

    Raises:
        BookclsError: If it cannot be read, with the reason.
    """
    try:
        text, encoding = read_text(path)
    except OSError as error:
        raise BookclsError(f"{path} cannot be read: {error}.") from error
    if path.suffix.lower() in (".json", ".jsonl", ".ndjson"):
        return read_json(path, text)
    hint = re.match(r"sep=(.)\r?\n", text)
    body = text[hint.end() :] if hint else text
    # A line separator within a cell (U+2028) ends no row.
    lines = [line for line in re.split(r"\r\n|\r|\n", body) if line.strip()]
    found = []
    for separator in [hint[1]] if hint else SEPARATORS:
        try:
            rows = read_delimited(body, separator, 2 if hint else 1)
        except csv.Error as error:
            raise BookclsError(f"{path} is no valid csv file: {error}.") from error
        if rows and len(rows[0][1]) > 1:
            found.append((separator, rows))
    if not found:
        words = [line.split() for line in lines]
        if len({len(w) for w in words}) != 1:
            words = [line.strip().rsplit(None, 1) for line in lines]
        if path.suffix.lower() == ".txt" and words and min(map(len, words)) > 1:
            return Grid(words[0], list(enumerate(words[1:], 2)), f"{encoding}, space")
        single = [(i, [line.strip().strip('"')]) for i, line in enumerate(lines, 1)]
        return Grid(single[0][1] if single else [], single[1:], f"{encoding}, one column")
    even = [(s, rows) for s, rows in found if len({len(cells) for _, cells in rows}) == 1]
    best = even or found
    if len(best) > 1:
        # Of two, the one that makes more columns: the other is inside cells.
        best.sort(key=lambda pair: -len(pair[1][0][1]))
        if len(best[0][1][0][1]) == len(best[1][1][0][1]):
            both = " or ".join(SEPARATORS[s] for s, _ in best[:2])
            raise BookclsError(f"{path}: its separator can be {both}: save it with one of them.")
    separator, rows = best[0]
    name = SEPARATORS.get(separator, separator)
    wrong = next((n for n, cells in rows if len(cells) != len(rows[0][1])), None)
    if wrong:
        raise BookclsError(
            f"{path} line {wrong} has another number of columns than line 1 (separator: {name}): "
            "put cells that contain it in quotes."
        )
    return Grid(rows[0][1], rows[1:], f"{encoding}, {name}")


def read_delimited(text: str, separator: str, first: int) -> list[tuple[int, list[str]]]:
    """Line numbers and cells; rows without any text are left out."""
    for skip in (False, True):
        file = io.StringIO(text, newline="")
        reader = csv.reader(file, delimiter=separator, skipinitialspace=skip)
        rows = []
        last = first
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((last, cells))
            last = first + reader.line_num
        # A space after every separator belongs to it; after some, it may be part of the cell.
        if not all(c.startswith(" ") for _, cells in rows for c in cells[1:]):
            break
    return rows


def read_json(path: Path, text: str) -> Grid:
    """Reads a list of records, one record per line, or a mapping of files to labels.

    Raises:
        BookclsError: If it is something else.
    """
    try:
        if path.suffix.lower() == ".json":
            data = json.loads(text)
        else:
            data = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise BookclsError(f"{path} is no valid JSON: {error}.") from error
    if isinstance(data, dict):
        lists = [value for value in data.values() if isinstance(value, list)]
        if any(PurePosixPath(key).suffix.lower() in SUFFIXES for key in data) and not any(
            isinstance(value, list | dict) for value in data.values()
        ):
            data = [{"file": key, "label": value} for key, value in data.items()]
        elif len(data) == 1 and lists:
            data = lists[0]
    if not isinstance(data, list) or not all(isinstance(record, dict) for record in data):
        raise BookclsError(
            f"{path} is no list of records such as "
            '[{"file": "a.jpg", "label": "cat"}]: export it as csv with the columns file,label.'
        )
    header = list(dict.fromkeys(key for record in data for key in record))
    rows = [(i, [cell(record.get(key)) for key in header]) for i, record in enumerate(data, 1)]
    return Grid(header, rows, "JSON")


def cell(value: object) -> str:
    """A JSON value as the text of a cell; several values are joined with a semicolon."""
    if isinstance(value, Mapping) and set(value) == {"choices"}:
        value = value["choices"]
    if isinstance(value, list):
        return ";".join(cell(item) for item in value)
    if isinstance(value, Mapping):
        return json.dumps(value)
    return "" if value is None else str(value)
