"""Columns to the bytes of an answer: JSON for everybody, CSV for sheets, Arrow for programs.

The JSON forms are those of ``api.values``: NaN and infinities are the strings of OPC 10000-6,
integers beyond 2**53 and times in nanoseconds are strings of digits; null is null and nothing else.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from starlette.responses import Response

from api.arrow import arrow_bytes
from api.csv_table import csv_bytes, lacking, told_in_header
from api.encoding import encode
from api.forms import FORMS, JSON_TYPE, Form
from api.table import Table, TimeForm
from api.times import time_json, times_json
from query.ports import Tag
from storage_engine.sample import AnyArray, ColumnData, Damage, Int64Array, ValueType

SAFE_INTEGER_MAX = 2**53 - 1
NO_STORE = {"cache-control": "no-store"}
# Words for the states of a filter: 0, 1, -1.
STATES = np.array(["unknown", "true", "false"], np.object_)
_AS_IT_IS = frozenset({str, bool, type(None)})


def values_json(data: ColumnData | AnyArray) -> Any:
    """Values as JSON can carry them without loss.

    Parameters
    ----------
    data : ColumnData or array, n rows
        Any type.

    Returns
    -------
    list or array
        A contiguous numpy array where JSON's numbers are exact, else a list.
    """
    value, valid = (data.value, data.valid) if isinstance(data, ColumnData) else (data, None)
    if value.dtype.kind == "f":
        return _floats_json(value, valid)
    if value.dtype.kind in "iu":
        safe = len(value) == 0 or (
            int(value.max()) <= SAFE_INTEGER_MAX and int(value.min()) >= -SAFE_INTEGER_MAX
        )
        if safe and valid is None:
            return np.ascontiguousarray(value)
        listed: list[Any] = value.tolist()
        if not safe:
            listed = [v if -SAFE_INTEGER_MAX <= v <= SAFE_INTEGER_MAX else str(v) for v in listed]
        return _with_nulls(listed, valid)
    if isinstance(data, ColumnData) and data.type == ValueType.BYTES:
        return _with_nulls([v.hex() if isinstance(v, bytes) else "" for v in value.tolist()], valid)
    return _with_nulls(value.tolist(), valid)


def _with_nulls(listed: list[Any], valid: Any) -> list[Any]:
    if valid is not None:
        for row in np.flatnonzero(~valid).tolist():
            listed[row] = None
    return listed


def _floats_json(value: AnyArray, valid: Any) -> Any:
    numbers: Any = value
    special = ~np.isfinite(numbers)
    if valid is None and not special.any():
        return np.ascontiguousarray(numbers)
    if value.dtype == np.float32:
        # The shortest decimal of the 32-bit value, as the whole-array path writes it.
        listed: list[Any] = [float(str(v)) for v in numbers]
    else:
        listed = numbers.tolist()
    for row in np.flatnonzero(special).tolist():
        listed[row] = special_json(float(numbers[row]))
    return _with_nulls(listed, valid)


def special_json(value: float) -> float | str:
    """One float as JSON can carry it."""
    if value != value:  # noqa: PLR0124 - NaN is what differs from itself
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def plain_json(value: Any) -> Any:
    """Plain nested values (a passport, a health report) as JSON can carry them.

    Parameters
    ----------
    value : object
        dict, list, tuple, set, dataclass-free scalars, numpy scalars and arrays, bytes.

    Returns
    -------
    object
    """
    if type(value) is float:
        return special_json(value)
    if type(value) in _AS_IT_IS:
        return value
    if isinstance(value, Mapping):
        return {str(k): plain_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return [plain_json(v) for v in sorted(value, key=str)]
    if isinstance(value, (np.ndarray, ColumnData)):
        return values_json(value)
    if isinstance(value, np.generic):
        return plain_json(value.item())
    if isinstance(value, float):
        return special_json(value)
    if isinstance(value, int) and not -SAFE_INTEGER_MAX <= value <= SAFE_INTEGER_MAX:
        return str(value)
    return value.hex() if isinstance(value, bytes) else value


def table_json(table: Table, form: TimeForm) -> dict[str, Any]:
    """One table as a JSON object: facts, then one list per column.

    Parameters
    ----------
    table : Table
        Columns of equal length.
    form : str
        ``ns`` or ``iso``.

    Returns
    -------
    dict
    """
    answer: dict[str, Any] = plain_json(table.facts)
    answer["count"] = len(table)
    answer |= {name: values_json(column) for name, column in table.heads.items()}
    answer |= {name: _times(table, column, form) for name, column in table.times.items()}
    answer |= {name: values_json(column) for name, column in table.columns.items()}
    return answer


def _times(table: Table, column: Int64Array, form: TimeForm) -> list[Any]:
    return _with_nulls(times_json(column, form), table.present)


def row_objects(table: Table, form: TimeForm) -> Iterator[dict[str, Any]]:
    """Rows of a table as JSON objects, one at a time; their keys are the names of the columns."""
    listed = [values_json(column) for column in table.heads.values()]
    listed += [_times(table, column, form) for column in table.times.values()]
    listed += [values_json(column) for column in table.columns.values()]
    cells = [one.tolist() if isinstance(one, np.ndarray) else one for one in listed]
    names = list(table.names())
    return (dict(zip(names, row, strict=True)) for row in zip(*cells, strict=True))


def rows_json(table: Table, form: TimeForm) -> dict[str, Any]:
    """One table as a JSON object: facts, then ``rows``, an object each."""
    rows = list(row_objects(table, form))
    return {**plain_json(table.facts), "count": len(rows), "rows": rows}


def ndjson_bytes(table: Table, form: TimeForm) -> bytes:
    """Rows of a table as JSON objects, one a line."""
    return b"".join(encode(row) + b"\n" for row in row_objects(table, form))


def tag_facts(tag: Tag) -> dict[str, Any]:
    """What every answer about one tag says of it."""
    return {
        "tag": tag.name,
        "type": tag.type.name.lower(),
        "stepped": tag.stepped,
        "eng_unit": tag.eng_unit,
    }


def window_facts(start_ns: int, end_ns: int, form: TimeForm) -> dict[str, Any]:
    """Build the window that relative bounds came to."""
    return {"window": {"start": time_json(start_ns, form), "end": time_json(end_ns, form)}}


def damage_facts(damage: Sequence[Damage], form: TimeForm) -> dict[str, Any]:
    """What every answer says of places that could not be read; an empty list when it is whole."""
    return {
        "damage": [
            {
                "file": one.path,
                "first": time_json(one.first_ns, form),
                "last": time_json(one.last_ns, form),
                "what": one.what,
            }
            for one in damage
        ]
    }


def json_response(value: Any, status: int = 200, *, media: str = JSON_TYPE) -> Response:
    """Answer plain values as JSON."""
    return Response(encode(value), status, dict(NO_STORE), media)


def table_response(table: Table, form: Form, times: TimeForm) -> Response:
    """Answer a table in the form the caller accepts.

    Parameters
    ----------
    table : Table
        Columns of equal length.
    form : str
        As :func:`api.forms.form_of` found.
    times : str
        How JSON and CSV write times; Arrow always carries ``timestamp[ns, UTC]``.

    Returns
    -------
    Response
        CSV and NDJSON say in the header ``historian-lacks`` what the others say in their facts.
    """
    if form == "json":
        return json_response(table_json(table, times))
    if form == "rows":
        return json_response(rows_json(table, times), media=FORMS[form])
    if form == "arrow":
        stream = arrow_bytes(encode(plain_json(table.facts)), table)
        return Response(stream, 200, dict(NO_STORE), FORMS[form])
    data = csv_bytes(table, times) if form == "csv" else ndjson_bytes(table, times)
    return Response(data, 200, headers_of(table, form), media_of(form))


def headers_of(table: Table, form: Form) -> dict[str, str]:
    """Headers of an answer in a form: CSV and NDJSON say there what the answer lacks.

    Raises
    ------
    ApiError
        ``not_acceptable`` (406) where that is too long.
    """
    if form not in ("csv", "ndjson"):
        return dict(NO_STORE)
    told = told_in_header(encode(plain_json(lacking(table.facts))))
    return {**NO_STORE, "historian-lacks": told}


def media_of(form: Form) -> str:
    """Content type of a form, with what it says of itself."""
    return f"{FORMS[form]}; charset=utf-8; header=present" if form == "csv" else FORMS[form]
