"""Rows collected in arrival order, turned into batches: one per value type, one per event shape."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from storage_engine.sample import (
    DTYPES,
    EVENT_ID_DTYPE,
    Column,
    ColumnData,
    EventBatch,
    SampleBatch,
    ValueType,
)

_BLANK: dict[ValueType, Any] = {
    ValueType.FLOAT64: 0.0,
    ValueType.FLOAT32: 0.0,
    ValueType.INT64: 0,
    ValueType.UINT64: 0,
    ValueType.BOOL: False,
    ValueType.SYMBOL: "",
    ValueType.TEXT: "",
    ValueType.BYTES: b"",
}


def column_data(type_: ValueType, values: list[Any]) -> ColumnData:
    """Columns from Python values, None where null.

    Parameters
    ----------
    type_ : ValueType
    values : list
        Already of the type; None is null.
    """
    valid = None
    if None in values:
        valid = np.fromiter((v is not None for v in values), dtype=np.bool_, count=len(values))
        blank = _BLANK[type_]
        values = [blank if v is None else v for v in values]
    if DTYPES[type_] == np.dtype(np.object_):
        array = np.empty(len(values), dtype=np.object_)
        array[:] = values
        return ColumnData(type_, array, valid)
    return ColumnData(type_, np.array(values, dtype=DTYPES[type_]), valid)


@dataclass(slots=True)
class _SampleRows:
    addresses: dict[str, int] = field(default_factory=dict)
    index: list[int] = field(default_factory=list)
    timestamp_ns: list[int] = field(default_factory=list)
    quality: list[int] = field(default_factory=list)
    value: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class _EventRows:
    timestamp_ns: list[int] = field(default_factory=list)
    event_id: list[bytes] = field(default_factory=list)
    data: list[list[Any]] = field(default_factory=list)


class Rows:
    """Collects samples and events of many messages."""

    def __init__(self) -> None:
        self._samples: dict[ValueType, _SampleRows] = {}
        self._events: dict[tuple[str, tuple[Column, ...]], _EventRows] = {}
        self.count = 0

    def sample(
        self, type_: ValueType, address: str, timestamp_ns: int, quality: int, value: object
    ) -> None:
        """Add a sample; ``value`` is of the type, or None."""
        rows = self._samples.get(type_)
        if rows is None:
            rows = self._samples[type_] = _SampleRows()
        rows.index.append(rows.addresses.setdefault(address, len(rows.addresses)))
        rows.timestamp_ns.append(timestamp_ns)
        rows.quality.append(quality)
        rows.value.append(value)
        self.count += 1

    def samples(
        self,
        type_: ValueType,
        addresses: Sequence[str],
        timestamp_ns: Sequence[int],
        quality: Sequence[int],
        value: Sequence[object],
    ) -> None:
        """Add samples of one type, n of each; values are of the type, or None."""
        rows = self._samples.get(type_)
        if rows is None:
            rows = self._samples[type_] = _SampleRows()
        known = rows.addresses
        rows.index += [known.setdefault(address, len(known)) for address in addresses]
        rows.timestamp_ns += timestamp_ns
        rows.quality += quality
        rows.value += value
        self.count += len(addresses)

    def event(
        self,
        kind: str,
        columns: tuple[Column, ...],
        timestamp_ns: int,
        event_id: bytes,
        values: list[Any],
    ) -> None:
        """Add an event; ``values`` in the order of ``columns``, None is null."""
        rows = self._events.get((kind, columns))
        if rows is None:
            rows = self._events[kind, columns] = _EventRows(data=[[] for _ in columns])
        rows.timestamp_ns.append(timestamp_ns)
        rows.event_id.append(event_id)
        for column, value in zip(rows.data, values, strict=True):
            column.append(value)
        self.count += 1

    def take(self) -> tuple[SampleBatch | EventBatch, ...]:
        """Everything collected, as batches in arrival order per type; empty afterwards."""
        samples = tuple(_sample_batch(type_, rows) for type_, rows in self._samples.items())
        events = tuple(
            _event_batch(kind, columns, rows) for (kind, columns), rows in self._events.items()
        )
        self._samples, self._events, self.count = {}, {}, 0
        return samples + events


def _sample_batch(type_: ValueType, rows: _SampleRows) -> SampleBatch:
    return SampleBatch(
        tuple(rows.addresses),
        np.array(rows.index, dtype=np.int32),
        np.array(rows.timestamp_ns, dtype=np.int64),
        np.array(rows.quality, dtype=np.uint32),
        column_data(type_, rows.value),
    )


def _event_batch(kind: str, columns: tuple[Column, ...], rows: _EventRows) -> EventBatch:
    return EventBatch(
        kind,
        np.array(rows.timestamp_ns, dtype=np.int64),
        np.frombuffer(b"".join(rows.event_id), dtype=EVENT_ID_DTYPE),
        columns,
        tuple(
            column_data(column.type, values)
            for column, values in zip(columns, rows.data, strict=True)
        ),
    )
