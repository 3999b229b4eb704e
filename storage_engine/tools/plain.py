"""Rows, frames and arrays as plain values that any JSON library can write."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from storage_engine.columns import Rows
from storage_engine.frame import FLAG_OBSERVED, Envelope, Frame
from storage_engine.sample import BoolArray, ColumnData, UInt32Array
from storage_engine.streams import StreamInfo, schema_of
from storage_engine.table import AnyColumn

Plain = dict[str, object]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows and records are wanted.

    Attributes
    ----------
    stream : str
        Id in digits, or the uuid in hex; empty: all.
    start_ns, end_ns : int
        start <= time < end.
    lsn_first, lsn_last : int
        Both inclusive.
    """

    stream: str = ""
    start_ns: int = -(2**63)
    end_ns: int = 2**63
    lsn_first: int = 0
    lsn_last: int = 2**63

    def takes_stream(self, stream_id: int, uuid: bytes | None) -> bool:
        """Whether rows of a stream are wanted."""
        return self.stream in {"", str(stream_id), "" if uuid is None else uuid.hex()}

    def takes_lsn(self, lsn: int) -> bool:
        """Whether a record or row with this lsn is wanted."""
        return self.lsn_first <= lsn <= self.lsn_last

    def takes_time(self, time_ns: int) -> bool:
        """Whether a row of this time is wanted."""
        return self.start_ns <= time_ns < self.end_ns

    @property
    def rows_only(self) -> bool:
        """Whether only what has a stream or a time of its own can match."""
        return bool(self.stream) or self.start_ns > -(2**63) or self.end_ns < 2**63


def plain_value(value: object) -> object:
    """One value: bytes as hex, floats that JSON lacks as words, half surrogates escaped.

    Parameters
    ----------
    value : object

    Returns
    -------
    object
    """
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def plain_column(column: ColumnData) -> list[object]:
    """Values of a column, None where null.

    Parameters
    ----------
    column : ColumnData

    Returns
    -------
    list
    """
    return [plain_value(value) for value in column.objects()]


def plain_rows(
    rows: Rows, stream: UInt32Array, streams: Mapping[int, StreamInfo], wanted: Filter
) -> Iterator[Plain]:
    """Rows of a block one by one.

    Parameters
    ----------
    rows : Rows
    stream : uint32, shape (n,)
    streams : mapping of int to StreamInfo
    wanted : Filter

    Yields
    ------
    dict
        kind, stream, uuid, time, lsn, observed; quality and value, or event_id and values.
    """
    time, stamp = rows.timestamp_ns, rows.stamp
    mask = (time >= max(wanted.start_ns, -(2**63))) & (time <= min(wanted.end_ns - 1, 2**63 - 1))
    lsn = stamp >> np.uint64(1)
    mask &= (lsn >= np.uint64(wanted.lsn_first)) & (lsn <= np.uint64(wanted.lsn_last))
    uuids = {one: streams.get(one) for one in np.unique(stream).tolist()}
    fits = [s for s, i in uuids.items() if wanted.takes_stream(s, i.uuid if i else None)]
    mask &= np.isin(stream, np.array(fits, np.uint32))
    places = np.flatnonzero(mask)
    if not len(places):
        return
    chosen = rows.take(places)
    columns = [plain_column(column) for column in chosen.data]
    for row, place in enumerate(places.tolist()):
        info = uuids[int(stream[place])]
        facts: Plain = {
            "kind": "event" if rows.quality is None else "sample",
            "stream": int(stream[place]),
            "uuid": None if info is None else info.uuid.hex(),
            "time": int(time[place]),
            "lsn": int(lsn[place]),
            "observed": bool(int(stamp[place]) & 1),
        }
        if rows.quality is not None:
            facts |= {"quality": int(rows.quality[place]), "value": columns[0][row]}
        else:
            names = [c.name for c in info.columns] if info else []
            names += [f"column {i}" for i in range(len(names), len(columns))]
            held = {name: column[row] for name, column in zip(names, columns, strict=False)}
            event_id = rows.event_id
            facts["event_id"] = None if event_id is None else bytes(event_id[place]).hex()
            facts["values"] = held
        yield facts


def plain_envelope(envelope: Envelope) -> Plain:
    """Header of a frame.

    Parameters
    ----------
    envelope : Envelope

    Returns
    -------
    dict
    """
    facts = {name: plain_value(value) for name, value in asdict(envelope).items()}
    return {**facts, "observed": bool(envelope.flags & FLAG_OBSERVED)}


def plain_frame(
    frame: Frame,
    wanted: Filter,
    *,
    rejected: BoolArray | None = None,
    bound: Mapping[int, int] | None = None,
    uuids: Mapping[int, bytes] | None = None,
) -> Plain:
    """Write a frame with its rows.

    Parameters
    ----------
    frame : Frame
    wanted : Filter
        Of rows.
    rejected : bool, shape (rows,), optional
    bound : mapping of int to int, optional
        Slot -> stream.
    uuids : mapping of int to bytes, optional
        Of the streams.

    Returns
    -------
    dict
        The envelope, and declarations, rows, notices.
    """
    bound, uuids = bound or {}, uuids or {}
    rows: list[Plain] = []
    number = 0

    def keep(slot: int, time: int, facts: Plain) -> None:
        stream = bound.get(slot)
        known = stream if stream is not None else -1
        if wanted.takes_time(time) and wanted.takes_stream(known, uuids.get(known)):
            head: Plain = {"row": number, "slot": slot, "stream": stream, "time": time}
            if rejected is not None and number < len(rejected) and rejected[number]:
                head["rejected"] = True
            rows.append(head | facts)

    for section in frame.samples:
        values = plain_column(section.value)
        columns = (section.slot.tolist(), section.timestamp_ns.tolist(), section.quality.tolist())
        for slot, time, quality, value in zip(*columns, values, strict=True):
            facts: Plain = {"quality": quality, "type": section.value.type.name, "value": value}
            keep(slot, time, facts)
            number += 1
    for part in frame.events:
        columns_of = [plain_column(column) for column in part.data]
        for row, time in enumerate(part.timestamp_ns.tolist()):
            held = [column[row] for column in columns_of]
            keep(part.slot, time, {"event_id": bytes(part.event_id[row]).hex(), "values": held})
            number += 1
    declared = [
        {
            "slot": d.slot,
            "kind": d.kind.name,
            "source": plain_value(d.source),
            "address": plain_value(d.address),
            "columns": schema_of(d.columns),
        }
        for d in frame.declarations
    ]
    notices = [{"notice": notice.kind, **notice.facts} for notice in frame.notices]
    told = plain_envelope(frame.envelope)
    return {**told, "declarations": declared, "rows": rows, "notices": notices}


def plain_stream(info: StreamInfo) -> Plain:
    """Write a stream.

    Parameters
    ----------
    info : StreamInfo

    Returns
    -------
    dict
    """
    facts = {name: getattr(info, name) for name in info.__dataclass_fields__}
    return {
        **facts,
        "uuid": info.uuid.hex(),
        "kind": info.kind.name,
        "columns": [[column.name, column.type.name] for column in info.columns],
    }


def plain_array(values: AnyColumn) -> list[object]:
    """Entries of an array of a table; 16-byte ids as hex.

    Parameters
    ----------
    values : array, shape (n,)

    Returns
    -------
    list
    """
    return [plain_value(value) for value in values.tolist()]
