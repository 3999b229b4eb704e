"""The writing side of the engine: streams, bindings, frames."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from storage_engine.columns import Rows, join_rows
from storage_engine.conflicts import find_conflicts
from storage_engine.engine_core import EngineCore
from storage_engine.engine_types import Appended
from storage_engine.errors import EngineClosed, InvalidArgument
from storage_engine.events import sort_events
from storage_engine.frame import Frame, SlotKind
from storage_engine.prepare import Prepared, prepare, record_prefix
from storage_engine.producers import ProducerState, judge
from storage_engine.reads import Window, gather_events, newest_event, visible_events
from storage_engine.recovery import bind_record
from storage_engine.sample import BoolArray, Column
from storage_engine.state import Pending
from storage_engine.stream_info import creations
from storage_engine.streams import StreamInfo, get_stream
from storage_engine.tombstones import without_erased
from storage_engine.wal_record import RecordKind

_STREAMS_AT_ONCE = 10_000


class WriteSide(EngineCore):
    """What writers call; every method is safe for many threads."""

    def create_stream(
        self,
        stream_uuid: bytes,
        kind: SlotKind,
        columns: Sequence[Column],
        retention_class: str = "default",
    ) -> int:
        """Create a stream, or find the one with this uuid. Durable on return.

        Parameters
        ----------
        stream_uuid : bytes
            16 bytes.
        kind : SlotKind
        columns : sequence of Column
            For a series one column ``value``.
        retention_class : str

        Returns
        -------
        int
            Dense id, never reused; the same uuid gives the same id.

        Raises
        ------
        InvalidArgument
            Bad uuid or schema, or the uuid is known with another one.
        LimitExceeded
            Too many streams.
        LowDisk, EngineClosed, DiskError
        """
        with self._lock:
            self._check_writable("create stream")
            info, new = self._state.streams.plan(
                stream_uuid,
                kind,
                columns,
                retention_class,
                streams_max=self._config.streams_max,
            )
            if new:
                self._log_stream(info)
        self._wait_for_streams()
        return info.id

    def create_streams(
        self,
        stream_uuids: Sequence[bytes],
        kind: SlotKind,
        columns: Sequence[Column],
        retention_class: str = "default",
    ) -> list[int]:
        """Create streams of one schema, or find those with these uuids. Durable on return.

        Parameters
        ----------
        stream_uuids : sequence of bytes
            16 bytes each.
        kind : SlotKind
        columns : sequence of Column
        retention_class : str

        Returns
        -------
        list of int
            Their ids, as :meth:`create_stream` gives one.

        Raises
        ------
        InvalidArgument, LimitExceeded, LowDisk, EngineClosed, DiskError
            As :meth:`create_stream`; those before the one refused are created.
        """
        found: list[int] = []
        for begin in range(0, len(stream_uuids), _STREAMS_AT_ONCE):
            part = stream_uuids[begin : begin + _STREAMS_AT_ONCE]
            table, streams_max = self._state.streams, self._config.streams_max
            with self._lock:
                self._check_writable("create streams")
                first, new = table.plan_new(
                    part, kind, columns, retention_class, streams_max=streams_max
                )
                if first is not None:
                    self._log_streams(first, new)
                created = set(new)
                for uuid in part:
                    known = table.by_uuid.get(uuid)
                    if uuid in created and known is not None:
                        found.append(known)
                        continue
                    have, _ = table.plan(
                        uuid, kind, columns, retention_class, streams_max=streams_max
                    )
                    found.append(have.id)
            # What waits for the disk is bounded; others may write meanwhile.
            self._wait_for_streams()
        return found

    def _log_streams(self, first: StreamInfo, uuids: Sequence[bytes]) -> None:
        assert self._wal is not None, "checked before"
        now_ns, logged = self._record_time(), 0
        try:
            for body in creations(first, uuids):
                self._stream_lsn = self._wal.append(RecordKind.STREAM, (body,), now_ns)
                logged += 1
        finally:  # a flush behind their records must not miss them
            self._state.streams.put_new(first, uuids[:logged])

    def grow_stream(self, stream_id: int, columns: Sequence[Column]) -> None:
        """Add columns at the end of an event stream. Durable on return.

        Parameters
        ----------
        stream_id : int
        columns : sequence of Column
            All columns, old ones first and unchanged.

        Raises
        ------
        InvalidArgument
            They do not start with the old ones.
        LowDisk, EngineClosed, DiskError
        """
        with self._lock:
            self._check_writable("grow stream")
            info = self._state.streams.plan_grow(stream_id, columns)
            if info.columns != self._state.streams.by_id[info.id].columns:
                self._log_stream(info)
        self._wait_for_streams()

    def _log_stream(self, info: StreamInfo) -> None:
        # It joins the table at once, so that a flush behind its record cannot miss it; who asked
        # for it hears of it only when the record is durable.
        self._stream_lsn = self._log(RecordKind.STREAM, [info.to_json()])
        self._state.streams.put(info)

    def _wait_for_streams(self) -> None:
        assert self._wal is not None, "checked before"
        if self._stream_lsn:
            self._wal.wait(self._stream_lsn)

    def streams(self) -> Mapping[int, StreamInfo]:
        """All streams by id; a view that grows as streams are created."""
        return MappingProxyType(self._state.streams.by_id)

    def producer(self, producer_id: bytes) -> ProducerState | None:
        """Last frame taken from a producer, or None; it may not be durable yet (see ``lsn``)."""
        return self._state.producers.states.get(producer_id)

    def bind(self, producer_id: bytes, epoch: int, slots: Mapping[int, int]) -> None:
        """Bind slots of a producer's epoch to streams; logged before any frame that uses them.

        Parameters
        ----------
        producer_id : bytes
            16 bytes.
        epoch : int
        slots : mapping of int to int
            Slot -> stream id.

        Raises
        ------
        InvalidArgument
            For an unknown stream or a bad slot.
        LimitExceeded, LowDisk, EngineClosed
        """
        with self._lock:
            self._check_writable("bind")
            have = self._state.producers.bindings(producer_id, epoch)
            new = {slot: stream for slot, stream in slots.items() if have.get(slot) != stream}
            for stream_id in set(new.values()):
                get_stream(self._state.streams.by_id, stream_id)
            if len(producer_id) != 16 or any(not 0 <= slot < 1 << 32 for slot in new):
                raise InvalidArgument("cannot bind: got a bad producer id or slot, want 16 bytes")
            if new:
                lsn = self._log(RecordKind.BIND, [bind_record(producer_id, epoch, new)])
                self._state.producers.bind(producer_id, epoch, new, lsn)

    def bindings(self, producer_id: bytes, epoch: int) -> Mapping[int, int]:
        """Slots bound for a producer's epoch; those of older epochs and one-shots are forgotten."""
        with self._lock:
            return self._state.producers.bindings(producer_id, epoch).items()

    def append(self, frame: Frame, rejected: BoolArray | None = None) -> Appended:
        """Take a frame: exactly once in effect, however often it comes.

        Parameters
        ----------
        frame : Frame
        rejected : bool, shape (rows,), optional
            Rows to leave out, numbered over the frame's sections.

        Returns
        -------
        Appended
            Wait for its lsn before acknowledging.

        Raises
        ------
        InvalidArgument
            A row that is not rejected has no stream, or one of another type; nothing was taken.
        LimitExceeded
            Log or heads are full for the moment; try again.
        LowDisk
            Free space is below the reserve; nothing was taken.
        EngineClosed
            Closed, or stopped after a failed write: reopen.
        """
        envelope, state = frame.envelope, self._state
        self._check_writable("append frame")
        arrival = judge(state.producers.states.get(envelope.producer_id), envelope)
        if arrival.duplicate:
            return Appended(arrival.lsn, True, 0, False, ())
        self._check_space()
        bindings = state.producers.bindings(envelope.producer_id, envelope.epoch)
        version = bindings.version
        prepared = prepare(frame, rejected, state.streams, bindings)
        if not prepared.events:
            return self._append(frame, rejected, prepared, version)
        with self._events_lock:
            conflicts = find_conflicts(prepared, self._newest_event, self._events_between)
            appended = self._append(frame, rejected, prepared, version)
            return Appended(
                appended.lsn,
                appended.duplicate,
                appended.missing_frames,
                appended.chain_broken,
                () if appended.duplicate else conflicts,
            )

    def _append(
        self, frame: Frame, rejected: BoolArray | None, prepared: Prepared, version: int
    ) -> Appended:
        envelope, state = frame.envelope, self._state
        with self._lock:
            self._check_writable("append frame")
            arrival = judge(state.producers.states.get(envelope.producer_id), envelope)
            if arrival.duplicate:
                return Appended(arrival.lsn, True, 0, False, ())
            self._drain()
            bindings = state.producers.bindings(envelope.producer_id, envelope.epoch)
            if bindings.version != version:
                # Bound anew meanwhile: a replay maps the frame by what stands before it in the log.
                prepared = prepare(frame, rejected, state.streams, bindings)
            state.make_room(prepared.rows, prepared.size_bytes, frozen_max=1)
            now_ns = self._record_time()
            parts = [record_prefix(rejected), frame.raw]
            lsn = self._log(RecordKind.FRAME, parts, now_ns)
            state.enqueue(Pending(lsn, prepared, now_ns))
        return Appended(lsn, False, arrival.missing_frames, arrival.chain_broken, ())

    def _record_time(self) -> int:
        return max(self._clock.now_ns(), self._state.times.last_ns)

    def _log(
        self, kind: RecordKind, parts: Sequence[bytes], record_time_ns: int | None = None
    ) -> int:
        assert self._wal is not None, "checked before"
        now_ns = self._record_time() if record_time_ns is None else record_time_ns
        return self._wal.append(kind, parts, now_ns)

    def _newest_event(self, stream_id: int) -> int:
        """Time of the newest event of a stream; looked up once, then kept by appends."""
        state = self._state
        with self._lock:
            known = state.newest_event_ns.get(stream_id)
        if known is None:
            with self._lock:
                info = get_stream(state.streams.by_id, stream_id)
                view, waiting = state.view(info), state.pending_events(stream_id)
            times = [newest_event(self._reader, view)]
            times += [int(rows.timestamp_ns.max()) for rows in waiting]
            with self._lock:
                known = state.newest_event_ns.setdefault(stream_id, max(times))
        return known

    def _events_between(self, stream_id: int, start_ns: int, end_ns: int) -> Rows | None:
        """Event rows of a window that are not deleted, those not durable yet among them."""
        with self._lock:
            info = get_stream(self._state.streams.by_id, stream_id)
            view, waiting = self._state.view(info), self._state.pending_events(stream_id)
            tombstones = [*view.tombstones, *self._state.pending_tombstones(stream_id)]
        rows = gather_events(self._reader, view, Window(start_ns, end_ns))
        parts = [] if rows is None else [rows]
        for part in waiting:
            time = part.timestamp_ns
            inside = (time >= start_ns) & (time < end_ns)
            if inside.any():
                parts.append(part.take(inside))
        if not parts:
            return None
        found = sort_events(join_rows(parts))
        if not tombstones:
            return found
        return visible_events(without_erased(found, tombstones), tombstones, conflicts=True)

    def wait_durable(self, lsn: int, timeout_s: float | None = None) -> bool:
        """Block, without the GIL, until everything up to ``lsn`` is durable.

        Parameters
        ----------
        lsn : int
        timeout_s : float, optional

        Returns
        -------
        bool
            False when the time was over first.

        Raises
        ------
        DiskError, EngineClosed
            It never will be.
        """
        if self._wal is None:
            raise EngineClosed("cannot wait: got a store opened read-only, want one for writing")
        return self._wal.wait(lsn, timeout_s)

    @property
    def durable_lsn(self) -> int:
        """Everything up to this lsn is on stable storage."""
        return self._state.applied_lsn if self._wal is None else self._wal.durable_lsn

    @property
    def notify_fd(self) -> int | None:
        """Descriptor that is readable when ``durable_lsn`` moved or the log failed, or None."""
        return None if self._wal is None else self._wal.notify_fd

    @property
    def failed(self) -> str | None:
        """Why nothing is acknowledged any more, or None."""
        return None if self._wal is None else self._wal.failed
