"""The only door to the disk: every engine file is opened, synced, renamed and locked here.

Paths are relative, with ``/``, below one root. What the operating system refuses becomes a
:class:`DiskError` with ``errno`` and ``path`` among its facts. Interrupted calls go on by
themselves (PEP 475), short writes are continued here, and a failed sync is never tried again.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from storage_engine.errors import DiskError, InvalidArgument, StoreLocked

if TYPE_CHECKING:
    from typing_extensions import Buffer


class File(Protocol):
    """One open file. Not safe for several threads unless they only read."""

    def append(self, data: "Buffer") -> None:
        """Write all of ``data`` behind the last byte, or raise DiskError."""
        ...

    def write_at(self, offset: int, data: "Buffer") -> None:
        """Write all of ``data`` at a byte offset, or raise DiskError."""
        ...

    def read_at(self, offset: int, size: int) -> bytes:
        """Read up to ``size`` bytes; fewer only at the end of the file."""
        ...

    def sync(self) -> None:
        """Return when content and size are on stable storage; never call again after a failure."""
        ...

    def truncate(self, size: int) -> None:
        """Cut or grow (with zeros) to ``size`` bytes."""
        ...

    def size(self) -> int:
        """Bytes in the file now."""
        ...

    def preallocate(self, size: int) -> None:
        """Grow to ``size`` bytes of zeros with the space really taken; ENOSPC comes here."""
        ...

    def fileno(self) -> int | None:
        """Descriptor for the committer in C, or None where there is none."""
        ...

    def close(self) -> None:
        """Release the descriptor; closing twice is fine."""
        ...


class Lock(Protocol):
    """A held lock."""

    def release(self) -> None:
        """Give it back; releasing twice is fine."""
        ...


class FileSystem(Protocol):
    """Everything below one root directory."""

    def open_read(self, path: str) -> File:
        """Open an existing file for reading."""
        ...

    def create(self, path: str) -> File:
        """Create a file for reading and writing; DiskError (EEXIST) when there is one."""
        ...

    def open_write(self, path: str) -> File:
        """Open an existing file for reading and writing."""
        ...

    def exists(self, path: str) -> bool:
        """Whether a file or directory has this name."""
        ...

    def list(self, directory: str) -> list[str]:
        """Names in a directory, sorted; empty when there is none."""
        ...

    def size(self, path: str) -> int:
        """Bytes of a file."""
        ...

    def rename(self, src: str, dst: str) -> None:
        """Rename within the root, replacing ``dst``; durable after sync_directory."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file; durable after sync_directory."""
        ...

    def sync_directory(self, path: str) -> None:
        """Return when the names in a directory are on stable storage."""
        ...

    def make_directories(self, path: str) -> None:
        """Create a directory and its parents, durable on return."""
        ...

    def free_bytes(self) -> int:
        """Bytes a write may still take."""
        ...

    def lock(self, path: str) -> Lock:
        """Take the exclusive lock, or raise StoreLocked naming the holder's ``pid``."""
        ...


def checked(path: str) -> str:
    """Refuse a path that is absolute, empty or climbs out of the root; ``.`` is the root."""
    parts = PurePosixPath(path).parts
    if not path or path.startswith("/") or ".." in parts:
        raise InvalidArgument(
            f"cannot use path: got {path!r}, want a relative path below the root", path=path
        )
    return path


def disk_error(what: str, path: str, error: OSError) -> DiskError:
    """DiskError of an OSError, with ``errno`` and ``path`` as facts."""
    name = errno.errorcode.get(error.errno or 0, str(error.errno))
    return DiskError(
        f"cannot {what}: got {name} ({error.strerror}), want success, at {path}",
        path=path,
        errno=error.errno,
        operation=what,
    )


