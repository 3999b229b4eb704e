"""Samples and events written over HTTP: checked, framed by ourselves, durable when answered."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from historian.catalog_records import TagRecord
from historian.errors import Conflict, RequestInvalid
from historian.ingest_checks import Codes, check_times, check_values, fit, merge
from historian.ingest_events import normalise
from historian.ingest_log import Appending, IngestLog, Told, label, own_section, take, without
from historian.ingest_names import former_names
from historian.ingest_producer import SOURCE
from historian.ingest_receipts import WHOLE_SERIES, RowReject, SeriesInput, Why, WriteReceipt
from historian.quarantine import Row
from storage_engine.engine import Appended
from storage_engine.frame import Declaration, EventSection, SampleSection, SlotKind
from storage_engine.sample import (
    DTYPES,
    EVENT_ID_DTYPE,
    SERIES_VALUE,
    BoolArray,
    Column,
    ColumnData,
    EventBatch,
    ValueType,
)

_KEY_CHARACTERS_MAX = 200
_FRAME_ROWS = 20_000  # about 2 ms of appending
_ROW_BYTES = 24  # admission counts a row as time, quality, value and a little more


@dataclass(frozen=True, slots=True)
class _Fitted:
    """One series of a request in its tag's type."""

    index: int
    tag: TagRecord
    stream_id: int
    value: ColumnData
    codes: Codes | None


@dataclass(slots=True)
class _Rejects:
    """What a request could not store, for the receipt and for quarantine."""

    rows: list[tuple[int, int, Why, str]]  # series index, row or -1, why, sentence
    count: int = 0

    def add(self, series: int, row: int, why: Why, reason: str, rows: int = 1) -> None:
        self.rows.append((series, row, why, reason))
        self.count += rows


