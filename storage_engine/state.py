"""What the engine holds in memory: streams, producers, heads, segments, and how a frame joins it.

Everything here changes under the engine's lock only; replay and live appends use the same calls.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from storage_engine.changes import Change
from storage_engine.columns import STRINGS, Rows
from storage_engine.config import BOUND_PRODUCERS_MAX, EngineConfig
from storage_engine.errors import LimitExceeded
from storage_engine.frame import FLAG_ONE_SHOT, ZERO_ID, Envelope, SlotKind
from storage_engine.head import ROW_BYTES, Captured, EventRows, Head, event_bytes
from storage_engine.newest import PRESENT, Newest
from storage_engine.prepare import Prepared, stamped
from storage_engine.producers import Bindings, Producers, ProducerState
from storage_engine.record_times import RecordTimes
from storage_engine.sample import Int64Array, UInt64Array
from storage_engine.segment.live import LiveSegments, SegmentSet
from storage_engine.streams import Duplicates, StreamInfo, StreamTable
from storage_engine.tombstones import Tombstone, Tombstones
from storage_engine.wal_record import Frames

_NS_PER_MS = 1_000_000
NEVER_NS = -(2**63)


def grown(times: Int64Array, streams: int) -> Int64Array:
    """Copy a column of times per stream, with room for ids below ``streams``, which have none."""
    out = np.full(max(streams, len(times)), NEVER_NS, np.int64)
    out[: len(times)] = times
    return out


@dataclass(frozen=True, slots=True)
class Pending:
    """A frame in the log that may not be durable yet, and so is in no head."""

    lsn: int
    prepared: Prepared
    record_time_ns: int

    @property
    def rows(self) -> int:
        """Samples it brings to the head."""
        return self.prepared.rows

    @property
    def size_bytes(self) -> int:
        """Bytes of strings and events it brings to the head."""
        return self.prepared.size_bytes

    @property
    def events(self) -> tuple[EventRows, ...]:
        """Events it brings to the head."""
        return self.prepared.events


@dataclass(frozen=True, slots=True)
class PendingChange:
    """A change in the log that may not be durable yet, and so holds for no read."""

    lsn: int
    row: EventRows
    record_time_ns: int
    change: Change

    @property
    def rows(self) -> int:
        """No samples."""
        return 0

    @property
    def size_bytes(self) -> int:
        """Bytes of its row."""
        return event_bytes(self.row.rows)

    @property
    def events(self) -> tuple[EventRows, ...]:
        """Its row."""
        return (self.row,)


@dataclass(frozen=True, slots=True)
class Frozen:
    """A full head and the rest of the store's state as of its last record."""

    head: Head
    checkpoint_lsn: int
    states: dict[bytes, ProducerState]
    bound: list[tuple[bytes, Bindings]]
    newest: Newest
    texts: dict[int, object]
    times: tuple[UInt64Array, Int64Array]
    tombstones: Tombstones


@dataclass(frozen=True, slots=True)
class View:
    """All places that hold rows of a stream, at one moment; oldest first."""

    info: StreamInfo
    segments: SegmentSet
    heads: tuple[Captured, ...]
    tombstones: tuple[Tombstone, ...] = ()


