"""Directories as a whole: one below another, copied, linked, removed.

What a backup does to its repository and a restore to its folder; the engine's own files know no
directories that move.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from storage_engine.errors import DiskError
from storage_engine.filesystem import File, FileSystem, Lock

Pace = Callable[[int], None]
COPY_BYTES = 1 << 20
DIGEST_BYTES = 32
_SYNC_BYTES = 1 << 20


def no_pace(size_bytes: int) -> None:
    """Go on at once."""


class TreeFileSystem(FileSystem, Protocol):
    """A file system on which directories are renamed and removed, and files have several names.

    ``rename`` takes a directory, too, onto a name that is free or an empty directory.
    """

    def link(self, src: str, dst: str) -> None:
        """Give a file a second name; DiskError where the medium has no hard links."""
        ...

    def is_directory(self, path: str) -> bool:
        """Whether a directory has this name."""
        ...

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory; durable after sync_directory of its parent."""
        ...


class Below:
    """The part of a file system below one of its directories.

    Parameters
    ----------
    fs : TreeFileSystem
    directory : str
        Relative to ``fs``; the new root.
    """

    def __init__(self, fs: TreeFileSystem, directory: str) -> None:
        self._fs = fs
        self._root = directory

    def _at(self, path: str) -> str:
        return self._root if path == "." else f"{self._root}/{path}"

    def open_read(self, path: str) -> File:
        """Open an existing file for reading."""
        return self._fs.open_read(self._at(path))

    def create(self, path: str) -> File:
        """Create a file; DiskError (EEXIST) when there is one."""
        return self._fs.create(self._at(path))

    def open_write(self, path: str) -> File:
        """Open an existing file for reading and writing."""
        return self._fs.open_write(self._at(path))

    def exists(self, path: str) -> bool:
        """Whether a file or directory has this name."""
        return self._fs.exists(self._at(path))

    def list(self, directory: str) -> list[str]:
        """Names in a directory, sorted; empty when there is none."""
        return self._fs.list(self._at(directory))

    def size(self, path: str) -> int:
        """Bytes of a file."""
        return self._fs.size(self._at(path))

    def rename(self, src: str, dst: str) -> None:
        """Rename, replacing ``dst``."""
        self._fs.rename(self._at(src), self._at(dst))

    def remove(self, path: str) -> None:
        """Remove a file."""
        self._fs.remove(self._at(path))

    def sync_directory(self, path: str) -> None:
        """Return when the names in a directory are on stable storage."""
        self._fs.sync_directory(self._at(path))

    def make_directories(self, path: str) -> None:
        """Create a directory and its parents, durable on return."""
        self._fs.make_directories(self._at(path))

    def free_bytes(self) -> int:
        """Bytes a write may still take."""
        return self._fs.free_bytes()

    def lock(self, path: str) -> Lock:
        """Take the exclusive lock on a file."""
        return self._fs.lock(self._at(path))

    def link(self, src: str, dst: str) -> None:
        """Give a file a second name."""
        self._fs.link(self._at(src), self._at(dst))

    def is_directory(self, path: str) -> bool:
        """Whether a directory has this name."""
        return self._fs.is_directory(self._at(path))

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""
        self._fs.remove_directory(self._at(path))


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy holds.

    Attributes
    ----------
    size : int
        Bytes.
    digest : str
        blake2b over them, 64 hex digits.
    unreadable : tuple of str
        Places of the source that the medium did not give; they are zeros in the copy.
    """

    size: int
    digest: str
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cut:
    """What a copy holds of a file: other first bytes, an earlier end, and what stands behind it."""

    head: bytes
    end: int
    tail: bytes


def copy_file(
    source: FileSystem,
    src: str,
    target: FileSystem,
    dst: str,
    *,
    pace: Pace = no_pace,
    cut: Cut | None = None,
) -> Copied:
    """Copy a file piece by piece; content and size are stable on return, the name is not.

    Parameters
    ----------
    source, target : FileSystem
    src, dst : str
    pace : callable
        Told the bytes of each piece.
    cut : Cut, optional
        Copy only so much, and change its ends.

    Returns
    -------
    Copied

    Raises
    ------
    DiskError
        The source cannot be opened, or the target refused.
    """
    reading = source.open_read(src)
    try:
        return copy_opened(reading, target, dst, pace=pace, cut=cut)
    finally:
        reading.close()


def copy_opened(
    reading: File, target: FileSystem, dst: str, *, pace: Pace = no_pace, cut: Cut | None = None
) -> Copied:
    """Copy an open file as :func:`copy_file` does; a DiskError is of the target."""
    head, tail = (b"", b"") if cut is None else (cut.head, cut.tail)
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    unreadable: list[str] = []
    size = reading.size() if cut is None else cut.end
    writing = target.create(dst)
    try:
        for at in range(0, size, COPY_BYTES):
            want = min(COPY_BYTES, size - at)
            piece = _read_piece(reading, at, want, unreadable)
            if at == 0:
                piece = head + piece[len(head) :]
            digest.update(piece)
            writing.append(piece)
            if (at + COPY_BYTES) % _SYNC_BYTES == 0:
                writing.sync()  # little at a time: a log on the same disk syncs in between
            pace(len(piece))
        digest.update(tail)
        writing.append(tail)
        writing.sync()
    finally:
        writing.close()
    return Copied(size + len(tail), digest.hexdigest(), tuple(unreadable))


def write_file(target: FileSystem, path: str, data: bytes) -> Copied:
    """Write a file; content and size are stable on return, the name is not."""
    file = target.create(path)
    try:
        file.append(data)
        file.sync()
    finally:
        file.close()
    return Copied(len(data), hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest())


def read_whole(fs: FileSystem, path: str) -> bytes:
    """All bytes of a small file."""
    file = fs.open_read(path)
    try:
        return file.read_at(0, file.size())
    finally:
        file.close()


def _read_piece(file: File, at: int, want: int, unreadable: list[str]) -> bytes:
    try:
        piece = file.read_at(at, want)
    except DiskError as error:
        unreadable.append(f"bytes {at} to {at + want} cannot be read: {error}")
        return bytes(want)
    if len(piece) < want:
        unreadable.append(f"bytes {at + len(piece)} to {at + want} are gone")
    return piece.ljust(want, b"\0")


def digest_file(fs: FileSystem, path: str, *, pace: Pace = no_pace) -> Copied:
    """Digest of a file as it lies there.

    Raises
    ------
    DiskError
        It cannot be opened.
    """
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    unreadable: list[str] = []
    file = fs.open_read(path)
    try:
        size = file.size()
        for at in range(0, size, COPY_BYTES):
            piece = _read_piece(file, at, min(COPY_BYTES, size - at), unreadable)
            digest.update(piece)
            pace(len(piece))
    finally:
        file.close()
    return Copied(size, digest.hexdigest(), tuple(unreadable))


def files_below(fs: TreeFileSystem, directory: str) -> list[str]:
    """Paths of all files below a directory, relative to it, in order."""
    found = []
    for name in fs.list(directory):
        path = f"{directory}/{name}"
        if fs.is_directory(path):
            found += [f"{name}/{inner}" for inner in files_below(fs, path)]
        else:
            found.append(name)
    return found


def sync_tree(fs: TreeFileSystem, directory: str) -> None:
    """Make the names in a directory and in all below it durable."""
    for name in fs.list(directory):
        if fs.is_directory(f"{directory}/{name}"):
            sync_tree(fs, f"{directory}/{name}")
    fs.sync_directory(directory)


def remove_tree(fs: TreeFileSystem, directory: str) -> None:
    """Remove a directory with all that lies below it; the last name is not synced."""
    for name in fs.list(directory):
        path = f"{directory}/{name}"
        if fs.is_directory(path):
            remove_tree(fs, path)
        else:
            fs.remove(path)
    fs.remove_directory(directory)
