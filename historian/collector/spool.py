"""Frames on disk between the sources and the server: in order, bounded, safe from kill -9.

What ``append`` returned for is on stable storage and will be sent. Files hold concatenated frames,
the same bytes as the wire; a file is removed when the server has all of it. Every start makes a new
epoch and a new file, so a torn tail is only ever found behind what was promised.
"""

import errno
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from historian.collector.declared import Declared
from historian.collector.gap import gap_frame
from historian.collector.spool_files import (
    DAMAGED,
    FRAMES,
    LOCK,
    REFUSED,
    Identity,
    Position,
    file_name,
    file_position,
    next_identity,
    read_file,
    read_sent,
    replace_file,
    salvage,
    write_sent,
)
from storage_engine.errors import DiskError, LimitExceeded
from storage_engine.filesystem import File, FileSystem
from storage_engine.frame import Declaration, peek_envelope

FILE_BYTES_MAX = 16 << 20
_FILES_PER_SPOOL = 16
_FILE_BYTES_MIN = 64 << 10
_NO_SPACE = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))

_log = logging.getLogger(__name__)


class SpoolFull(LimitExceeded):
    """The spool has no room for this frame."""


@dataclass(slots=True, eq=False)
class _SpoolFile:
    first: Position
    size: int
    last: Position
    sent: int = 0  # bytes at the server

    @property
    def path(self) -> str:
        return file_name(self.first)


@dataclass(slots=True)
class Reading:
    """Frames to send next, and where they end; given back to ``acknowledge``."""

    frames: list[bytes] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)
    file: "_SpoolFile | None" = None
    start: int = 0


