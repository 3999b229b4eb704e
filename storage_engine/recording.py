"""An in-memory twin of the file system that remembers every write, sync and name.

Run a test on it, then ask :meth:`RecordingFileSystem.crash_states` for the disks that a power cut
could have left behind: unsynced writes kept, dropped, torn or zero, names with and without their
content. What only luck would keep is lost in one of them. The states themselves are drawn in
``recording_states``.
"""

import errno
import hashlib
import os
import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from storage_engine.errors import DiskError, StoreLocked
from storage_engine.filesystem import File, Lock, checked, disk_error
from storage_engine.recording_states import Disk, Operation, Settling, draw_states

if TYPE_CHECKING:
    from typing_extensions import Buffer

Fault = Callable[[str, str], int | None]


class RecordingFileSystem:
    """Files in memory, with the log of what happened to them.

    Parameters
    ----------
    disk : Disk, optional
        What is there already, all of it durable.
    capacity_bytes : int
        What ``free_bytes`` starts from; writing beyond it is ENOSPC.

    Attributes
    ----------
    log : list of Operation
        Every write, truncate, sync, create, rename, remove, directory sync, in order.
    fault : callable, optional
        Asked before each call with (operation, path), operation one of ``read``, ``write``,
        ``sync``, ``truncate``, ``preallocate``, ``create``, ``open``, ``rename``, ``remove``,
        ``sync directory``; an errno it returns is raised as DiskError. What waits for a sync that
        is refused may be lost for ever, whatever a later sync says.
    crashed_at : int or None
        In a crash state: length of the log when the power went.
    """

    def __init__(self, disk: Disk | None = None, capacity_bytes: int = 1 << 40) -> None:
        start = disk or Disk({}, {}, frozenset({"."}))
        self.log: list[Operation] = []
        self.fault: Fault | None = None
        self.crashed_at: int | None = None
        self.capacity_bytes = capacity_bytes
        self._start = start
        self._names = dict(start.names)
        self._directories = set(start.directories)
        self._data = {inode: _Content(content) for inode, content in start.contents.items()}
        self._next_inode = max(self._data, default=0) + 1
        self._locked: set[str] = set()
        self._settling = Settling(start)

    @property
    def position(self) -> int:
        """Length of the log: note it with each acknowledgement, compare with ``crashed_at``."""
        return len(self.log)

    def crash_states(
        self, upto: int | None = None, *, limit: int | None = None, seed: int = 0
    ) -> Iterator[tuple[str, "RecordingFileSystem"]]:
        """Disks that a power cut may leave.

        Parameters
        ----------
        upto : int, optional
            The power goes after this many operations of the log; by default after each.
        limit : int, optional
            At most this many states per moment, drawn by ``seed``; the two extremes are always in.

        Yields
        ------
        description : str
            What was lost.
        state : RecordingFileSystem
            With an empty log and ``crashed_at`` set.
        """
        moments = range(len(self.log) + 1) if upto is None else (upto,)
        for moment in moments:
            if moment < self._settling.position:
                self._settling = Settling(self._start)
            unsettled = self._settling.at(self.log, moment)
            for what, disk in draw_states(unsettled, limit, seed + moment):
                state = type(self)(disk, self.capacity_bytes)
                state.crashed_at = moment
                yield f"after operation {moment}: {what}", state

    def digest(self) -> bytes:
        """Digest of names and contents as they are now: equal disks have equal ones."""
        total = hashlib.blake2b(digest_size=16)
        for name in sorted(self._directories):
            total.update(name.encode() + b"\0/")
        for name, inode in sorted(self._names.items()):
            total.update(name.encode() + b"\0" + _digest_of(bytes(self._data[inode].held)))
        return total.digest()

    def disk(self) -> Disk:
        """All of it as it is now, to be given to other twins as durable."""
        contents = {inode: bytes(self._data[inode].held) for inode in self._names.values()}
        return Disk(dict(self._names), contents, frozenset(self._directories))

    def _note(
        self, kind: str, inode: int = 0, offset: int = 0, data: bytes = b"", **names: str
    ) -> None:
        self.log.append(Operation(kind, inode, offset, data, **names, order=len(self.log)))

    def open_read(self, path: str) -> File:
        """Open an existing file."""
        return self._open("open", path)

    def open_write(self, path: str) -> File:
        """Open an existing file."""
        return self._open("open", path)

    def _open(self, what: str, path: str) -> "RecordingFile":
        self._allow(what, path)
        return RecordingFile(self, self._inode(what, path), path)

    def create(self, path: str) -> File:
        """Create a file; DiskError (EEXIST) when there is one."""
        name = _normal(path)
        self._allow("create", path)
        if name in self._names or name in self._directories:
            raise _refused("create", path, errno.EEXIST)
        self._need_directory("create", path)
        inode = self._next_inode
        self._next_inode += 1
        self._data[inode] = _Content(b"")
        self._names[name] = inode
        self._note("create", inode, path=name)
        return RecordingFile(self, inode, path)

    def exists(self, path: str) -> bool:
        """Whether a file or directory has this name."""
        name = _normal(path)
        return name in self._names or name in self._directories

    def list(self, directory: str) -> list[str]:
        """Names in a directory, sorted; empty when there is none."""
        name = _normal(directory)
        inside = (*self._names, *self._directories)
        return sorted(posixpath.basename(p) for p in inside if p != "." and _parent(p) == name)

    def size(self, path: str) -> int:
        """Bytes of a file."""
        return len(self._data[self._inode("read size", path)].held)

    def rename(self, src: str, dst: str) -> None:
        """Rename, replacing ``dst``."""
        self._allow("rename", src)
        inode = self._inode("rename", src)
        self._need_directory("rename", dst)
        del self._names[_normal(src)]
        self._names[_normal(dst)] = inode
        self._note("rename", inode, path=_normal(src), target=_normal(dst))

    def remove(self, path: str) -> None:
        """Remove a file."""
        self._allow("remove", path)
        inode = self._inode("remove", path)
        del self._names[_normal(path)]
        self._note("remove", inode, path=_normal(path))

    def sync_directory(self, path: str) -> None:
        """Make the names in a directory durable."""
        self._allow("sync directory", path)
        if _normal(path) not in self._directories:
            raise _refused("sync directory", path, errno.ENOENT)
        self._note("sync_directory", path=_normal(path))

    def make_directories(self, path: str) -> None:
        """Create a directory and its parents, durable at once as on the real file system."""
        missing, name = [], _normal(path)
        while name not in self._directories:
            missing.append(name)
            name = _parent(name)
        for name in reversed(missing):  # no cut finds a directory without its parent
            self._directories.add(name)
            self._note("make_directory", path=name)

    def free_bytes(self) -> int:
        """Capacity less what the named files hold."""
        used = sum(len(self._data[inode].held) for inode in set(self._names.values()))
        return max(0, self.capacity_bytes - used)

    def lock(self, path: str) -> Lock:
        """Take the lock; crash states start without any."""
        name = _normal(path)
        if name in self._locked:
            raise StoreLocked(
                f"cannot lock the store: got a lock held by this process, want none, at {path}",
                path=path,
                pid="self",
            )
        if name not in self._names:
            self.create(path)
        self._locked.add(name)
        return RecordingLock(self._locked, name)

    def _allow(self, operation: str, path: str) -> None:
        number = self.fault(operation, path) if self.fault else None
        if number:
            raise _refused(operation, path, number)

    def _inode(self, what: str, path: str) -> int:
        inode = self._names.get(_normal(path))
        if inode is None:
            raise _refused(what, path, errno.ENOENT)
        return inode

    def _need_directory(self, what: str, path: str) -> None:
        if _parent(_normal(path)) not in self._directories:
            raise _refused(what, path, errno.ENOENT)


