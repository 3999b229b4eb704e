"""The reading side of the engine. A read never waits for a flush, an fsync or a writer's disk."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from storage_engine.changes import CHANGES_UUID, Verb
from storage_engine.columns import STRINGS
from storage_engine.engine_core import TIME_MAX, TIME_MIN, EngineCore
from storage_engine.engine_types import LatestSamples
from storage_engine.errors import InvalidArgument
from storage_engine.frame import SlotKind
from storage_engine.latest import settle, values_by_type
from storage_engine.newest import DOUBTFUL, PRESENT, STALE
from storage_engine.reads import Window, read_events, read_samples
from storage_engine.recent_reads import Asked, read_recent, touched
from storage_engine.sample import EventColumns, Int64Array, SampleColumns
from storage_engine.segment.layout import SegmentInfo
from storage_engine.state import View
from storage_engine.streams import EVENTS_TYPE, Duplicates, get_stream


@dataclass(frozen=True, slots=True)
class _Trail:
    """Changes in the order they were made; words: start, end, who, why, what else."""

    verb: Sequence[Any]
    stream: Sequence[Any]
    words: Sequence[tuple[Any, ...]]


class ReadSide(EngineCore):
    """What readers call. Every window is half-open; only durable rows are seen."""

    _known_trail: tuple[tuple[object, ...], _Trail] = ((), _Trail((), (), ()))

    def _view(self, stream_id: int, kind: SlotKind) -> View:
        with self._lock:
            self._check_open("read")
            info = get_stream(self._state.streams.by_id, stream_id)
            if info.kind is not kind:
                raise InvalidArgument(
                    f"cannot read stream {stream_id}: got {info.kind.name}, want {kind.name}",
                    stream_id=stream_id,
                )
            self._drain()
            return self._state.view(info)

    def read(
        self,
        series_id: int,
        start_ns: int,
        end_ns: int,
        *,
        all_revisions: bool = False,
        known_at_lsn: int | None = None,
        max_count: int | None = None,
        backward: bool = False,
        distinct: bool = False,
    ) -> SampleColumns:
        """Samples with start <= time < end.

        Parameters
        ----------
        series_id : int
        start_ns, end_ns : int
            Nanoseconds UTC.
        all_revisions : bool
            Every kept revision, in (time, lsn) order, instead of the newest per time.
        known_at_lsn : int, optional
            As if nothing behind this lsn had been written.
        max_count : int, optional
            At most so many rows, from the side the read starts at.
        backward : bool
            Descending.
        distinct : bool
            One row per time, the last, also of a series whose rule is to give all.

        Returns
        -------
        SampleColumns

        Raises
        ------
        InvalidArgument
            Unknown series, or a negative count.
        EngineClosed

        Notes
        -----
        Rows of a damaged block are missing: ``damage`` of the answer names it, and so does
        :meth:`Engine.findings`.
        """
        if max_count is not None and max_count < 0:
            raise InvalidArgument(f"cannot read: got max_count {max_count}, want >= 0")
        view = self._view(series_id, SlotKind.SERIES)
        window = Window(start_ns, end_ns, known_at_lsn, max_count, backward)
        rule = view.info.duplicates
        if all_revisions:
            rule = Duplicates.ALL
        elif distinct and rule is Duplicates.ALL:
            rule = Duplicates.LAST
        return read_samples(self._reader, view, window, rule)

    def read_recent(
        self, series_ids: Sequence[int], start_ns: int, end_ns: int
    ) -> list[SampleColumns | None]:
        """Samples of many series with start <= time < end, as :meth:`read` gives them.

        None for a series of which the heads alone do not tell it all, or not in order: it has rows
        in segments there, late or repeated ones, deletions, texts, or a rule of its own.

        Raises
        ------
        InvalidArgument
            Unknown series.
        EngineClosed
        """
        ids = np.asarray(series_ids, np.int64).reshape(-1)
        with self._lock:
            self._check_open("read")
            self._drain()
            state = self._state
            infos = [get_stream(state.streams.by_id, one) for one in ids.tolist()]
            heads = (*(frozen.head for frozen in state.frozen), state.front)
            chains = [head.capture_many(ids) for head in heads]
            segments, stones = state.live.current, state.tombstones
        alone = [
            info.kind is SlotKind.SERIES
            and info.duplicates is Duplicates.LAST
            and info.value_type not in STRINGS
            and not stones.of(info.id)
            for info in infos
        ]
        for segment in segments:
            if segment.first < end_ns and segment.last >= start_ns:
                self._leave_out(segment, ids, alone, start_ns, end_ns)
        types = [info.value_type for info in infos]
        return read_recent(chains, Asked(types, np.array(alone, np.bool_), start_ns, end_ns))

    def _leave_out(
        self, segment: SegmentInfo, ids: Int64Array, alone: list[bool], start_ns: int, end_ns: int
    ) -> None:
        """Series of which a segment has rows in a window are not in heads alone."""
        directory = self._reader.directory_for_reads(segment)
        whole = directory is not None and not directory.rows_missing
        for place, one in enumerate(ids.tolist()):
            if not alone[place]:
                continue
            if directory is None or not whole:
                alone[place] = False
                continue
            runs = directory.runs_of(one)
            if runs.start < runs.stop:
                first, last = (
                    directory.table[name][runs.start : runs.stop]
                    for name in ("run_first", "run_last")
                )
                alone[place] = not touched(first, last, start_ns, end_ns)

    def keeps_all(self, series_ids: Sequence[int]) -> bool:
        """Whether a plain read of one of the series gives every revision of a time."""
        known = self._state.streams.by_id
        infos = (known.get(series_id) for series_id in series_ids)
        return any(info is not None and info.duplicates is Duplicates.ALL for info in infos)

    def previous(self, series_id: int, time_ns: int, *, inclusive: bool = False) -> SampleColumns:
        """Find the last sample before ``time_ns`` (at or before, if inclusive): 0 or 1 row."""
        end_ns = min(time_ns + 1, TIME_MAX) if inclusive else time_ns
        return self.read(series_id, TIME_MIN, end_ns, max_count=1, backward=True)

    def next(self, series_id: int, time_ns: int, *, inclusive: bool = False) -> SampleColumns:
        """Find the first sample after ``time_ns`` (at or after, if inclusive): 0 or 1 row."""
        start_ns = time_ns if inclusive else min(time_ns + 1, TIME_MAX)
        return self.read(series_id, start_ns, TIME_MAX, max_count=1)

    def latest(self, series_ids: Sequence[int]) -> LatestSamples:
        """Newest sample of each series, by time; older times never move it.

        Parameters
        ----------
        series_ids : sequence of int

        Returns
        -------
        LatestSamples
            In the order asked for.

        Raises
        ------
        InvalidArgument
            For an unknown id or one of an event stream.
        EngineClosed
        """
        ids = np.asarray(series_ids, np.int64).reshape(-1)
        with self._lock:
            self._check_open("read latest")
            self._drain()
            state = self._state
            end = state.streams.id_end
            inside = (ids >= 0) & (ids < end)
            types = state.streams.types[np.where(inside, ids, 0)]
            wrong = ~inside | (types == 0) | (types == EVENTS_TYPE)
            if wrong.any():
                bad = int(ids[wrong][0])
                raise InvalidArgument(
                    f"cannot read latest: got stream {bad}, want a known series", stream_id=bad
                )
            state.newest.grow(end)
            newest, texts = state.newest.take(ids), state.front.texts
        values = values_by_type(newest, types, texts)
        present = (newest.flags & PRESENT) != 0
        for place in np.flatnonzero(newest.flags & (DOUBTFUL | STALE)).tolist():
            rows = self._newest_by_read(int(ids[place]))
            present[place] = len(rows) > 0
            if len(rows):
                newest.time[place], newest.quality[place] = rows.timestamp_ns[0], rows.quality[0]
                values[place] = rows.value.objects()[0]
        return LatestSamples(present, newest.time, newest.quality, values)

    def _newest_by_read(self, stream_id: int) -> SampleColumns:
        """Newest sample as a read finds it; remembered unless rows came or went meanwhile."""
        state = self._state
        with self._lock:
            self._drain()
            before = self._seen(stream_id)
        rows = self.read(stream_id, TIME_MIN, TIME_MAX, max_count=1, backward=True)
        with self._lock:
            if self._seen(stream_id) == before and not rows.damage:
                settle(state.newest, stream_id, state.front, rows)
        return rows

    def _seen(self, stream_id: int) -> tuple[object, ...]:
        """What changes when rows of a stream come or go; the lock is held."""
        state = self._state
        captured = state.front.capture(stream_id)
        stones = state.tombstones.of(stream_id)
        rows = (captured.count, len(captured.events))
        return (captured.head, rows, state.live.current, stones)

    def read_events(
        self,
        stream_id: int,
        start_ns: int,
        end_ns: int,
        *,
        columns: Sequence[str] | None = None,
        known_at_lsn: int | None = None,
        conflicts: bool = False,
    ) -> EventColumns:
        """Events with start <= time < end in (time, id) order, one per key.

        Parameters
        ----------
        stream_id : int
        start_ns, end_ns : int
            Nanoseconds UTC.
        columns : sequence of str, optional
            Names to give; all by default.
        known_at_lsn : int, optional
        conflicts : bool
            Also give later events of a known key with other content, behind the first.

        Returns
        -------
        EventColumns

        Raises
        ------
        InvalidArgument
            Unknown stream or column.
        EngineClosed
        """
        view = self._view(stream_id, SlotKind.EVENTS)
        window = Window(start_ns, end_ns, known_at_lsn)
        return read_events(self._reader, view, window, columns=columns, conflicts=conflicts)

    def record_time_ns(self, lsn: int) -> int:
        """When an lsn was recorded, early by less than the table's step; 0 for an empty store."""
        return self._state.times.time_of(lsn)

    def lsn_at(self, record_time_ns: int) -> int:
        """Last lsn recorded at or before a time, late by less than the table's step; 0 for none."""
        with self._lock:
            self._drain()
            return self._state.times.lsn_at(record_time_ns, self._state.applied_lsn)

    def annotations(
        self, series_ids: Sequence[int], *, known_at_lsn: int | None = None
    ) -> Int64Array:
        """Starts of the annotated windows of series, from the trail of changes.

        Parameters
        ----------
        series_ids : sequence of int
            Of one tag: an annotation of it is recorded for each of its series and counts once.
        known_at_lsn : int, optional

        Returns
        -------
        int64, shape (n,)
            Ascending; nanoseconds UTC.
        """
        trail = self._trail(known_at_lsn)
        said: dict[object, Counter[tuple[int, ...]]] = {}
        for verb, stream, words in zip(trail.verb, trail.stream, trail.words, strict=True):
            if verb == Verb.ANNOTATE and stream in series_ids:
                said.setdefault(stream, Counter())[words] += 1
        told: Counter[tuple[int, ...]] = Counter()
        for each in said.values():
            told |= each
        return np.array(sorted(words[0] for words in told.elements()), dtype=np.int64)

    def edits(
        self, series_ids: Sequence[int], *, known_at_lsn: int | None = None
    ) -> tuple[Int64Array, Int64Array]:
        """Windows of series in which people changed history: edits, deletions and erasures.

        Parameters
        ----------
        series_ids : sequence of int
        known_at_lsn : int, optional

        Returns
        -------
        pair of int64, shape (n,)
            Starts and ends, nanoseconds UTC, by the time of the change.
        """
        trail = self._trail(known_at_lsn)
        found = [
            words[:2]
            for verb, stream, words in zip(trail.verb, trail.stream, trail.words, strict=True)
            if verb != Verb.ANNOTATE and stream in series_ids
        ]
        windows = np.array(found, np.int64).reshape(-1, 2)
        return windows[:, 0], windows[:, 1]

    def _trail(self, known_at_lsn: int | None) -> _Trail:
        """The trail of changes; remembered until the next change."""
        into = self._state.streams.by_uuid.get(CHANGES_UUID)
        if into is None:
            return _Trail((), (), ())
        with self._lock:
            self._check_open("read changes")
            self._drain()
            seen = self._seen(into)
        if known_at_lsn is None and self._known_trail[0] == seen:
            return self._known_trail[1]
        found = self.read_events(into, TIME_MIN, TIME_MAX, known_at_lsn=known_at_lsn)
        names = ("start_ns", "end_ns", "principal", "reason", "comment")
        verbs, streams, *facts = (found.data[name].objects() for name in ("verb", "stream", *names))
        trail = _Trail(verbs, streams, list(zip(*facts, strict=True)))
        with self._lock:
            still = self._seen(into) == seen
        if known_at_lsn is None and still and not found.damage:
            self._known_trail = (seen, trail)
        return trail