class Writes:
    """Takes what programs write over HTTP.

    Parameters
    ----------
    log : IngestLog
        The way into the engine.
    """

    def __init__(self, log: IngestLog) -> None:
        self._log = log

    async def put_samples(
        self, series: Sequence[SeriesInput], principal: str, idempotency_key: str | None
    ) -> WriteReceipt:
        """Store samples of many tags; see ``Ingest.put_samples``."""
        rows = _check_shape(series, self._log.config.rows_per_request_max)
        with self._log.admit(rows * _ROW_BYTES) as appending:
            rejects = _Rejects([])
            fitted = self._fit(series, rejects)
            sections, declarations = self._sections(series, fitted, rejects)
            stored = sum(len(section) for section in sections)
            key = None if idempotency_key is None else _key(idempotency_key, principal)
            lsn, duplicate = 0, False
            if key is not None and stored:
                once = (key, _digest_samples(series))
                lsn, duplicate, _ = _append(appending, once, declarations, sections, [])
            elif stored:
                lsn = await self._append_in_turns(appending, declarations, sections)
            told = [] if duplicate else self._quarantine(appending, series, rejects, principal)
            await self._log.settle(appending, lsn, told)
        newest = max((int(s.timestamp_ns.max()) for s in sections), default=None)
        self._count(principal, 0 if duplicate else stored, newest)
        listed = self._listed(series, rejects)
        renamed = former_names(self._log.catalog, series, self._log.metrics, label(principal))
        return WriteReceipt(stored, rejects.count, duplicate, lsn, listed, renamed)

    async def _append_in_turns(
        self,
        appending: Appending,
        declarations: Sequence[Declaration],
        sections: Sequence[SampleSection],
    ) -> int:
        """Append a large write as several frames, so that others get their turn in between."""
        lsn = 0
        for section in sections:
            for first in range(0, len(section), _FRAME_ROWS):
                part = _rows(section, slice(first, first + _FRAME_ROWS))
                lsn = _append(appending, None, declarations, [part], [])[0]
                if first + _FRAME_ROWS < len(section):
                    await self._log.clock.sleep(0)
        return lsn

    async def put_events(
        self, batch: EventBatch, principal: str, idempotency_key: str | None
    ) -> WriteReceipt:
        """Store events of one kind; see ``Ingest.put_events``."""
        count, most = len(batch), self._log.config.events_per_request_max
        if count > most:
            message = f"cannot write events: got {count} rows, want at most {most}"
            raise RequestInvalid(message, got=count, where="ingest.events_per_request_max")
        batch = normalise(batch)
        with self._log.admit(count * len(batch.columns) * _ROW_BYTES) as appending:
            codes = check_times(batch.timestamp_ns, self._log.accepted_times()) if count else None
            refused = [] if codes is None else np.flatnonzero(codes).tolist()
            rejects = _Rejects([])
            for row in refused:
                assert codes is not None
                why = Why(codes[row])
                rejects.add(0, row, why, why.sentence)
            kept = without(batch, refused)
            rows = [row for row in range(count) if row not in set(refused)] if refused else None
            key = None if idempotency_key is None else _key(idempotency_key, principal)
            lsn, duplicate = 0, False
            told: list[Told] = []
            if len(kept):
                section, declaration = own_section(appending.streams, kept)
                digest = _digest_events(batch) if key else 0
                once = None if key is None else (key, digest)
                lsn, duplicate, appended = _append(appending, once, [declaration], [], [section])
                conflicts = () if appended is None else appended.conflicts
                for row in conflicts:
                    at = row if rows is None else rows[row]
                    rejects.add(0, at, Why.EVENT_CONFLICT, Why.EVENT_CONFLICT.sentence)
                fresh = without(kept, conflicts)
                told = [] if duplicate or not len(fresh) else [(batch.kind, fresh, lsn)]
            if not duplicate:
                told += self._quarantine(appending, [batch], rejects, principal)
            await self._log.settle(appending, lsn, told)
        stored = count - rejects.count
        newest = int(kept.timestamp_ns.max()) if len(kept) else None
        self._count(principal, 0 if duplicate else stored, newest)
        return WriteReceipt(stored, rejects.count, duplicate, lsn, self._listed([batch], rejects))

    def _fit(self, series: Sequence[SeriesInput], rejects: _Rejects) -> list[_Fitted]:
        """Find each tag and bring its values into the tag's type."""
        fitted = []
        for index, one in enumerate(series):
            count = len(one.timestamp_ns)
            if not count:
                continue
            tag = self._log.catalog.find(one.tag)
            if tag is None:
                reason = f"no tag is named {one.tag!r}"
                rejects.add(index, WHOLE_SERIES, Why.NO_TAG, reason, count)
                continue
            result = fit(one.value, tag.type)
            if result is None:
                got, want = one.value.type.name.lower(), tag.type.name.lower()
                reason = f"the values are {got}, the tag holds {want}"
                rejects.add(index, WHOLE_SERIES, Why.WRONG_TYPE, reason, count)
                continue
            fitted.append(_Fitted(index, tag, tag.series[-1].stream_id, *result))
        return fitted

    def _sections(
        self, series: Sequence[SeriesInput], fitted: Sequence[_Fitted], rejects: _Rejects
    ) -> tuple[list[SampleSection], list[Declaration]]:
        """Join the series by type, and leave out the rows that may not be stored."""
        by_type: dict[ValueType, list[_Fitted]] = {}
        for one in fitted:
            by_type.setdefault(one.tag.type, []).append(one)
        accepted = self._log.accepted_times()
        sections = []
        for type_, group in by_type.items():
            inputs = [series[one.index] for one in group]
            lengths = [len(one.timestamp_ns) for one in inputs]
            time = np.concatenate([one.timestamp_ns for one in inputs])
            quality = np.concatenate([one.quality for one in inputs])
            value = _join(type_, [one.value for one in group])
            slot = np.repeat(np.array([one.stream_id for one in group], np.uint32), lengths)
            codes = check_values(value, quality)
            if not accepted.holds(int(time.min()), int(time.max())):
                codes = merge(codes, check_times(time, accepted))
            if any(one.codes is not None for one in group):
                parts = [
                    np.zeros(n, np.uint8) if one.codes is None else one.codes
                    for one, n in zip(group, lengths, strict=True)
                ]
                codes = merge(np.concatenate(parts), codes)
            section = SampleSection(slot, time, quality, value)
            if codes is not None and codes.any():
                _name_rejects(group, lengths, codes, rejects)
                section = _rows(section, codes == 0)
            if len(section):
                sections.append(section)
        return sections, [_declaration(one) for one in _distinct(fitted)]

    def _quarantine(
        self,
        appending: Appending,
        series: Sequence[SeriesInput | EventBatch],
        rejects: _Rejects,
        principal: str,
    ) -> list[Told]:
        """Count what was rejected, and keep it as far as the bound allows."""
        if not rejects.rows:
            return []
        log, source = self._log, label(principal)
        counts: Counter[Why] = Counter()
        for index, row, why, _ in rejects.rows:
            counts[why] += len(series[index]) if row == WHOLE_SERIES else 1
        for why, count in counts.items():
            log.metrics.rejected(source, why.word, count)
        allowed = log.quarantine.allow(source, len(rejects.rows))
        kept: list[Row] = []
        now_ns = log.clock.now_ns()
        for index, row, _, reason in rejects.rows[
            : min(allowed, log.config.quarantine_rows_per_request_max)
        ]:
            one = series[index]
            address = one.kind if isinstance(one, EventBatch) else one.tag
            key = f"{appending.own.id.hex()}/{now_ns}/{index}/{row}/{len(kept)}"
            kept.append(log.quarantine.row(key, source, address, reason, _payload(one, row)))
        return log.write_events(appending, "quarantine", kept)

    def _count(self, principal: str, stored: int, newest_ns: int | None) -> None:
        if stored and newest_ns is not None:
            lag_s = (self._log.clock.now_ns() - newest_ns) / 1e9
            self._log.metrics.stored(label(principal), stored, lag_s)

    def _listed(
        self, series: Sequence[SeriesInput | EventBatch], rejects: _Rejects
    ) -> tuple[RowReject, ...]:
        names = [one.kind if isinstance(one, EventBatch) else one.tag for one in series]
        most = self._log.config.rejects_listed_max
        return tuple(
            RowReject(names[index], row, reason) for index, row, _, reason in rejects.rows[:most]
        )


