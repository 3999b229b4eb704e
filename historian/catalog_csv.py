"""Definitions of tags as CSV: cells to fields and back, exactly.

A text that a spreadsheet would take for a formula is written with an apostrophe before it, which
is taken away again when it is read.
"""

import csv
import io
import math
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from historian.catalog_records import TagRecord
from historian.durations import WANT, duration_text, optional_ns
from historian.errors import RequestInvalid
from storage_engine.sample import ValueType

TYPES = {t.name.lower(): t for t in ValueType if t not in (ValueType.TEXT, ValueType.BYTES)}
TEXTS = ("name", "source", "address", "eng_unit", "description", "asset", "state_set")
COLUMNS = (
    "uuid",
    "name",
    "type",
    "source",
    "address",
    "stepped",
    "eng_unit",
    "description",
    "asset",
    "state_set",
    "hold_max",
    "stale_after",
    "counter_modulus",
    "limit_low",
    "limit_high",
    "counter_rate_max",
    "counter_resets",
)
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")
_TAGS_PER_PIECE = 1_000


class CellInvalid(ValueError):  # noqa: N818 - says what is wrong
    """A cell that means nothing; its text is what would be right."""


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One row as it stands: the line it begins on, and its cells by column, or why it has none."""

    line: int
    cells: Mapping[str, str]
    fault: str = ""


def tags_csv(tags: Iterable[TagRecord]) -> Iterator[bytes]:
    """Give tags as CSV in pieces; :func:`read_rows` and :func:`field_of` read it without loss."""
    held = io.StringIO(newline="")
    writer = csv.writer(held)
    writer.writerow(COLUMNS)
    for number, tag in enumerate(tags, 1):
        writer.writerow(_cells(tag))
        if number % _TAGS_PER_PIECE == 0:
            yield held.getvalue().encode()
            held.seek(0)
            held.truncate()
    yield held.getvalue().encode()


def _cells(tag: TagRecord) -> list[str]:
    facts = tag.facts() | {"uuid": str(uuid.UUID(bytes=tag.uuid))}
    for key in ("hold_max", "stale_after"):
        length = facts[f"{key}_ns"]
        facts[key] = None if length is None else duration_text(length)
    return [_cell(name, facts[name]) for name in COLUMNS]


def _cell(column: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value) if isinstance(value, float) else str(value)
    return f"'{text}" if column in TEXTS and _FORMULA.match(text) else text


def read_rows(data: bytes) -> Iterator[CsvRow]:
    """Rows of a file: UTF-8 with or without a mark, commas or semicolons, empty lines left out.

    Raises
    ------
    RequestInvalid
        For a file that is no such text, has no header, or a column that is not known; while rows
        are read, for a quote that is not closed.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _refusal("bytes that are no UTF-8", "a text in UTF-8", line) from None
    first = text.split("\n", 1)[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines = _lines(reader)
    _, header = next(lines, (1, []))
    columns = [cell.strip().casefold() for cell in header]
    for column in columns:
        if column not in COLUMNS:
            raise _refusal(f"column {column!r}", f"some of: {', '.join(COLUMNS)}", 1)
        if columns.count(column) > 1:
            raise _refusal(f"column {column!r} twice", "each column once", 1)
    if not {"name", "uuid"} & set(columns):
        raise _refusal("no column name or uuid", "one of them in the first line", 1)
    for line, cells in lines:
        if not any(cells):
            continue
        if len(cells) != len(columns):
            fault = f"got {len(cells)} cells, want {len(columns)}"
            yield CsvRow(line, {}, fault)
        else:
            yield CsvRow(line, dict(zip(columns, cells, strict=True)))


def _lines(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Rows with the lines they begin on."""
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _refusal(f"no CSV ({error})", "quotes that are closed", line) from None


def _refusal(got: str, want: str, line: int) -> RequestInvalid:
    where = f"line {line}"
    message = f"cannot read tags: got {got}, want {want}, at {where}"
    return RequestInvalid(message, got=got, want=want, where=where)


def field_of(column: str, cell: str) -> tuple[str, Any]:
    """Field of the catalog and its value; ``type`` and ``stepped`` are None in an empty cell.

    Raises
    ------
    CellInvalid
        With what would be right.
    """
    if column in TEXTS:
        return column, cell[1:] if _GUARDED.match(cell) else cell
    field, read = _READERS[column]
    return field, read(cell.strip())


def _type(cell: str) -> ValueType | None:
    if not cell:
        return None
    if cell.casefold() not in TYPES:
        raise CellInvalid(f"one of: {', '.join(TYPES)}")
    return TYPES[cell.casefold()]


def _yes_or_no(cell: str) -> bool | None:
    words = {"": None, "true": True, "false": False}
    if cell.casefold() not in words:
        raise CellInvalid("true, false or nothing")
    return words[cell.casefold()]


def _duration(cell: str) -> int | None:
    try:
        return optional_ns(cell)
    except ValueError:
        raise CellInvalid(f"{WANT}, or nothing") from None


def _number(cell: str) -> float | None:
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in cell:
        raise CellInvalid("a number with a point, or nothing")
    return value


_READERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "uuid": ("uuid", str),
    "type": ("type", _type),
    "stepped": ("stepped", _yes_or_no),
    "hold_max": ("hold_max_ns", _duration),
    "stale_after": ("stale_after_ns", _duration),
    "counter_modulus": ("counter_modulus", _number),
    "limit_low": ("limit_low", _number),
    "limit_high": ("limit_high", _number),
    "counter_rate_max": ("counter_rate_max", _number),
    "counter_resets": ("counter_resets", _yes_or_no),
}
