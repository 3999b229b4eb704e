"""Who makes records durable: a thread in C on real files, the caller itself on any other."""

import threading
from typing import TYPE_CHECKING

from storage_engine.errors import DiskError, EngineClosed, LimitExceeded
from storage_engine.filesystem import File
from storage_engine.wal_record import KIND_DURABLE, RECORD_HEADER_BYTES, pack_record, padded

if TYPE_CHECKING:
    from typing_extensions import Buffer


class SyncCommitter:
    """Commits inside ``wait``, in the caller's thread: the same bytes, without a descriptor.

    Parameters
    ----------
    file : File
        Written behind ``offset``; the caller closes it after close or switch.
    offset, seed, next_lsn, pending_bytes_max
        As for the committer in C.
    """

    def __init__(
        self, file: File, offset: int, seed: int, next_lsn: int, pending_bytes_max: int
    ) -> None:
        self._file = file
        self._offset = offset
        self._seed = seed
        self._pending_max = pending_bytes_max
        self._records: list[bytes] = []
        self._next_lsn = next_lsn
        self._marked_lsn = next_lsn - 1
        self._closed = False
        self._lock = threading.Lock()
        self.durable_lsn = next_lsn - 1
        self.pending_bytes = 0
        self.batches = 0
        self.failed: str | None = None

    def append(self, kind: int, time_ns: int, parts: tuple["Buffer", ...]) -> int:
        """Keep a record for the next wait, and return its lsn."""
        with self._lock:
            if self.failed or self._closed:
                raise EngineClosed(f"cannot append: got a log that {self.failed or 'is closed'}")
            size = RECORD_HEADER_BYTES + padded(sum(memoryview(p).nbytes for p in parts))
            if self.pending_bytes + size > self._pending_max:
                raise LimitExceeded(
                    f"cannot append: got {size} bytes on {self.pending_bytes} waiting for the "
                    f"disk, want at most {self._pending_max}"
                )
            lsn = self._next_lsn
            self._records.append(pack_record(self._seed, lsn, kind, time_ns, parts))
            self._next_lsn += 1
            self.pending_bytes += size
            return lsn

    def wait(self, lsn: int, timeout_s: float) -> int:
        """Commit all that waits unless ``lsn`` is durable."""
        with self._lock:
            if self.durable_lsn < lsn and not self.failed:
                self._commit()
            return 1 if self.durable_lsn >= lsn else -1

    def _commit(self) -> None:
        if not self._records:
            return
        last = self._next_lsn - 1
        if self.durable_lsn > self._marked_lsn:
            self._records.insert(0, self._mark())
        try:
            data = b"".join(self._records)
            self._file.write_at(self._offset, data)
            self._file.sync()
            self._offset += len(data)
            self.durable_lsn = last
            self._records = []
            self.pending_bytes = 0
            self.batches += 1
            mark = self._mark()
            self._file.write_at(self._offset, mark)
            self._offset += len(mark)
        except DiskError as error:
            call = error.facts.get("operation", "write")
            self.failed = f"failed to {call} (errno {error.facts.get('errno')})"

    def _mark(self) -> bytes:
        self._marked_lsn = self.durable_lsn
        return pack_record(self._seed, self.durable_lsn, KIND_DURABLE, 0, ())

    def switch(self, file: File, offset: int, seed: int) -> bool:
        """Make all records durable, then go on in another file; False after a failure."""
        with self._lock:
            if not self.failed:
                self._commit()
            if self.failed:
                return False
            self._file, self._offset, self._seed = file, offset, seed
            self._marked_lsn = self.durable_lsn
            return True

    def close(self) -> None:
        """Commit what waits."""
        with self._lock:
            if not self.failed and not self._closed:
                self._commit()
            self._closed = True
