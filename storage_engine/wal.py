"""The log: append, wait until durable, replay, drop. Format and rules: ``docs/format/wal.md``."""

import errno
import math
import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from storage_engine.clock import Clock
from storage_engine.committer import Committer
from storage_engine.errors import DiskError, EngineClosed, InvalidArgument, LowDisk
from storage_engine.filesystem import File, FileSystem
from storage_engine.wal_commit import SyncCommitter
from storage_engine.wal_files import LogFiles, sweep
from storage_engine.wal_reader import Replayed, read_log
from storage_engine.wal_record import (
    FILE_HEADER_BYTES,
    RECORD_HEADER_BYTES,
    Finding,
    Frames,
    Record,
    RecordKind,
    file_seed,
    padded,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Finding", "Record", "RecordKind", "Wal", "read_log"]

_NO_SPACE = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_WAIT_SLICE_S = 0.25  # signals are looked at between slices
_ROTATE_WAIT_S = 3600.0


class Wal:
    """Write-ahead log of one store; every method may be called from any thread.

    Made by :meth:`open`. While the disk is too full for a log file, reading goes on and ``append``
    raises LowDisk until there is space again.

    Attributes
    ----------
    findings : list of Finding
        Damage found by the replay; its bytes are copied to ``damaged/`` below the directory.
    torn : Finding or None
        Tail of the last file that no sync had finished; no damage.
    notify_fd : int or None
        An eventfd, readable when ``durable_lsn`` moved or the log failed; None on a file system
        without descriptors.
    """

    def __init__(
        self,
        fs: FileSystem,
        directory: str,
        clock: Clock,
        replayed: Replayed,
        *,
        file_bytes_max: int,
        pending_bytes_max: int,
    ) -> None:
        self.findings = replayed.findings
        self.torn = replayed.torn
        self.notify_fd: int | None = None
        self._directory = directory
        self._file_bytes_max = file_bytes_max
        self._pending_bytes_max = pending_bytes_max
        self._files = LogFiles(fs, directory, clock, file_bytes_max, replayed.files)
        self._unproven = replayed.unproven
        self._proven_lsn = replayed.proven_lsn
        self._last_lsn = replayed.last_lsn
        self._file: File | None = None
        self._thread: Committer | None = None
        self._caller: SyncCommitter | None = None
        self._end = 0  # at most this many bytes of the newest file are used
        self._file_bytes = 0  # its size
        self._closed = False
        self._broken: str | None = None
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls,
        fs: FileSystem,
        directory: str,
        *,
        clock: Clock,
        start_lsn: int,
        apply: Callable[[Record], None],
        apply_frames: Callable[[Frames], int] | None = None,
        file_bytes_max: int = 64 << 20,
        pending_bytes_max: int = 32 << 20,
    ) -> "Wal":
        """Replay what the log holds behind ``start_lsn``, then make it ready for appending.

        Parameters
        ----------
        fs : FileSystem
            Below the store's root; the caller holds the store's lock.
        directory : str
            Of the log files; created when missing.
        clock : Clock
            For the files' time of creation.
        start_lsn : int
            Everything up to it is in segments.
        apply : callable
            Gets each replayed record once, in order of lsn.
        apply_frames : callable, optional
            Offered frames before ``apply`` is; see :func:`read_log`.
        file_bytes_max : int
            Size of a log file, taken in advance.
        pending_bytes_max : int
            Bound of what waits for the disk, and so of one record.

        Raises
        ------
        UnsupportedFormat
            When a newer version wrote the log.
        DiskError
            When the medium refuses to write (other than for want of space).
        """
        fs.make_directories(directory)
        sweep(fs, directory)
        replayed = read_log(
            fs, directory, start_lsn=start_lsn, apply=apply, apply_frames=apply_frames
        )
        wal = cls(
            fs,
            directory,
            clock,
            replayed,
            file_bytes_max=file_bytes_max,
            pending_bytes_max=pending_bytes_max,
        )
        try:
            wal._files.set_aside(wal.findings)
            wal._begin()
            wal._files.trim()
        except DiskError as error:
            if error.facts.get("errno") not in _NO_SPACE:
                raise
        return wal

    @property
    def _commit(self) -> Committer | SyncCommitter | None:
        return self._thread or self._caller

    @property
    def durable_lsn(self) -> int:
        """Everything up to this lsn is on stable storage."""
        commit = self._commit
        return commit.durable_lsn if commit else self._proven_lsn

    @property
    def last_lsn(self) -> int:
        """Newest lsn given out."""
        return self._last_lsn

    @property
    def failed(self) -> str | None:
        """Why nothing is acknowledged any more, or None."""
        commit = self._commit
        return self._broken or (commit.failed if commit else None)

    @property
    def pending_bytes(self) -> int:
        """Bytes taken and not yet durable."""
        commit = self._commit
        return commit.pending_bytes if commit else 0

    @property
    def batches(self) -> int:
        """Syncs of the newest committer: records per sync is how well the group commit groups."""
        commit = self._commit
        return commit.batches if commit else 0

    @property
    def size_bytes(self) -> int:
        """Bytes of records that the log files hold; drop_before brings it down."""
        with self._lock:
            self._files.used(self._end)
            return self._files.used_bytes

    def append(self, kind: RecordKind, parts: Sequence["Buffer"], record_time_ns: int) -> int:
        """Hand a record over to the committer and return at once.

        Parameters
        ----------
        kind : RecordKind
            What it is.
        parts : sequence of buffers
            At most 16; joined they are the body. Copied before this returns.
        record_time_ns : int
            When the server took it.

        Returns
        -------
        int
            Its lsn: one more than that of the record before.

        Raises
        ------
        LimitExceeded
            More than ``pending_bytes_max`` would wait for the disk: try again later.
        LowDisk
            There is no space for a new log file; nothing was taken.
        EngineClosed
            The log is closed, or a write or sync failed: open the store anew.
        """
        pieces = tuple(parts)
        size = RECORD_HEADER_BYTES + padded(sum(memoryview(p).nbytes for p in pieces))
        with self._lock:
            self._check("append")
            self._ready(size)
            commit = self._commit
            assert commit is not None, "_ready begins a file"
            lsn = commit.append(kind, record_time_ns, pieces)
            self._last_lsn = lsn
            self._end += size + RECORD_HEADER_BYTES  # a mark may follow each record
            return lsn

    def wait(self, lsn: int, timeout_s: float | None = None) -> bool:
        """Block, without the GIL, until everything up to ``lsn`` is durable.

        Returns
        -------
        bool
            False when ``timeout_s`` is over first.

        Raises
        ------
        DiskError
            A write or sync failed before it was durable; it never will be.
        EngineClosed
            The log was closed before it was durable.
        InvalidArgument
            No record has this lsn yet.
        """
        if lsn <= self.durable_lsn:
            return True
        if lsn > self._last_lsn:
            raise InvalidArgument(f"cannot wait: got lsn {lsn}, want at most {self._last_lsn}")
        commit = self._commit
        left = math.inf if timeout_s is None else timeout_s
        while commit is not None:
            slice_s = min(left, _WAIT_SLICE_S)
            answer = commit.wait(lsn, slice_s)
            if answer > 0:
                return True
            left -= slice_s
            if answer < 0 or left <= 0:
                break
        if self.failed or commit is None:
            why = self.failed or "got no space for a log file"
            raise DiskError(f"cannot make lsn {lsn} durable: {why}, at {self._directory}", lsn=lsn)
        if self._closed:
            raise EngineClosed(f"cannot make lsn {lsn} durable: the log is closed")
        return False

    def rotate(self, *, fresh: bool = False) -> None:
        """Make everything durable and go on in a new file; a fresh one was never used before.

        Raises
        ------
        LowDisk
            There is no space for it; the log goes on in the old one.
        DiskError
            The medium refused; the log may be failed.
        """
        with self._lock:
            self._check("rotate")
            if fresh:
                self._files.drop_spare()
            if self._file is None or self._end > FILE_HEADER_BYTES:
                self._next_file()

    def drop_before(self, lsn: int) -> int:
        """Remove the files all of whose records are before ``lsn``; returns how many.

        One of full size is kept as a spare for the next rotation.
        """
        with self._lock:
            return self._files.drop_before(lsn)

    def drop_spare(self) -> None:
        """Remove the spare file, and with it what a dropped file held."""
        with self._lock:
            self._files.drop_spare()

    @property
    def first_lsn(self) -> int:
        """Least lsn that the log may hold."""
        with self._lock:
            return self._files.first_lsn

    def close(self) -> None:
        """Make everything durable as far as the disk lets, and end; closing twice is fine."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._commit:
                self._commit.close()
            if self._file:
                self._file.close()
            notify, self.notify_fd = self.notify_fd, None
            if notify is not None:
                os.close(notify)

    def _check(self, what: str) -> None:
        if self._closed:
            raise EngineClosed(f"cannot {what}: got a closed log, want an open one")
        if self.failed:
            raise EngineClosed(
                f"cannot {what}: got a log that {self.failed}, want the store opened anew",
                reason=self.failed,
            )

    def _ready(self, size: int) -> None:
        """See to it that there is a file with room for ``size`` bytes."""
        size += RECORD_HEADER_BYTES  # of its mark
        if self._file is None or self._end + size > self._file_bytes:
            self._next_file(size)

    def _next_file(self, room: int = 0) -> None:
        try:
            self._begin(room)
        except DiskError as error:
            if error.facts.get("errno") in _NO_SPACE:
                raise LowDisk(
                    f"cannot begin a log file: got no space, want {self._file_bytes_max} bytes, "
                    f"at {self._directory}",
                    **error.facts,
                ) from error
            self._broken = f"failed to begin a file ({error})"
            raise

    def _begin(self, room: int = 0) -> None:
        """Begin a log file, once everything in the file before it is durable."""
        commit = self._commit
        if commit and commit.wait(self._last_lsn, _ROTATE_WAIT_S) <= 0:
            raise DiskError(f"cannot begin a log file: {commit.failed}", path=self._directory)
        self._files.used(self._end)
        file, begun = self._files.begin(self._unproven, self._last_lsn, room)
        self._file_bytes = begun.size_bytes
        self._unproven = []
        self._take(file, begun.used_bytes, file_seed(begun.number))

    def _take(self, file: File, offset: int, seed: int) -> None:
        """Send the committer to a file."""
        descriptor = file.fileno()
        old, self._file, self._end = self._file, file, offset
        next_lsn, bound = self._last_lsn + 1, self._pending_bytes_max
        going_on = True
        if descriptor is None:
            if self._caller is None:
                self._caller = SyncCommitter(file, offset, seed, next_lsn, bound)
            else:
                going_on = self._caller.switch(file, offset, seed)
        elif self._thread is None:
            self.notify_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._thread = Committer(descriptor, offset, seed, next_lsn, bound, self.notify_fd)
        else:
            going_on = self._thread.switch(descriptor, offset, seed)
        if not going_on:
            raise DiskError(f"cannot begin a log file: {self.failed}", path=self._directory)
        if old:
            old.close()
