"""Columnar JSON of ``POST /v1/events/{kind}`` to an event batch; pure.

::

    {"time_unit": "iso", "time": ["2026-03-01T08:00:00Z"],
     "source": "mes-7", "sequence": [4711],
     "columns": {"unit": ["SN000123"], "station": ["ST10"], "attributes": [{"shift": "B"}]}}

An event is a statement about the plant, so its shape is taken whole or refused whole; a row that
only its time makes unacceptable is rejected by ingest beside its stored neighbours.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np

from api.encoding import encode_sorted
from api.errors import ApiError
from api.payload import a_list, known_keys, parse_document, refuse, time_unit
from api.times import parse_times
from api.values import column_parts, nullable
from historian.events import EVENT_KINDS
from storage_engine.sample import (
    EVENT_ID_DTYPE,
    Column,
    ColumnData,
    EventBatch,
    Int64Array,
    ValueType,
    content_event_id,
    source_event_id,
)

# Written by the historian about itself; a caller that wrote them could hide a loss.
HOUSE_KINDS = frozenset({"source_state", "gap", "quarantine"})
ATTRIBUTE_DEPTH_MAX = 32
TEXT_LENGTH_MAX = 65_536
_BODY_KEYS = frozenset({"time_unit", "time", "source", "sequence", "id", "columns"})
_HEX_ID = re.compile(r"[0-9a-fA-F]{32}")


def columns_of(kind: str) -> tuple[Column, ...]:
    """Columns of a kind.

    Raises
    ------
    ApiError
        ``unknown_event_kind`` (404).
    """
    columns = EVENT_KINDS.get(kind)
    if columns is None:
        near = get_close_matches(kind, EVENT_KINDS, 1)
        raise ApiError(
            404,
            "unknown_event_kind",
            "cannot find event kind",
            got=kind[:64],
            want=f"{near[0]}?" if near else "one of GET /v1/event-kinds",
            where="path",
        )
    return columns


def parse_events(kind: str, body: bytes | memoryview, rows_max: int) -> EventBatch:
    """Read the body of an event write.

    Parameters
    ----------
    kind : str
        From the path.
    body : bytes
        JSON.
    rows_max : int
        Events of one request.

    Returns
    -------
    EventBatch

    Raises
    ------
    ApiError
        404 for an unknown kind, 403 for a kind that only the historian writes, 400 for a body of
        another shape, 413 above ``rows_max``.
    """
    columns = columns_of(kind)
    if kind in HOUSE_KINDS:
        raise ApiError(
            403,
            "house_event_kind",
            "cannot write event kind",
            got=kind,
            want="a kind that the plant reports",
            where="path",
        )
    document = parse_document(body, _BODY_KEYS)
    times = a_list(document.get("time"), "time")
    if len(times) > rows_max:
        raise ApiError(
            413,
            "too_many_rows",
            "cannot take the write",
            got=f"{len(times)} events",
            want=f"at most {rows_max} events in one request",
            where="time",
        )
    timestamp_ns = parse_times(times, time_unit(document), "time")
    names = frozenset(c.name for c in columns)
    sent = known_keys(document.get("columns"), names, "columns")
    source = document.get("source")
    if source is not None and (not isinstance(source, str) or not 0 < len(source) <= 256):
        raise refuse("cannot read source", source, "1 to 256 characters", "source")
    data = {c.name: _column(c, sent[c.name], len(times)) for c in columns if c.name in sent}
    ids = _ids(kind, document, timestamp_ns, data)
    if source is not None and "source" not in data:
        data["source"] = nullable([source] * len(times), ValueType.SYMBOL)
    used = tuple(c for c in columns if c.name in data)
    return EventBatch(kind, timestamp_ns, ids, used, tuple(data[c.name] for c in used))


def _column(column: Column, value: object, count: int) -> ColumnData:
    where = f"columns.{column.name}"
    values = a_list(value, where)
    if len(values) != count:
        raise refuse("cannot read column", f"{len(values)} values", f"{count}, one a time", where)
    if column.name == "attributes":
        values = [
            None if v is None else _attributes(v, f"{where}[{i}]") for i, v in enumerate(values)
        ]
    parts = column_parts(values, column.type, where)
    if len(parts) > 1 or any(p.data.type != column.type for p in parts):
        wrong = next(p for p in parts if p.data.type != column.type)
        row = 0 if wrong.rows is None else int(wrong.rows[0])
        want = f"{column.type.name.lower()} or null"
        raise refuse("cannot read value", values[row], want, f"{where}[{row}]", "invalid_value")
    data = parts[0].data if parts else nullable([], column.type)
    if column.type in (ValueType.TEXT, ValueType.SYMBOL):
        row = next((i for i, v in enumerate(data.value.tolist()) if len(v) > TEXT_LENGTH_MAX), -1)
        if row >= 0:
            want = f"at most {TEXT_LENGTH_MAX} characters"
            raise refuse(
                "cannot read value", "longer text", want, f"{where}[{row}]", "invalid_value"
            )
    return data


def _attributes(value: object, where: str) -> str:
    if not isinstance(value, dict):
        raise refuse("cannot read attributes", type(value).__name__, "an object or null", where)
    level: list[Any] = [value]
    for _ in range(ATTRIBUTE_DEPTH_MAX):
        level = [c for v in level for c in _children(v)]
        if not level:
            return encode_sorted(value).decode()
    raise refuse("cannot read attributes", "deeper", f"depth {ATTRIBUTE_DEPTH_MAX} at most", where)


def _children(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _ids(
    kind: str,
    document: Mapping[str, Any],
    timestamp_ns: Int64Array,
    data: Mapping[str, ColumnData],
) -> np.ndarray[Any, np.dtype[np.void]]:
    count = len(timestamp_ns)
    given, sequence, source = (document.get(k) for k in ("id", "sequence", "source"))
    if given is not None and sequence is not None:
        raise refuse("cannot name events", "id and sequence", "one of them", "id")
    ids: list[bytes]
    if given is not None:
        texts = _as_long(a_list(given, "id"), count, "id")
        for row, text in enumerate(texts):
            if not isinstance(text, str) or not _HEX_ID.fullmatch(text):
                raise refuse("cannot read id", text, "32 hex digits", f"id[{row}]")
        ids = [bytes.fromhex(t) for t in texts]
    elif sequence is not None:
        if source is None:
            raise refuse("cannot name events", "sequence alone", "a source beside it", "source")
        numbers = _as_long(a_list(sequence, "sequence"), count, "sequence")
        for row, number in enumerate(numbers):
            if type(number) not in (int, str) or not 0 < len(str(number)) <= 256:
                raise refuse("cannot read sequence", number, "integer or text", f"sequence[{row}]")
        ids = [source_event_id(source, n) for n in numbers]
    else:
        columns = {name: column.objects() for name, column in data.items()}
        ids = []
        for row, time_ns in enumerate(timestamp_ns.tolist()):
            # Nulls are left out: a column that joins the kind later changes no id.
            content = {n: c[row] for n, c in columns.items() if c[row] is not None}
            ids.append(content_event_id(encode_sorted([kind, time_ns, content, source])))
    return np.frombuffer(b"".join(ids), dtype=EVENT_ID_DTYPE)


def _as_long(values: list[Any], count: int, where: str) -> list[Any]:
    if len(values) != count:
        raise refuse("cannot name events", f"{len(values)} items", f"{count}, one a time", where)
    return values
