"""Rows as a file has them to rows of tags and of event kinds: typed, timed, refused one by one."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from historian.errors import RequestInvalid
from historian.transfer.mapping import Mapping
from historian.transfer.rows import Cells, Chunk, RawChunk, Reject, row_text
from historian.transfer.texts import STRINGS, Bad, column_of
from historian.transfer.times import NS_PER_UNIT, TimeForm, parse_times
from storage_engine.columns import null_column, take_column
from storage_engine.sample import (
    BAD,
    DTYPES,
    EVENT_ID_DTYPE,
    GOOD,
    UNCERTAIN,
    AnyArray,
    Column,
    ColumnData,
    EventBatch,
    Int64Array,
    SampleBatch,
    UInt32Array,
    ValueType,
)

_WORDS = {"good": GOOD, "uncertain": UNCERTAIN, "bad": BAD, "": GOOD}


class Gate(Protocol):
    """Who says what may come in."""

    def type_of(self, tag: str) -> ValueType | None:
        """Type of a tag that exists."""
        ...

    def refuse(self, tag: str, type_: ValueType) -> str:
        """Why rows of a tag and type cannot come in; empty when they have a stream."""
        ...

    def refused_times(self, timestamp_ns: Int64Array) -> Bad:
        """Rows that lie outside what the store takes, and why."""
        ...


class SampleTyper:
    """Rows of samples, by a mapping.

    Parameters
    ----------
    mapping : Mapping
    gate : Gate
        Knows types of tags, and which rows may come in.
    ours : bool
        Written by our export: strings have our escapes.
    only : ValueType, optional
        Type of every row, whatever the tag says: the export's manifest knows.
    """

    def __init__(
        self,
        mapping: Mapping,
        gate: Gate,
        *,
        ours: bool = False,
        only: ValueType | None = None,
    ) -> None:
        self._map = mapping
        self._gate = gate
        self._ours = ours
        self._only = only

    def take(self, raw: RawChunk) -> Chunk:
        """Type the rows of a chunk.

        Raises
        ------
        RequestInvalid
            When the file lacks a column that the mapping names.
        """
        bad: Bad = {}
        times, late = times_of(self._cells(raw, self._map.timestamp), self._map.time)
        bad.update(late)
        bad.update(self._gate.refused_times(times))
        if self._map.layout == "wide":
            batches = self._wide(raw, times, bad)
        else:
            batches = self._long(raw, times, bad)
        return Chunk(batches, [], raw.consumed, [*raw.rejects, *_rejects(raw, bad)])

    def _cells(self, raw: RawChunk, name: str) -> Cells:
        cells = raw.columns.get(name)
        if cells is None:
            message = f"cannot import: got columns {sorted(raw.columns)[:20]}, want {name!r}"
            raise RequestInvalid(message, got=sorted(raw.columns)[:20], want=name, where="map")
        return cells

    def _qualities(self, raw: RawChunk, bad: Bad) -> UInt32Array | None:
        cells = raw.columns.get(self._map.quality)
        if cells is None:
            return None
        if isinstance(cells, ColumnData):
            found, wrong = _converted(cells, ValueType.INT64)
            codes: Int64Array = np.asarray(found.value, np.int64)
            bad.update(wrong)
        else:
            column, wrong = column_of(ValueType.INT64, cells)
            codes = np.array(column.value, np.int64)
            for row in wrong if column.valid is None else np.flatnonzero(~column.valid).tolist():
                try:
                    codes[row] = _quality(cells[row])
                except ValueError as error:
                    bad[row] = str(error)
        outside = (codes < 0) | (codes >= 1 << 32)
        for row in np.flatnonzero(outside).tolist():
            bad[row] = f"got quality {codes[row]}, want a status code of 32 bits"
        return np.where(outside, 0, codes).astype(np.uint32)

    def _long(self, raw: RawChunk, times: Int64Array, bad: Bad) -> list[SampleBatch]:
        count = len(times)
        quality = self._qualities(raw, bad)
        values = self._cells(raw, self._map.value)
        names, codes = self._tags(raw, count, bad)
        types = np.array([self._choose(name, values) for name in names], np.uint8)
        self._refuse(names, codes, types, bad)
        batches = []
        for number in np.unique(types).tolist():
            every = len(names) == int((types == number).sum())
            rows = np.arange(count) if every else np.flatnonzero((types == number)[codes])
            column, wrong = self._values(values, ValueType(number), None if every else rows)
            bad.update({int(rows[row]): why for row, why in wrong.items()})
            batches.append((rows, column))
        out = []
        refused = np.array(sorted(bad), np.intp)
        for rows, column in batches:
            good = slice(None) if not len(refused) else ~np.isin(rows, refused)
            kept, column = rows[good], take_column(column, good)  # noqa: PLW2901
            if len(kept):
                codes_kept = self._quality_of(quality, kept, column)
                index = codes[kept].astype(np.int32)
                out.append(SampleBatch(names, index, times[kept], codes_kept, column))
        return out

    def _refuse(
        self, names: Sequence[str], codes: AnyArray, types: npt.NDArray[np.uint8], bad: Bad
    ) -> None:
        unsound = set(codes[list(bad)].tolist()) if bad else set()
        for code, (name, number) in enumerate(zip(names, types.tolist(), strict=True)):
            if code in unsound and bool(np.isin(np.flatnonzero(codes == code), list(bad)).all()):
                continue  # no row of it is left
            why = self._gate.refuse(name, ValueType(number))
            if why:
                bad.update(dict.fromkeys(np.flatnonzero(codes == code).tolist(), why))

    def _tags(
        self, raw: RawChunk, count: int, bad: Bad
    ) -> tuple[tuple[str, ...], npt.NDArray[np.int32]]:
        if self._map.name:
            return (self._map.prefix + self._map.name,), np.zeros(count, np.int32)
        cells = self._cells(raw, self._map.tag)
        texts = list(map(str, cells.objects())) if isinstance(cells, ColumnData) else cells
        known, codes = _coded(texts)
        unsound = {t for t in known if not t or _surrogate(t)}
        if unsound:
            refused = np.isin(codes, [known[t] for t in unsound])
            bad.update(dict.fromkeys(np.flatnonzero(refused).tolist(), "got no name of a tag"))
        return tuple(self._map.prefix + name for name in known), codes

    def _choose(self, tag: str, cells: Cells) -> ValueType:
        if self._only is not None:
            return self._only
        known = self._map.types.get(tag) or self._gate.type_of(tag) or self._map.type
        if known is None and isinstance(cells, ColumnData):
            known = cells.type
        return known or ValueType.FLOAT64

    def _values(
        self, cells: Cells, type_: ValueType, rows: AnyArray | None
    ) -> tuple[ColumnData, Bad]:
        if isinstance(cells, ColumnData):
            part = cells if rows is None else take_column(cells, np.asarray(rows, np.intp))
            if part.type is type_:
                return part, {}
            return _converted(part, type_)
        texts: Sequence[str] = cells if rows is None else [cells[r] for r in rows.tolist()]
        if self._map.decimal != "." and type_ in (ValueType.FLOAT64, ValueType.FLOAT32):
            texts = [t.replace(self._map.decimal, ".") for t in texts]
        return column_of(type_, texts, ours=self._ours, nulls=self._map.nulls)

    def _quality_of(
        self, quality: UInt32Array | None, rows: AnyArray, column: ColumnData
    ) -> UInt32Array:
        if quality is not None:
            return quality[np.asarray(rows, np.intp)]
        out = np.zeros(len(rows), np.uint32)
        if column.valid is not None:
            out[~column.valid] = self._map.null_quality
        return out

    def _wide(self, raw: RawChunk, times: Int64Array, bad: Bad) -> list[SampleBatch]:
        """Every column a tag; an empty cell is no sample, and a bad one spoils no other."""
        chosen = self._map.columns or {
            name: name for name in raw.columns if name != self._map.timestamp
        }
        here = np.ones(len(times), np.bool_)
        here[list(bad)] = False
        out = []
        for name, tag in chosen.items():
            cells = self._cells(raw, name)
            full = self._map.prefix + tag
            type_ = self._choose(full, cells)
            taken = here & _given(cells)
            why = self._gate.refuse(full, type_) if taken.any() else ""
            if why:
                bad.update(dict.fromkeys(np.flatnonzero(taken).tolist(), why))
                continue
            column, wrong = self._values(cells, type_, None)
            taken[list(wrong)] = False
            bad.update({row: f"column {name!r}: {why}" for row, why in wrong.items()})
            rows = np.flatnonzero(taken)
            if len(rows):
                column = take_column(column, rows)
                quality = self._quality_of(None, rows, column)
                index = np.zeros(len(rows), np.int32)
                out.append(SampleBatch((full,), index, times[rows], quality, column))
        return out


def _coded(texts: Sequence[str]) -> tuple[dict[str, int], npt.NDArray[np.int32]]:
    """Number the distinct texts, in order; rows of one text often follow each other."""
    held = np.empty(len(texts), np.object_)
    held[:] = texts
    if not len(held):
        return {}, np.zeros(0, np.int32)
    starts = np.concatenate(([0], np.flatnonzero(held[1:] != held[:-1]) + 1))
    known: dict[str, int] = {}
    codes = [known.setdefault(text, len(known)) for text in held[starts].tolist()]
    return known, np.repeat(np.array(codes, np.int32), np.diff(np.append(starts, len(held))))


def times_of(cells: Cells, form: TimeForm) -> tuple[Int64Array, Bad]:
    """Nanoseconds UTC of a column of times, and why some rows have none."""
    if not isinstance(cells, ColumnData):
        return parse_times(cells, form)
    if cells.type is not ValueType.INT64:
        strings = cells.type in STRINGS
        texts = [str(v) if strings else repr(v) for v in cells.value.tolist()]
        return parse_times(texts, form)
    factor = NS_PER_UNIT[form.unit]
    times: Int64Array = np.asarray(cells.value, np.int64)
    wrong = np.abs(times) > (2**63 - 2) // factor
    if cells.valid is not None:
        wrong |= ~cells.valid
    bad = dict.fromkeys(np.flatnonzero(wrong).tolist(), "got no time that fits 64 bits")
    return np.where(wrong, 0, times) * factor, bad


def _surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)


def _quality(text: str) -> int:
    """Status code of a text that is no plain decimal number."""
    word = text.strip().lower()
    if word in _WORDS:
        return _WORDS[word]
    try:
        return int(word, 0)
    except ValueError:
        raise ValueError(f"got quality {text[:64]!r}, want a status code, good or bad") from None


def _given(cells: Cells) -> npt.NDArray[np.bool_]:
    if isinstance(cells, ColumnData):
        return np.ones(len(cells), np.bool_) if cells.valid is None else cells.valid
    return np.array([bool(text) for text in cells], np.bool_)


def _converted(column: ColumnData, type_: ValueType) -> tuple[ColumnData, Bad]:
    """The column in another type, where that keeps every value exactly."""
    if column.type in STRINGS and type_ in STRINGS:
        return ColumnData(type_, column.value, column.valid), {}
    if column.type in STRINGS:
        texts = ["" if v is None else str(v) for v in column.objects()]
        return column_of(type_, texts)
    if type_ in (*STRINGS, ValueType.BYTES) or column.type is ValueType.BYTES:
        held = np.flatnonzero(_given(column)).tolist()
        want = f"got {column.type.name.lower()}, want {type_.name.lower()}"
        return null_column(type_, len(column)), dict.fromkeys(held, want)
    with np.errstate(all="ignore"):
        value = column.value.astype(DTYPES[type_])
        back = value.astype(column.value.dtype)
    same = back == column.value
    if column.value.dtype.kind == "f":
        same |= np.isnan(column.value) & np.isnan(back)
        if value.dtype.kind == "f" and value.dtype.itemsize < column.value.dtype.itemsize:
            same |= np.isfinite(value)  # rounded to what 32 bits hold, as any reader of them does
    wrong = ~same & _given(column)
    why = f"got a value that {type_.name.lower()} cannot hold"
    return ColumnData(type_, value, column.valid), dict.fromkeys(
        np.flatnonzero(wrong).tolist(), why
    )


def _rejects(raw: RawChunk, bad: Bad) -> list[Reject]:
    return [
        Reject(int(raw.lines[row]), why, row_text(raw.columns, row))
        for row, why in sorted(bad.items())
    ]


def take_events(
    kind: str, columns: Sequence[Column], raw: RawChunk, mapping: Mapping, gate: Gate
) -> Chunk:
    """Rows of one kind of events, in the layout of our export.

    Parameters
    ----------
    kind : str
    columns : sequence of Column
        All of the kind.
    raw : RawChunk
        Columns ``timestamp``, ``id``, and any of the kind's.
    mapping : Mapping
        Of times.
    gate : Gate

    Raises
    ------
    RequestInvalid
        A column is missing, or is none of the kind's.
    """
    names = [column.name for column in columns]
    unknown = sorted(set(raw.columns) - {"timestamp", "id", *names})
    missing = sorted({"timestamp", "id"} - set(raw.columns))
    if unknown or missing:
        message = f"cannot import events {kind!r}: got columns {unknown}, and no {missing}"
        raise RequestInvalid(message, got=unknown, want=["timestamp", "id", *names], where=kind)
    times, bad = times_of(raw.columns["timestamp"], mapping.time)
    bad.update(gate.refused_times(times))
    ids, wrong = _ids(raw.columns["id"])
    bad.update(wrong)
    data = []
    for column in columns:
        cells = raw.columns.get(column.name)
        if cells is None:
            data.append(null_column(column.type, len(times)))
            continue
        if isinstance(cells, ColumnData):
            same = cells.type is column.type
            typed, wrong = (cells, {}) if same else _converted(cells, column.type)
        else:
            typed, wrong = column_of(column.type, cells)
        bad.update(wrong)
        data.append(typed)
    good = np.ones(len(times), np.bool_)
    good[list(bad)] = False
    if not good.all():
        data = [take_column(column, good) for column in data]
        times, ids = times[good], ids[good]
    events = [EventBatch(kind, times, ids, tuple(columns), tuple(data))] if len(times) else []
    return Chunk([], events, raw.consumed, [*raw.rejects, *_rejects(raw, bad)])


def _ids(cells: Cells) -> tuple[npt.NDArray[np.void], Bad]:
    bad: Bad = {}
    found = cells.objects() if isinstance(cells, ColumnData) else cells
    out = np.zeros(len(found), EVENT_ID_DTYPE)
    for row, one in enumerate(found):
        try:
            raw = bytes.fromhex(one) if isinstance(one, str) else one
        except ValueError:
            raw = b""
        if isinstance(raw, bytes) and len(raw) == 16:
            out[row] = raw
        else:
            bad[row] = "got no id, want 32 hex digits"
    return out, bad