def _append(
    appending: Appending,
    once: tuple[bytes, int] | None,
    declarations: Sequence[Declaration],
    samples: Sequence[SampleSection],
    events: Sequence[EventSection],
) -> tuple[int, bool, Appended | None]:
    """Append once: the lsn to wait for, whether it was there before, and the engine's answer."""
    if once is None:
        appended = appending.own.append(declarations, samples, events)
        return appended.lsn, False, appended
    key, digest = once
    before = appending.engine.producer(key)
    if before is not None:
        if before.epoch != digest:
            message = "cannot write: got an idempotency key of another request, want a new one"
            raise Conflict(message, where="idempotency key")
        return before.lsn, True, None
    appended = appending.own.append_once(key, digest, declarations, samples, events)
    return appended.lsn, appended.duplicate, appended


def _check_shape(series: Sequence[SeriesInput], rows_max: int) -> int:
    """Refuse columns of unequal length or wrong dtype, and too many rows; return the rows."""
    rows = 0
    for one in series:
        count = len(one.timestamp_ns)
        rows += count
        if len(one.quality) != count or len(one.value) != count:
            got = f"{count} times, {len(one.quality)} qualities, {len(one.value)} values"
            message = f"cannot write samples: got {got}, want as many of each, at {one.tag!r}"
            raise RequestInvalid(message, got=got, where=one.tag)
        if one.timestamp_ns.dtype != np.int64 or one.quality.dtype != np.uint32:
            got = f"{one.timestamp_ns.dtype} times, {one.quality.dtype} qualities"
            message = f"cannot write samples: got {got}, want int64 and uint32, at {one.tag!r}"
            raise RequestInvalid(message, got=got, where=one.tag)
    if rows > rows_max:
        message = f"cannot write samples: got {rows} rows, want at most {rows_max}"
        raise RequestInvalid(message, got=rows, where="ingest.rows_per_request_max")
    return rows


def _join(type_: ValueType, parts: Sequence[ColumnData]) -> ColumnData:
    value: Any = np.concatenate([part.value for part in parts])
    valid = None
    if any(part.valid is not None for part in parts):
        valid = np.concatenate(
            [np.ones(len(p), np.bool_) if p.valid is None else p.valid for p in parts]
        )
    return ColumnData(type_, value.astype(DTYPES[type_], copy=False), valid)