@dataclass(slots=True)
class _Content:
    """Bytes of an inode, shared with other twins until the first write."""

    held: bytes | bytearray

    def own(self) -> bytearray:
        """Bytes that may be changed."""
        if isinstance(self.held, bytes):
            self.held = bytearray(self.held)
        return self.held


class RecordingFile:
    """One open file of the twin; the inode lives on when the name goes."""

    def __init__(self, owner: RecordingFileSystem, inode: int, path: str) -> None:
        self._owner = owner
        self._inode = inode
        self._path = path
        self._content = owner._data[inode]  # noqa: SLF001 - two halves of one thing

    def append(self, data: "Buffer") -> None:
        """Write behind the last byte."""
        self.write_at(self.size(), data)

    def write_at(self, offset: int, data: "Buffer") -> None:
        """Write at a byte offset; a hole reads as zeros."""
        content = bytes(data)
        self._change("write", offset + len(content))
        held = self._content.own()
        held.extend(bytes(max(0, offset - len(held))))
        held[offset : offset + len(content)] = content
        self._owner._note("write", self._inode, offset, content, path=self._path)  # noqa: SLF001

    def read_at(self, offset: int, size: int) -> bytes:
        """Read up to ``size`` bytes."""
        self._owner._allow("read", self._path)  # noqa: SLF001
        return bytes(self._content.held[offset : offset + size])

    def sync(self) -> None:
        """Make content and size durable."""
        try:
            self._owner._allow("sync", self._path)  # noqa: SLF001
        except DiskError:
            self._owner._note("sync_failed", self._inode, path=self._path)  # noqa: SLF001
            raise
        self._owner._note("sync", self._inode, path=self._path)  # noqa: SLF001

    def truncate(self, size: int) -> None:
        """Cut, or grow with zeros."""
        self._change("truncate", size)
        self._resize(size)

    def preallocate(self, size: int) -> None:
        """Grow with zeros; never cuts."""
        self._change("preallocate", size)
        if size > self.size():
            self._resize(size)

    def _resize(self, size: int) -> None:
        held = self._content.own()
        held.extend(bytes(max(0, size - len(held))))
        del held[size:]
        self._owner._note("truncate", self._inode, size, path=self._path)  # noqa: SLF001

    def _change(self, operation: str, end: int) -> None:
        owner = self._owner
        owner._allow(operation, self._path)  # noqa: SLF001
        grown = end - self.size()
        if grown > 0 and grown > owner.free_bytes():
            raise _refused(operation, self._path, errno.ENOSPC)

    def size(self) -> int:
        """Bytes in the file."""
        return len(self._content.held)

    def fileno(self) -> int | None:
        """None: the committer in C has nothing to write to."""
        return None

    def close(self) -> None:
        """Nothing to release."""


class RecordingLock:
    """A held lock of the twin."""

    def __init__(self, held: set[str], name: str) -> None:
        self._held = held
        self._name = name

    def release(self) -> None:
        """Give it back."""
        self._held.discard(self._name)


@lru_cache(maxsize=4096)
def _digest_of(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _normal(path: str) -> str:
    return posixpath.normpath(checked(path))


def _parent(name: str) -> str:
    return posixpath.dirname(name) or "."


def _refused(what: str, path: str, number: int) -> DiskError:
    return disk_error(what, path, OSError(number, os.strerror(number)))