@contextmanager
def _named(what: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_error(what, path, error) from error


class RealFile:
    """A file of the operating system.

    Parameters
    ----------
    descriptor : int
        Owned from here on.
    path : str
        For messages.
    """

    def __init__(self, descriptor: int, path: str) -> None:
        self._descriptor = descriptor
        self._path = path
        self._end = os.fstat(descriptor).st_size

    def append(self, data: "Buffer") -> None:
        """Write all of ``data`` behind the last byte; a failure leaves the end where it was."""
        self.write_at(self._end, data)

    def write_at(self, offset: int, data: "Buffer") -> None:
        """Write all of ``data`` at a byte offset, continuing short writes."""
        view = memoryview(data).cast("B") if not isinstance(data, bytes) else memoryview(data)
        position = offset
        try:
            while view:
                written = os.pwrite(self._descriptor, view, position)
                position += written
                view = view[written:]
        except OSError as error:
            raise disk_error("write", self._path, error) from error
        self._end = max(self._end, position)

    def read_at(self, offset: int, size: int) -> bytes:
        """Read up to ``size`` bytes; fewer only at the end of the file."""
        with _named("read", self._path):
            data = os.pread(self._descriptor, size, offset)
            if len(data) == size or not data:
                return data
            pieces = [data]
            got = len(data)
            while got < size:
                data = os.pread(self._descriptor, size - got, offset + got)
                if not data:
                    break
                pieces.append(data)
                got += len(data)
            return b"".join(pieces)

    def sync(self) -> None:
        """Return when content and size are on stable storage."""
        with _named("sync", self._path):
            os.fdatasync(self._descriptor)

    def truncate(self, size: int) -> None:
        """Cut or grow to ``size`` bytes."""
        with _named("truncate", self._path):
            os.ftruncate(self._descriptor, size)
        self._end = size

    def size(self) -> int:
        """Bytes in the file now."""
        with _named("read size", self._path):
            return os.fstat(self._descriptor).st_size

    def preallocate(self, size: int) -> None:
        """Take the space up to ``size`` without writing it; what is there stays."""
        if size > self._end:
            with _named("preallocate", self._path):
                os.posix_fallocate(self._descriptor, self._end, size - self._end)
            self._end = size

    def fileno(self) -> int | None:
        """Descriptor, valid until close."""
        return self._descriptor

    def close(self) -> None:
        """Release the descriptor."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with _named("close", self._path):
                os.close(descriptor)


class RealLock:
    """An exclusive flock on a file that holds the pid of its holder."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class RealFileSystem:
    """A directory of the operating system.

    Parameters
    ----------
    root : Path
        Created by the first ``make_directories``.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def _at(self, path: str) -> Path:
        return self.root / checked(path)

    def _open(self, what: str, path: str, flags: int) -> RealFile:
        with _named(what, path):
            return RealFile(os.open(self._at(path), flags | os.O_CLOEXEC, 0o640), path)

    def open_read(self, path: str) -> File:
        """Open an existing file for reading."""
        return self._open("open", path, os.O_RDONLY)

    def create(self, path: str) -> File:
        """Create a file; DiskError (EEXIST) when there is one."""
        return self._open("create", path, os.O_RDWR | os.O_CREAT | os.O_EXCL)

    def open_write(self, path: str) -> File:
        """Open an existing file for reading and writing."""
        return self._open("open", path, os.O_RDWR)

    def exists(self, path: str) -> bool:
        """Whether a file or directory has this name."""
        return self._at(path).exists()

    def list(self, directory: str) -> list[str]:
        """Names in a directory, sorted; empty when there is none."""
        try:
            return sorted(entry.name for entry in self._at(directory).iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise disk_error("list", directory, error) from error

    def size(self, path: str) -> int:
        """Bytes of a file."""
        with _named("read size", path):
            return self._at(path).stat().st_size

    def rename(self, src: str, dst: str) -> None:
        """Rename, replacing ``dst``."""
        with _named("rename", src):
            self._at(src).replace(self._at(dst))

    def remove(self, path: str) -> None:
        """Remove a file."""
        with _named("remove", path):
            self._at(path).unlink()

    def link(self, src: str, dst: str) -> None:
        """Give a file a second name; DiskError where the medium has no hard links."""
        with _named("link", src):
            self._at(dst).hardlink_to(self._at(src))

    def is_directory(self, path: str) -> bool:
        """Whether a directory has this name."""
        return self._at(path).is_dir()

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""
        with _named("remove directory", path):
            self._at(path).rmdir()

    def sync_directory(self, path: str) -> None:
        """Return when the names in a directory are on stable storage."""
        self._sync_names(self._at(path), path)

    def _sync_names(self, directory: Path, path: str) -> None:
        with _named("sync directory", path):
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def make_directories(self, path: str) -> None:
        """Create a directory and its parents, each name synced in its parent."""
        missing = []
        directory = self._at(path)
        while not directory.is_dir():
            missing.append(directory)
            directory = directory.parent
        for new in reversed(missing):
            with _named("make directory", path):
                new.mkdir(exist_ok=True)
            self._sync_names(new.parent, path)

    def free_bytes(self) -> int:
        """Bytes that a user without privileges may still write."""
        with _named("read free space", "."):
            stats = os.statvfs(self.root)
        return stats.f_bavail * stats.f_frsize

    def lock(self, path: str) -> Lock:
        """Take the exclusive lock on a file; it falls with the process, however that ends."""
        with _named("lock", path):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self._at(path), flags, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreLocked(
                f"cannot lock the store: got a lock held by process {holder}, want none, at {path}",
                path=path,
                pid=holder,
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise disk_error("lock", path, error) from error
        return RealLock(descriptor)
