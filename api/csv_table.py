"""Columns to CSV (RFC 4180): text is quoted, everything else is not, null is an empty field."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from api.errors import ApiError
from api.table import Table
from api.times import times_json
from storage_engine.sample import AnyArray, BoolArray, ColumnData, ValueType

CSV_TYPE = "text/csv"
_TOLD_MAX = 4_096
_LACKS = ("continuation", "damage", "complete_from", "not_collected")
_SPECIAL = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_QUOTED = re.compile(r'[",\r\n]')


def csv_bytes(table: Table, form: str, *, header: bool = True) -> bytes:
    """One table as CSV in UTF-8.

    Parameters
    ----------
    table : Table
        The fact ``eng_unit`` goes into the titles of values: ``value [bar]``. Times as ``form``
        says, without quotes; integers in full, floats by their shortest digits, NaN, Infinity,
        -Infinity; ``true`` and ``false``; text in quotes, also when it is empty; bytes as
        hexadecimal digits in quotes.
    form : str
        ``ns`` or ``iso``.
    header : bool
        With the line of titles.

    Returns
    -------
    bytes
        Lines end with CR LF, the last one as well.
    """
    units = _units(table.facts)
    titles = ",".join(_title(name, units.get(name)) for name in table.names())
    cells = [_cells(column) for column in table.heads.values()]
    cells += [_emptied(times_json(column, form), table.present) for column in table.times.values()]
    cells += [_cells(column) for column in table.columns.values()]
    lines = [*([titles] if header else ()), *map(",".join, zip(*cells, strict=True)), ""]
    return "\r\n".join(lines).encode()


def told_in_header(told: bytes) -> str:
    """JSON as a header can carry it: everything beyond ASCII is escaped.

    Raises
    ------
    ApiError
        ``not_acceptable`` (406) when it is longer than what every client takes.
    """
    text = re.sub(r"[^\x20-\x7e]", lambda found: _escaped(found.group()), told.decode())
    if len(text) <= _TOLD_MAX:
        return text
    raise ApiError(
        406,
        "not_acceptable",
        "cannot say beside CSV what the answer lacks",
        got=f"{len(text)} bytes of facts",
        want=f"at most {_TOLD_MAX}: fewer tags or a shorter window; or form=json, form=arrow",
        where="form",
    )


def lacking(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What an answer lacks, of all that is said of it; tags that lack nothing are left out."""
    found = {name: facts[name] for name in _LACKS if facts.get(name)}
    each = facts.get("tags") or ()
    named = {one["tag"]: lacking(one) for one in each if isinstance(one, Mapping) and "tag" in one}
    short = [{"tag": name, **lacks} for name, lacks in named.items() if lacks]
    return {**found, "tags": short} if short else found


def _escaped(char: str) -> str:
    pairs = char.encode("utf-16-be").hex()
    return "".join(f"\\u{pairs[at : at + 4]}" for at in range(0, len(pairs), 4))


def _units(facts: Mapping[str, Any]) -> dict[str, str]:
    """Title of a column -> the unit of its values."""
    unit, tags = facts.get("eng_unit"), facts.get("tag")
    if isinstance(unit, str):
        return {"value": unit, "energy": unit}
    if isinstance(unit, list) and isinstance(tags, list):
        return {f"value:{tag}": of for tag, of in zip(tags, unit, strict=True)}
    return {}


def _title(name: str, unit: str | None) -> str:
    title = f"{name} [{unit}]" if unit else name
    return _text(title) if _QUOTED.search(title) else title


def _text(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def _cells(column: AnyArray | ColumnData) -> list[str]:
    value, valid = (
        (column.value, column.valid) if isinstance(column, ColumnData) else (column, None)
    )
    kind = value.dtype.kind
    if isinstance(column, ColumnData) and column.type == ValueType.BYTES:
        cells = [_text(v.hex() if isinstance(v, bytes) else "") for v in value.tolist()]
    elif kind == "b":
        cells = ["true" if v else "false" for v in value.tolist()]
    elif kind in "iu":
        cells = list(map(str, value.tolist()))
    elif kind == "f":
        cells = list(map(str, value if value.dtype == np.float32 else value.tolist()))
        for row in np.flatnonzero(~np.isfinite(value)).tolist():
            cells[row] = _SPECIAL[cells[row]]
    else:
        cells = [_text(v if isinstance(v, str) else "") for v in value.tolist()]
    return _emptied(cells, valid)


def _emptied(cells: list[str], valid: BoolArray | None) -> list[str]:
    if valid is not None:
        for row in np.flatnonzero(~valid).tolist():
            cells[row] = ""
    return cells
