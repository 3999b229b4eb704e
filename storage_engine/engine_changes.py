"""The side of the engine that people use on history: change it, and say so first."""

import json
from collections.abc import Mapping

from storage_engine.changes import (
    CHANGE_COLUMNS,
    CHANGES_CLASS,
    CHANGES_UUID,
    Change,
    Verb,
)
from storage_engine.engine_writes import WriteSide
from storage_engine.errors import InvalidArgument, LimitExceeded
from storage_engine.frame import SlotKind
from storage_engine.state import PendingChange
from storage_engine.streams import Duplicates, get_stream, plan_set
from storage_engine.wal_record import RecordKind


class ChangeSide(WriteSide):
    """Edits, deletions, erasures, annotations, and what a stream is set to."""

    def change(self, change: Change) -> int:
        """Record a change; a deletion or erasure holds from the moment it is durable.

        Parameters
        ----------
        change : Change
            For an edit: call it before the new values are appended.

        Returns
        -------
        int
            Its lsn: wait for it before acknowledging.

        Raises
        ------
        InvalidArgument
            Unknown stream, empty window, no principal, no reason; or a deletion of changes.
        LimitExceeded
            Too many deletions are remembered, or the log is full for the moment.
        LowDisk, EngineClosed
        """
        change.check()
        into = self.changes_stream()
        state = self._state
        with self._lock:
            self._check_writable(str(change.verb))
            get_stream(state.streams.by_id, change.stream_id)
            removes = change.verb in {Verb.DELETE, Verb.ERASE}
            if removes and change.stream_id == into:
                raise InvalidArgument(
                    f"cannot {change.verb}: got the stream of changes, which is never changed",
                    stream_id=into,
                )
            if removes:
                self._check_tombstones(change, 1)
            self._check_space()
            self._drain()
            now_ns = self._record_time()
            body = change.body(into)
            state.make_room(0, 2 * len(body), frozen_max=1)
            lsn = self._log(RecordKind.CHANGE, [body], now_ns)
            state.enqueue_change(PendingChange(lsn, change.rows(into, lsn, now_ns), now_ns, change))
        return lsn

    def _check_tombstones(self, change: Change, more: int) -> None:
        waiting = sum(isinstance(one, PendingChange) for one in self._state.pending)
        held, most = len(self._state.tombstones) + waiting, self._config.tombstones_max
        if held + more > most:
            raise LimitExceeded(
                f"cannot {change.verb}: got {held} deleted ranges, want fewer than {most}"
            )

    def changes_stream(self) -> int:
        """Event stream that every change is a row of; created by the first."""
        known = self._state.streams.by_uuid.get(CHANGES_UUID)
        if known is not None:
            return known
        return self.create_stream(CHANGES_UUID, SlotKind.EVENTS, CHANGE_COLUMNS, CHANGES_CLASS)

    def set_stream(
        self,
        stream_id: int,
        *,
        retention_class: str | None = None,
        duplicates: Duplicates | None = None,
    ) -> None:
        """Set a stream's retention class or rule of duplicates; None leaves it. Durable on return.

        Parameters
        ----------
        stream_id : int
        retention_class : str, optional
            Rows in segments follow when these are written anew.
        duplicates : Duplicates, optional
            A rule of reading, so it holds for all rows at once.

        Raises
        ------
        InvalidArgument
            Unknown stream, an empty class, or a rule of duplicates for events.
        LowDisk, EngineClosed, DiskError
        """
        with self._lock:
            self._check_writable("set stream")
            have = get_stream(self._state.streams.by_id, stream_id)
            info = plan_set(have, retention_class, duplicates)
            if info != have:
                self._log_stream(info)
                self._state.follow_duplicates(info)
        self._wait_for_streams()

    def log_import(self, note: Mapping[str, object]) -> int:
        """Take an lsn for rows that go past the log into segments. Durable on return.

        Parameters
        ----------
        note : mapping of str to object
            What JSON can write: which job, which piece.

        Returns
        -------
        int

        Raises
        ------
        LowDisk, EngineClosed, DiskError
        """
        with self._lock:
            self._check_writable("import")
            self._check_space()
            body = json.dumps(dict(note), separators=(",", ":")).encode()
            now_ns = self._record_time()
            lsn = self._log(RecordKind.IMPORT, [body], now_ns)
        self.wait_durable(lsn)
        with self._lock:  # all records before it are durable, and so applied by the drain
            self._drain()
            self._state.note_record(lsn, now_ns)
        return lsn