def _rows(section: SampleSection, keep: slice | BoolArray) -> SampleSection:
    value = section.value
    valid = None if value.valid is None else value.valid[keep]
    return SampleSection(
        section.slot[keep],
        section.timestamp_ns[keep],
        section.quality[keep],
        ColumnData(value.type, value.value[keep], valid),
    )


def _name_rejects(
    group: Sequence[_Fitted], lengths: Sequence[int], codes: Codes, rejects: _Rejects
) -> None:
    ends = np.cumsum(lengths)
    for row in np.flatnonzero(codes).tolist():
        at = int(np.searchsorted(ends, row, side="right"))
        why = Why(codes[row])
        rejects.add(group[at].index, row - int(ends[at]) + lengths[at], why, why.sentence)


def _distinct(fitted: Sequence[_Fitted]) -> list[_Fitted]:
    return list({one.stream_id: one for one in fitted}.values())


def _declaration(one: _Fitted) -> Declaration:
    columns = (Column(SERIES_VALUE, one.tag.type),)
    return Declaration(one.stream_id, SlotKind.SERIES, SOURCE, one.tag.name, columns)


def _payload(one: SeriesInput | EventBatch, row: int) -> dict[str, object]:
    if isinstance(one, EventBatch):
        content = take(one, [row])
        columns = {
            c.name: d.objects()[0] for c, d in zip(content.columns, content.data, strict=True)
        }
        facts = {name: value for name, value in columns.items() if value is not None}
        event_id = one.event_id.view(EVENT_ID_DTYPE)[row].tobytes().hex()
        return {"time_ns": int(one.timestamp_ns[row]), "id": event_id, **facts}
    rows = len(one.timestamp_ns)
    first = 0 if row == WHOLE_SERIES else row
    valid = one.value.valid
    value = one.value.value[first : first + 1].tolist()[0]
    if valid is not None and not valid[first]:
        value = None
    sample = {"time_ns": int(one.timestamp_ns[first]), "value": _plain(value)}
    sample["quality"] = int(one.quality[first])
    return {"rows": rows, "first": sample} if row == WHOLE_SERIES else sample


def _plain(value: object) -> object:
    return repr(value) if isinstance(value, float) and not np.isfinite(value) else value


def _key(idempotency_key: str, principal: str) -> bytes:
    """Return the producer id that an idempotency key of a principal stands for."""
    if not 0 < len(idempotency_key) <= _KEY_CHARACTERS_MAX:
        got = f"{len(idempotency_key)} characters"
        message = f"cannot write: got an idempotency key of {got}, want 1 to {_KEY_CHARACTERS_MAX}"
        raise RequestInvalid(message, got=got, where="idempotency key")
    text = f"{principal}\x00{idempotency_key}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=16, person=b"lh-once").digest()


def _digest_samples(series: Sequence[SeriesInput]) -> int:
    digest = hashlib.blake2b(digest_size=8, person=b"lh-samples")
    for one in series:
        _feed(digest, one.tag.encode("utf-8", "surrogatepass"))
        _feed(digest, one.timestamp_ns.tobytes())
        _feed(digest, one.quality.tobytes())
        _feed_column(digest, one.value)
    return int.from_bytes(digest.digest(), "little")


def _digest_events(batch: EventBatch) -> int:
    digest = hashlib.blake2b(digest_size=8, person=b"lh-events")
    _feed(digest, batch.kind.encode())
    _feed(digest, batch.timestamp_ns.tobytes())
    _feed(digest, batch.event_id.tobytes())
    for column in batch.data:
        _feed_column(digest, column)
    return int.from_bytes(digest.digest(), "little")


def _feed_column(digest: hashlib.blake2b, column: ColumnData) -> None:
    if column.value.dtype == np.object_:
        _feed(digest, repr(column.objects()).encode("utf-8", "surrogatepass"))
    else:
        _feed(digest, column.value.tobytes())
        _feed(digest, b"" if column.valid is None else column.valid.tobytes())


def _feed(digest: hashlib.blake2b, data: bytes) -> None:
    """Add one part with its length, so that no two requests read alike."""
    digest.update(len(data).to_bytes(8, "little"))
    digest.update(data)
