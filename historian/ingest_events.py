"""Events brought into the columns of their kind; notices of collectors turned into events. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from historian.errors import RequestInvalid
from historian.events import EVENT_KINDS
from historian.ingest_checks import TimeRange, fit
from storage_engine.frame import Envelope, Notice
from storage_engine.sample import (
    DTYPES,
    EVENT_ID_DTYPE,
    Column,
    ColumnData,
    EventBatch,
    ValueType,
    source_event_id,
)

TEXT_CHARACTERS_MAX = 4_096
_TEXTS = frozenset({ValueType.SYMBOL, ValueType.TEXT})


def normalise(batch: EventBatch) -> EventBatch:
    """Give a batch every column of its kind, in order; what is missing is null.

    Raises
    ------
    RequestInvalid
        For an unknown kind or column, columns of other lengths, or a type that does not fit.
    """
    wanted = EVENT_KINDS.get(batch.kind)
    if wanted is None:
        kinds = ", ".join(sorted(EVENT_KINDS))
        message = f"cannot write events: got kind {batch.kind!r}, want one of: {kinds}"
        raise RequestInvalid(message, got=batch.kind, where="kind")
    count = len(batch)
    given = dict(zip((c.name for c in batch.columns), batch.data, strict=True))
    unknown = sorted(given.keys() - {c.name for c in wanted})
    if unknown or len(given) < len(batch.columns):
        names = ", ".join(c.name for c in wanted)
        got = repr(unknown[0]) if unknown else "a column twice"
        message = f"cannot write {batch.kind} events: got column {got}, want one of: {names}"
        raise RequestInvalid(message, got=got, where="columns")
    lengths = {len(batch.event_id), *(len(d) for d in batch.data)} - {count}
    if lengths:
        message = f"cannot write {batch.kind} events: got a column of {lengths.pop()} rows"
        raise RequestInvalid(f"{message}, want {count}, as the times have")
    data = tuple(_column(batch.kind, column, given.get(column.name), count) for column in wanted)
    return EventBatch(batch.kind, batch.timestamp_ns, batch.event_id, wanted, data)


def _column(kind: str, column: Column, given: ColumnData | None, count: int) -> ColumnData:
    if given is None:
        given = ColumnData(column.type, *_empty(column.type, count))
    elif given.type in _TEXTS and column.type in _TEXTS:
        given = ColumnData(column.type, given.value, given.valid)
    fitted = fit(given, column.type)
    if fitted is None or fitted[1] is not None:
        message = f"cannot write {kind} events: got {given.type.name.lower()}, want "
        message += f"{column.type.name.lower()} that fits exactly, at column {column.name!r}"
        raise RequestInvalid(message, got=given.type.name.lower(), where=column.name)
    return fitted[0]


def _empty(type_: ValueType, count: int) -> tuple[Any, Any]:
    dtype = DTYPES[type_]
    value = np.full(count, "", dtype) if dtype == np.object_ else np.zeros(count, dtype)
    return value, np.zeros(count, np.bool_)


def build_events(
    kind: str,
    rows: Sequence[tuple[int, bytes, Mapping[str, object]]],
    payload_characters_max: int = TEXT_CHARACTERS_MAX,
) -> EventBatch:
    """Make a batch of a kind from rows of (time, id, facts); unnamed columns are null.

    Parameters
    ----------
    kind : str
        A key of ``EVENT_KINDS``.
    rows : sequence of (timestamp_ns, event_id, facts)
        Facts whose type does not fit their column are left null.
    payload_characters_max : int
        Kept of a payload; other texts are cut to 4,096 characters.
    """
    columns = EVENT_KINDS[kind]
    count = len(rows)
    data = []
    for column in columns:
        value, valid = _empty(column.type, count)
        for index, (_, _, facts) in enumerate(rows):
            most = payload_characters_max if column.name == "payload" else TEXT_CHARACTERS_MAX
            fact = _fact(facts.get(column.name), column.type, most)
            if fact is not None:
                value[index] = fact
                valid[index] = True
        data.append(ColumnData(column.type, value, valid))
    times = np.array([row[0] for row in rows], np.int64)
    ids = np.frombuffer(b"".join(row[1] for row in rows), EVENT_ID_DTYPE)
    return EventBatch(kind, times, ids, columns, tuple(data))


def _fact(value: object, type_: ValueType, characters_max: int) -> object | None:
    if type_ in _TEXTS:
        if value is None or isinstance(value, str):
            return value if value is None else str(value)[:characters_max]
        return json.dumps(value, default=str)[:characters_max]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if type_ is ValueType.FLOAT64:
        return float(value)
    return int(value) if isinstance(value, int) and -(1 << 63) <= value < 1 << 63 else None


def notice_events(
    notices: Sequence[Notice], envelope: Envelope, accepted: TimeRange, now_ns: int
) -> dict[str, list[tuple[int, bytes, Mapping[str, object]]]]:
    """Turn gap, source_state and reject notices into rows of their event kinds.

    The id follows from the frame and the place in it, and the time is the notice's own where it
    has one, so that a frame sent again gives the same events.

    Parameters
    ----------
    notices : sequence of Notice
        As the frame holds them; other kinds are left out.
    envelope : Envelope
        Of that frame.
    accepted : TimeRange
        A notice whose own time lies outside is entered at the time of the frame.
    now_ns : int
        Time of a notice in a frame without rows that has none of its own.

    Returns
    -------
    dict
        Kind -> rows for :func:`build_events`.
    """
    found: dict[str, list[tuple[int, bytes, Mapping[str, object]]]] = {}
    frame = f"{envelope.producer_id.hex()}/{envelope.epoch}"
    fallback_ns = envelope.max_time_ns
    if not fallback_ns or not accepted.holds(fallback_ns, fallback_ns):
        fallback_ns = now_ns
    for index, notice in enumerate(notices):
        kind = {"gap": "gap", "source_state": "source_state", "reject": "quarantine"}.get(
            notice.kind
        )
        if kind is None:
            continue
        facts = dict(notice.facts)
        time_ns = _time(facts, accepted, fallback_ns)
        facts.setdefault("collector", envelope.producer_id.hex())
        if kind == "quarantine" and "payload_bytes" in facts:
            told = {name: facts.get(name) for name in ("payload_bytes", "payload_encoding")}
            facts["attributes"] = json.dumps(told, default=str)
        event_id = source_event_id(frame, f"{envelope.sequence}/{index}")
        found.setdefault(kind, []).append((time_ns, event_id, facts))
    return found


def _time(facts: Mapping[str, object], accepted: TimeRange, fallback_ns: int) -> int:
    for key in ("time_ns", "timestamp_ns", "start_ns"):
        value = facts.get(key)
        if isinstance(value, int) and accepted.holds(value, value):
            return value
    return fallback_ns