class State:
    """The store in memory.

    Parameters
    ----------
    config : EngineConfig
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self.streams = StreamTable()
        self.producers = Producers(config.one_shot_producers_max)
        self.applied: dict[bytes, ProducerState] = {}
        step_ns = config.record_time_step_ms * _NS_PER_MS
        self.times = RecordTimes(step_ns, config.record_times_max)
        self.newest = Newest.empty(64)
        self.front = Head(config.head_bytes_max, 1, 64)
        self.frozen: tuple[Frozen, ...] = ()
        self.live = LiveSegments()
        self.tombstones = Tombstones()
        self.flushed_ns = grown(np.empty(0, np.int64), 64)  # newest time per stream in segments
        self.pending: deque[Pending | PendingChange] = deque()
        self.pending_rows = 0
        self.pending_bytes = 0
        self.applied_lsn = 0
        self.newest_event_ns: dict[int, int] = {}

    @property
    def segments(self) -> SegmentSet:
        """Live segments; whoever holds the set keeps their files."""
        return self.live.current

    def make_room(self, rows: int, size_bytes: int, *, frozen_max: int) -> None:
        """See to it that the front head takes the pending frames and this one.

        Raises
        ------
        LimitExceeded
            When the heads are full and the flush is behind.
        """
        rows += self.pending_rows
        if self.front.has_room(rows, size_bytes + self.pending_bytes):
            return
        if self.front.empty:
            self.front = self._new_front(rows)
            return
        if len(self.frozen) >= frozen_max:
            raise LimitExceeded(
                f"cannot append frame: got {rows} rows for a head of "
                f"{self.front.bytes_max} bytes that is full, want the flush to catch up"
            )
        self.freeze(rows)

    def _new_front(self, rows: int) -> Head:
        config, streams = self._config, self.streams.id_end
        wanted = min(streams * config.head_rows_per_stream * ROW_BYTES, config.head_bytes_most)
        head = Head(max(config.head_bytes_max, wanted), rows, streams)
        for stream_id, text in self.newest_texts().items():
            self.newest.cell[stream_id] = head.intern(text)
        return head

    def newest_texts(self) -> dict[int, object]:
        """Newest value of every series of strings."""
        newest, types = self.newest, self.streams.types
        end = min(len(types), len(newest.flags))
        strings = np.isin(types[:end], [int(value_type) for value_type in STRINGS])
        ids = np.flatnonzero(strings & ((newest.flags[:end] & PRESENT) != 0)).tolist()
        return {i: self.front.text(int(newest.cell[i])) for i in ids}

    def freeze(self, rows_min: int = 1) -> Frozen:
        """Put a new head in front; the old one waits for its flush, and is read meanwhile."""
        frames = (pending for pending in self.pending if isinstance(pending, Pending))
        waiting = {pending.prepared.envelope.producer_id for pending in frames}
        self.producers.forget_bindings(BOUND_PRODUCERS_MAX, waiting)
        frozen = Frozen(
            self.front,
            self.applied_lsn,
            dict(self.applied),
            self.producers.bound(self.applied_lsn),
            self.newest.copy(),
            self.newest_texts(),
            self.times.columns(),
            self.tombstones,
        )
        self.front = self._new_front(max(rows_min, self.pending_rows))
        self.frozen = (*self.frozen, frozen)
        return frozen

    def enqueue(self, pending: Pending) -> None:
        """Take a frame that was handed to the log."""
        self.producers.note(pending.prepared.envelope, pending.lsn)
        self._enqueue(pending)

    def enqueue_change(self, pending: PendingChange) -> None:
        """Take a change that was handed to the log."""
        self._enqueue(pending)

    def _enqueue(self, pending: Pending | PendingChange) -> None:
        self.pending.append(pending)
        self.pending_rows += pending.rows
        self.pending_bytes += pending.size_bytes
        for part in pending.events:
            last = int(part.rows.timestamp_ns.max())
            have = self.newest_event_ns.get(part.stream_id)
            if have is not None:
                self.newest_event_ns[part.stream_id] = max(last, have)

    def drain(self, durable_lsn: int) -> None:
        """Put frames into the front head as far as they are durable."""
        while self.pending and self.pending[0].lsn <= durable_lsn:
            pending = self.pending[0]
            if isinstance(pending, PendingChange):
                self.apply_change(pending)
            else:
                self.apply(pending)
            # Only now: what cannot be applied must not be passed over by a later record.
            self.pending.popleft()
            self.pending_rows -= pending.rows
            self.pending_bytes -= pending.size_bytes

    def apply(self, pending: Pending) -> None:
        """Put a durable frame into the front head."""
        prepared, head = pending.prepared, self.front
        stamp = pending.lsn * 2 + int(prepared.observed)
        end = self.streams.id_end
        self.newest.grow(end)
        for part in prepared.samples:
            head.append_samples(part, stamp, self.newest, end)
            if self.tombstones:
                reached = self.tombstones.reach(part.stream, part.timestamp_ns)
                self.newest.mark_stale(reached.tolist())
        for events in prepared.events:
            head.append_events(stamped(events, stamp))
        if head.oldest_ns is None and (prepared.samples or prepared.events):
            head.oldest_ns = pending.record_time_ns
        self._note_applied(prepared.envelope, pending.lsn)
        self.note_record(pending.lsn, pending.record_time_ns)

    def _note_applied(self, envelope: Envelope, lsn: int) -> None:
        self.applied[envelope.producer_id] = ProducerState(
            envelope.epoch,
            envelope.sequence,
            envelope.crc,
            lsn,
            one_shot=bool(envelope.flags & FLAG_ONE_SHOT),
        )
        if len(self.applied) > 2 * len(self.producers.states) + 64:
            self.applied = {k: s for k, s in self.applied.items() if k in self.producers.states}
        self.producers.retire_bindings(envelope, lsn)

    def apply_frames(self, frames: Frames) -> int:
        """Put frames of the log into the front head while they are plain and fit.

        Parameters
        ----------
        frames : Frames
            Of a replay: nothing is pending.

        Returns
        -------
        int
            How many of them it took; the next one has to be decoded, or needs room.
        """
        head, end = self.front, self.streams.id_end
        self.newest.grow(end)
        slots = self.producers.slots
        done = head.append_plain(frames, self.streams.types, self.newest, end, slots)
        if done.count == 0:
            return 0
        if self.tombstones:
            self.newest.mark_stale(self.tombstones.reach(done.stream, done.timestamp_ns).tolist())
        if head.oldest_ns is None:
            head.oldest_ns = int(frames.record_time_ns[0])
        for producer_id, epoch, sequence, crc, lsn in done.last:
            envelope = Envelope(ZERO_ID, producer_id, epoch, sequence, 0, 0, 0, 0, 0, crc)
            self.producers.note(envelope, lsn)
            self._note_applied(envelope, lsn)
        self.applied_lsn = max(self.applied_lsn, int(frames.lsn[done.count - 1]))
        self.times.add_all(frames.lsn[: done.count], frames.record_time_ns[: done.count])
        return done.count

    def apply_change(self, pending: PendingChange) -> None:
        """Put the row of a durable change into the front head, and let its tombstone hold."""
        head, change = self.front, pending.change
        head.append_events(pending.row)
        if head.oldest_ns is None:
            head.oldest_ns = pending.record_time_ns
        tombstone = change.tombstone(pending.lsn)
        if tombstone is not None:
            self.tombstones = self.tombstones.with_one(tombstone)
            self.newest.grow(self.streams.id_end)
            newest_ns = int(self.newest.time[change.stream_id])
            if change.start_ns <= newest_ns < change.end_ns:
                self.newest.mark_stale([change.stream_id])
        self.note_record(pending.lsn, pending.record_time_ns)

    def follow_duplicates(self, info: StreamInfo) -> None:
        """Keep the newest samples by a stream's rule of duplicates."""
        if info.kind is SlotKind.SERIES:
            self.newest.use_first(info.id, info.duplicates is Duplicates.FIRST)

    def note_record(self, lsn: int, record_time_ns: int) -> None:
        """Take note that a record is applied."""
        self.applied_lsn = max(self.applied_lsn, lsn)
        self.times.add(lsn, record_time_ns)

    def pending_events(self, stream_id: int) -> list[Rows]:
        """Events of a stream that may not be durable yet."""
        return [
            stamped(part, pending.lsn * 2).rows
            for pending in self.pending
            for part in pending.events
            if part.stream_id == stream_id
        ]

    def pending_tombstones(self, stream_id: int) -> list[Tombstone]:
        """Deletions and erasures of a stream that may not be durable yet."""
        changes = (one for one in self.pending if isinstance(one, PendingChange))
        found = (one.change.tombstone(one.lsn) for one in changes)
        return [stone for stone in found if stone is not None and stone.stream_id == stream_id]

    def view(self, info: StreamInfo) -> View:
        """Places that hold rows of a stream now."""
        heads = (*(frozen.head for frozen in self.frozen), self.front)
        captured = tuple(head.capture(info.id) for head in heads)
        return View(info, self.live.current, captured, self.tombstones.of(info.id))