class Spool:
    """A spool directory. Thread-safe; one process at a time.

    Parameters
    ----------
    fs : FileSystem
        Rooted at the spool's directory.
    bytes_max : int
        Bytes of frames on disk, at most.
    drop_oldest : bool
        When full: drop the oldest file and leave a gap frame in its place, instead of refusing.

    Raises
    ------
    StoreLocked
        If another process uses this spool.
    """

    def __init__(self, fs: FileSystem, bytes_max: int, *, drop_oldest: bool = False) -> None:
        self._fs = fs
        self._bytes_max = bytes_max
        self._drop_oldest = drop_oldest
        self._file_bytes = max(_FILE_BYTES_MIN, min(FILE_BYTES_MAX, bytes_max // _FILES_PER_SPOOL))
        for directory in (".", FRAMES):
            fs.make_directories(directory)
        self._held = fs.lock(LOCK)
        self._mutex = threading.Lock()
        self._files: list[_SpoolFile] = []
        self._writing: File | None = None
        self._failed: str | None = None
        self.dropped_frames = 0
        self.damaged_bytes = 0
        self.sent: Position = read_sent(fs)
        self._recover()
        newest = max((f.last[0] for f in self._files), default=self.sent[0])
        self._identity = next_identity(fs, max(newest, self.sent[0]))
        self._declared = Declared(fs)
        self._declared.keep_only(self._epochs())

    @property
    def identity(self) -> Identity:
        """Producer and epoch of frames written now."""
        return self._identity

    @property
    def size_bytes(self) -> int:
        """Bytes of frames on disk, sent parts of files included."""
        return sum(file.size for file in self._files)

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the server does not have yet."""
        return sum(file.size - file.sent for file in self._files)

    def renew(self) -> Identity:
        """Begin a new epoch: slots must be declared again."""
        with self._mutex:
            self._close_file()
            self._identity = next_identity(self._fs, self._identity.epoch)
            return self._identity

    def declarations(self, epoch: int) -> Mapping[int, Declaration]:
        """Slots declared in an epoch of which frames are left, whether or not theirs is sent."""
        return self._declared.of(epoch)

    def append(self, sequence: int, frame: bytes, declared: Sequence[Declaration] = ()) -> None:
        """Return when a frame of this epoch is on stable storage.

        Parameters
        ----------
        sequence : int
        frame : bytes
        declared : sequence of Declaration
            Those in it; kept until every frame of the epoch is at the server.

        Raises
        ------
        SpoolFull
            If it does not fit (or the disk is full); nothing was kept.
        DiskError
            If the disk failed; the spool takes nothing more until it is opened anew.
        """
        with self._mutex:
            if self._failed is not None:
                raise DiskError(f"cannot spool frame: got {self._failed}, want a working disk")
            self._make_room(len(frame))
            try:
                self._append(sequence, frame, declared)
            except SpoolFull:  # the disk has less room than we were allowed
                if not self._drop_oldest or self._failed is not None or not self._drop_one():
                    raise
                self._append(sequence, frame, declared)

    def _append(self, sequence: int, frame: bytes, declared: Sequence[Declaration]) -> None:
        if declared:
            self._keep(declared)
        position = (self._identity.epoch, sequence)
        file = self._files[-1] if self._writing is not None else None
        if file is None or file.size >= self._file_bytes:
            file = self._new_file(position)
        self._write(file, frame)
        file.size += len(frame)
        file.last = position

    def read(self, bytes_max: int) -> Reading:
        """Oldest frames that the server does not have, up to ``bytes_max`` but at least one."""
        with self._mutex:
            for file in self._files:
                if file.sent < file.size:
                    break
            else:
                return Reading()
            start, end = file.sent, file.size
            handle = self._fs.open_read(file.path)
            try:
                data = handle.read_at(start, min(end - start, bytes_max))
                whole = _whole_frames(data)
                if not whole:  # the first alone is larger
                    whole = _whole_frames(handle.read_at(start, end - start))[:1]
            finally:
                handle.close()
        positions = [(e.epoch, e.sequence) for e in map(peek_envelope, whole)]
        return Reading(whole, positions, file, start)

    def acknowledge(self, reading: Reading, count: int) -> None:
        """Forget the first ``count`` frames of a reading: the server has them on stable storage."""
        with self._mutex:
            file = reading.file
            # Dropped meanwhile, or acknowledged twice: a gap frame or nothing stands there now.
            if count and file is not None and file in self._files and file.sent == reading.start:
                file.sent += sum(map(len, reading.frames[:count]))
                self.sent = reading.positions[count - 1]
            removed = False
            while self._files and self._files[0].sent >= self._files[0].size:
                if len(self._files) == 1 and self._writing is not None:
                    if self._files[0].size < self._file_bytes:
                        break  # still being written
                    self._close_file()
                self._fs.remove(self._files.pop(0).path)
                removed = True
            if removed:
                write_sent(self._fs, self.sent)
                self._declared.keep_only(self._epochs())

    def _epochs(self) -> set[int]:
        ends = {end[0] for file in self._files for end in (file.first, file.last)}
        return ends | {self._identity.epoch}

    def set_aside(self, reading: Reading, reason: str) -> None:
        """Keep the first frame of a reading apart, because the server will never take it."""
        epoch, sequence = reading.positions[0]
        self._fs.make_directories(REFUSED)
        replace_file(self._fs, f"{REFUSED}/{epoch:020d}-{sequence:020d}.frame", reading.frames[0])
        _log.error("frame %d of epoch %d was refused and set aside: %s", sequence, epoch, reason)
        self.acknowledge(reading, 1)

    def close(self) -> None:
        """Remember what was sent and let the spool go."""
        with self._mutex:
            self._close_file()
            if self._failed is None:
                write_sent(self._fs, self.sent)
            self._held.release()

    def _keep(self, declared: Sequence[Declaration]) -> None:
        try:
            self._declared.add(self._identity, declared)
        except DiskError as error:
            if error.facts.get("operation") == "sync":
                self._failed = str(error)
                raise
            raise SpoolFull(f"cannot spool frame: {error}") from error

    def _write(self, file: _SpoolFile, frame: bytes) -> None:
        writing = self._writing
        assert writing is not None, "a file to write is open"
        try:
            writing.append(frame)
        except DiskError as error:
            self._cut_back(writing, file.size, error)
            raise SpoolFull(f"cannot spool frame: {error}") from error
        try:
            writing.sync()
        except DiskError as error:
            # Never sync again: what the kernel dropped would be promised. A restart reads the disk.
            self._failed = str(error)
            raise

    def _cut_back(self, writing: File, size: int, error: DiskError) -> None:
        try:
            writing.truncate(size)
        except DiskError as second:
            self._failed = f"{error}; {second}"

    def _new_file(self, first: Position) -> _SpoolFile:
        self._close_file()
        file = _SpoolFile(first, 0, first)
        try:
            self._writing = self._fs.create(file.path)
            self._fs.sync_directory(FRAMES)
        except DiskError as error:
            self._close_file()
            raise SpoolFull(f"cannot spool frame: {error}") from error
        self._files.append(file)
        return file

    def _close_file(self) -> None:
        if self._writing is not None:
            self._writing.close()
            self._writing = None

    def _make_room(self, size: int) -> None:
        while self.size_bytes + size > self._bytes_max:
            if self._files and self._files[0].sent >= self._files[0].size:
                self._close_file()  # the one being written, and the server has all of it
                self._fs.remove(self._files.pop(0).path)
                write_sent(self._fs, self.sent)
                continue
            if not self._drop_oldest or not self._drop_one():
                raise SpoolFull(
                    f"cannot spool frame: got {self.size_bytes + size} bytes, "
                    f"want at most {self._bytes_max}"
                )

    def _drop_one(self) -> bool:
        """Replace the two oldest unsent files by one gap frame; False when there is nothing."""
        if len(self._files) <= 2:
            self._close_file()  # a small spool: what is being written goes, too
        count = min(2, len(self._files) - (1 if self._writing is not None else 0))
        if count == 0:
            return False
        old = self._files[:count]
        before = sum(file.size for file in old)
        frames = [
            f for file in old for f in _whole_frames(read_file(self._fs, file.path)[file.sent :])
        ]
        if not frames:
            return False
        try:
            gap, lost = gap_frame(frames, self._declared.of)
            if len(gap) >= before:
                return False
            # The gap first takes the newest one's place: a crash in between leaves frames, no hole.
            replace_file(self._fs, old[-1].path, gap)
        except (DiskError, LimitExceeded) as error:
            if isinstance(error, DiskError) and error.facts.get("errno") not in _NO_SPACE:
                raise
            _log.warning("a full spool drops nothing that it cannot name: %s", error)
            return False
        for file in old[:-1]:
            self._fs.remove(file.path)
        self._fs.sync_directory(FRAMES)
        self.dropped_frames += lost
        kept = _SpoolFile(old[-1].first, len(gap), old[-1].last)
        self._files[:count] = [kept]
        _log.error("spool is full: %d frames dropped, a gap frame says so", lost)
        return True

    def _recover(self) -> None:
        names = self._fs.list(FRAMES)
        for first in sorted(p for p in map(file_position, names) if p is not None):
            path = file_name(first)
            data = read_file(self._fs, path)
            good, bad = salvage(data)
            for offset, lost in bad:
                self._set_damage_aside(path, offset, lost)
            if bad and good:
                replace_file(self._fs, path, b"".join(good))
            positions = [(e.epoch, e.sequence) for e in map(peek_envelope, good)]
            unsent = [p for p in positions if p > self.sent]
            if not unsent:
                self._fs.remove(path)
                continue
            sent = sum(len(f) for f, p in zip(good, positions, strict=True) if p <= self.sent)
            self._files.append(_SpoolFile(first, sum(map(len, good)), positions[-1], sent))

    def _set_damage_aside(self, path: str, offset: int, lost: bytes) -> None:
        if not any(lost):
            return  # grown and never written: nothing was promised there
        name = path.rpartition("/")[2]
        self._fs.make_directories(DAMAGED)
        replace_file(self._fs, f"{DAMAGED}/{name}.{offset}", lost)
        self.damaged_bytes += len(lost)
        _log.warning("%d bytes at byte %d of %s are no frame; set aside", len(lost), offset, path)


def _whole_frames(data: bytes) -> list[bytes]:
    """Frames that are complete in ``data``; every frame tells its size in bytes 8 to 12."""
    found: list[bytes] = []
    at = 0
    while at + 12 <= len(data):
        size = int.from_bytes(data[at + 8 : at + 12], "little")
        if size <= 0 or at + size > len(data):
            break
        found.append(data[at : at + size])
        at += size
    return found
