"""Summaries at work: made before raw rows expire, committed with their going, changed with them.

Summaries of a series lie in a companion, an event stream of their own. A change that removes rows
of a series removes the summaries that it touches: first in the log, so that no death of the
process leaves a summary of rows that are gone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from storage_engine.bulk import BulkRows, BulkWriter
from storage_engine.changes import Change, Verb
from storage_engine.engine_bulk import BulkSide
from storage_engine.engine_core import TIME_MIN
from storage_engine.engine_reads import ReadSide
from storage_engine.expiry import Asked
from storage_engine.frame import SlotKind
from storage_engine.retention import Candidate, ExpiryPlan
from storage_engine.sample import BoolArray, ColumnData, EventColumns, Int64Array, SampleColumns
from storage_engine.segment.layout import SegmentInfo
from storage_engine.segment.reader import Directory
from storage_engine.streams import StreamInfo, get_stream
from storage_engine.summaries import (
    CLASS_PREFIX,
    DAY_NS,
    NUMERIC,
    Places,
    companion_uuid,
    lengths_of,
    summaries_of,
    summary_columns,
)

FACT = "retention"
_READ_ROWS = 131_072  # samples in memory at a time
_WRITE_ROWS = 32_768  # summaries in memory at a time


@dataclass(frozen=True, slots=True)
class Due:
    """A series with rows that go in a run.

    Attributes
    ----------
    info : StreamInfo
    length_ns : int
        Of an interval.
    start_ns, end_ns : int
        Whole intervals of rows to be summarised.
    """

    info: StreamInfo
    length_ns: int
    start_ns: int
    end_ns: int


class Written:
    """Segments of summaries that wait for the commit which lets the raw rows go.

    Parameters
    ----------
    remove : callable
        Removes files and gives their ids back.
    """

    def __init__(self, remove: Callable[[Sequence[SegmentInfo]], None]) -> None:
        self._remove = remove
        self._infos: list[SegmentInfo] = []
        self.rows: dict[str, int] = {}

    def count(self, name: str, rows: int) -> None:
        """Note rows made for a retention class."""
        self.rows[name] = self.rows.get(name, 0) + rows

    def add(self, infos: Sequence[SegmentInfo]) -> None:
        """Keep segments for the commit."""
        self._infos.extend(infos)

    def take(self) -> tuple[SegmentInfo, ...]:
        """Give them to a commit, once."""
        taken, self._infos = tuple(self._infos), []
        return taken

    def give_up(self) -> None:
        """Remove what no commit took."""
        if self._infos:
            self.rows.clear()
            self._remove(self.take())


class SummarySide(BulkSide, ReadSide):
    """What reads summaries, makes them, and lets them go with their rows."""

    # Per series what runs of this process made summaries of: lengths of intervals, and until when.
    _made: Mapping[int, tuple[frozenset[int], int]] = MappingProxyType({})

    def companion(self, series_id: int) -> int | None:
        """Stream of the summaries of a series; None when there are none.

        Raises
        ------
        InvalidArgument
            Unknown series.
        """
        info = get_stream(self._state.streams.by_id, series_id)
        return self._state.streams.by_uuid.get(companion_uuid(info.uuid))

    def summaries(
        self, series_id: int, start_ns: int, end_ns: int, *, known_at_lsn: int | None = None
    ) -> EventColumns | None:
        """Summaries of intervals that begin in a window.

        Parameters
        ----------
        series_id : int
        start_ns, end_ns : int
            start <= begin of the interval < end.
        known_at_lsn : int, optional

        Returns
        -------
        EventColumns or None
            Columns of docs/format/summary.md; None for a series without summaries.

        Raises
        ------
        InvalidArgument, EngineClosed
        """
        stream_id = self.companion(series_id)
        if stream_id is None:
            return None
        return self.read_events(stream_id, start_ns, end_ns, known_at_lsn=known_at_lsn)

    def summary_extent(self, series_id: int) -> tuple[int, int] | None:
        """First and last time that summaries of a series begin at, deleted ones among them."""
        stream_id = self.companion(series_id)
        if stream_id is None:
            return None
        with self._lock:
            self._check_open("find extent")
            live = self._state.segments
        times: list[Int64Array] = []
        for segment in live:  # summaries lie in segments of their own classes alone
            if segment.retention_class.startswith(CLASS_PREFIX):
                directory = self._reader.directory(segment)
                if directory is not None:
                    runs = directory.runs_of(stream_id)
                    times += [directory.table[name][runs] for name in ("run_first", "run_last")]
        held = [part for part in times if len(part)]
        if not held:
            return None
        return min(int(part.min()) for part in held), max(int(part.max()) for part in held)

    def horizons(self) -> Mapping[str, int]:
        """Per retention class the time from which its history is complete, where rows have gone."""
        facts: Any = self._flusher.facts.get(FACT, {})
        return dict(facts.get("horizons", {}))

    def change(self, change: Change) -> int:
        """As :meth:`ChangeSide.change`; summaries that a removal touches go too, as wholes."""
        change.check()
        if change.verb not in {Verb.DELETE, Verb.ERASE}:
            return super().change(change)
        self.changes_stream()
        touched = self._first_touched(change)
        # Under the lock no companion can come between: one that is created later is filled from
        # reads that see the removal. Summaries that a run is about to commit have a smaller lsn.
        with self._lock:
            stream_id = self.companion(change.stream_id)
            lengths, until_ns = self._made.get(change.stream_id, (frozenset[int](), TIME_MIN))
            making = change.start_ns < until_ns
            if stream_id is None or not (making or touched is not None):
                return super().change(change)
            self._check_tombstones(change, 2)
            starts = [change.start_ns if touched is None else touched]
            if making:
                starts += [change.start_ns // length * length for length in lengths]
            first = max(min(starts), TIME_MIN)
            super().change(replace(change, stream_id=stream_id, start_ns=first))
            return super().change(change)

    def _first_touched(self, change: Change) -> int | None:
        """Begin of the first summary that a window touches, None where it touches none."""
        low = max(change.start_ns - DAY_NS, TIME_MIN)
        stream_id = self.companion(change.stream_id)
        if stream_id is None:
            return None
        found = self.read_events(stream_id, low, change.end_ns, columns=())
        touched = found.timestamp_ns + lengths_of(found.event_id) > change.start_ns
        if not touched.any():
            return None
        return min(int(found.timestamp_ns[touched].min()), change.start_ns)

    # What a run of expiry calls

    def _dues(
        self,
        asked: Asked,
        plan: ExpiryPlan,
        candidates: Sequence[Candidate],
        own: Callable[[str], BoolArray],
    ) -> list[Due]:
        """Series and windows whose summaries are to outlive what goes."""
        found: dict[int, Due] = {}
        horizons = self.horizons()
        for name, cut in plan.cuts.items():
            length = asked.rules[name].summary_ns
            if length is None:
                continue
            old = horizons.get(name, TIME_MIN)
            for candidate in candidates:
                parts = [p for p in candidate.parts if p.retention_class == name and p.first < cut]
                # What is pinned was summarised when the rest of its time went.
                if not any(plan.free_of(candidate, p) or p.last >= old for p in parts):
                    continue
                directory = self._reader.directory(candidate.info)
                if directory is not None and not candidate.damaged:
                    self._note_due(found, directory, own(name), (cut, length))
        return [found[stream_id] for stream_id in sorted(found)]

    def _note_due(
        self,
        found: dict[int, Due],
        directory: Directory,
        wanted: BoolArray,
        rule: tuple[int, int],
    ) -> None:
        cut, length = rule
        table = directory.table
        own = np.flatnonzero(wanted[table["run_stream"]] & (table["run_first"] < cut))
        columns = (table[name][own].tolist() for name in ("run_stream", "run_first", "run_last"))
        streams = self._state.streams.by_id
        for stream_id, first, last in zip(*columns, strict=True):
            info = streams[stream_id]
            if not is_summarised(info):
                continue
            start = max(first // length * length, TIME_MIN)
            end = min(last // length * length + length, cut)
            known = found.get(stream_id)
            if known is not None:
                start, end = min(start, known.start_ns), max(end, known.end_ns)
            found[stream_id] = Due(info, length, start, end)

    def _summarise(
        self, dues: Sequence[Due], pace: Callable[[int], None] | None, written: Written
    ) -> None:
        """Make the summaries of all that is due; only count them without a pace."""
        if pace is None:
            for due in dues:
                for part in self._parts(due, None):
                    written.count(due.info.retention_class, len(part))
            return
        if not dues:
            return
        companions = self._companions(dues)
        lsn = self.log_import({"job": "summaries", "series": len(dues)})
        held: list[BulkRows] = []
        for due in dues:
            for part in self._parts(due, companions[due.info.id], pace):
                written.count(due.info.retention_class, len(part))
                held.append(part)
                if sum(map(len, held)) >= _WRITE_ROWS:
                    written.add(self._summary_segments(held, lsn, pace))
                    held = []
        if any(map(len, held)):
            written.add(self._summary_segments(held, lsn, pace))

    def _companions(self, dues: Sequence[Due]) -> dict[int, int]:
        """Companion of each series, durable, in the class of its summaries."""
        found: dict[int, int] = {}
        with self._lock:
            self._check_writable("make summaries")
            table = self._state.streams
            made = dict(self._made)
            for due in dues:
                lengths, until_ns = made.get(due.info.id, (frozenset(), due.end_ns))
                made[due.info.id] = (lengths | {due.length_ns}, max(until_ns, due.end_ns))
                wanted = CLASS_PREFIX + due.info.retention_class
                info, new = table.plan(
                    companion_uuid(due.info.uuid),
                    SlotKind.EVENTS,
                    summary_columns(due.info.value_type),
                    wanted,
                    streams_max=self._config.streams_max,
                )
                if new or info.retention_class != wanted:
                    self._log_stream(replace(info, retention_class=wanted))
                found[due.info.id] = info.id
            self._made = made
        self._wait_for_streams()
        return found

    def _parts(
        self, due: Due, stream_id: int | None, pace: Callable[[int], None] | None = None
    ) -> Iterator[BulkRows]:
        """Summaries of one series, piece by piece."""
        known = self.companion(due.info.id)
        taken = None
        if known is not None:
            low = max(due.start_ns - DAY_NS, TIME_MIN)
            taken = self.read_events(known, low, due.end_ns, columns=())
        places = Places(due.length_ns, taken)
        position, size = due.start_ns, _READ_ROWS
        while position < due.end_ns:
            found = self.read(due.info.id, position, due.end_ns, max_count=size, distinct=True)
            if pace is not None:
                pace(len(found) * 24)
            cut = due.end_ns
            if len(found) == size:
                cut = int(found.timestamp_ns[-1]) // due.length_ns * due.length_ns
                if cut <= int(found.timestamp_ns[0]):  # more samples in one interval than that
                    size *= 4
                    continue
                found = _before(found, cut)
            made = summaries_of(stream_id or 0, found, places)
            if len(made):
                yield made
            position = cut

    def _summary_segments(
        self, parts: Sequence[BulkRows], lsn: int, pace: Callable[[int], None]
    ) -> tuple[SegmentInfo, ...]:
        with self._lock:
            streams = self._state.streams.by_id.snapshot()
        writer = BulkWriter(
            self._fs,
            self._config,
            self._state.live,
            incarnation=self.incarnation,
            streams=streams,
            now_ns=self._clock.now_ns(),
            pace=pace,
        )
        try:
            return writer.write(parts, lsn * 2)
        except BaseException:
            writer.give_up()
            self._state.live.release(writer.ids)
            raise


def is_summarised(info: StreamInfo) -> bool:
    """Whether a stream has a type that summaries are made of."""
    return info.kind is SlotKind.SERIES and info.value_type in NUMERIC


def _before(columns: SampleColumns, cut_ns: int) -> SampleColumns:
    """Samples before a time."""
    rows = slice(0, int(np.searchsorted(columns.timestamp_ns, cut_ns)))
    value = columns.value
    valid = None if value.valid is None else value.valid[rows]
    return SampleColumns(
        columns.timestamp_ns[rows],
        columns.quality[rows],
        ColumnData(value.type, value.value[rows], valid),
        columns.lsn[rows],
        columns.damage,
    )
