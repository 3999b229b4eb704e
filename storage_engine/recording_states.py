"""Which disks a power cut may leave, from a log of operations (POSIX, without favours).

Content of a file is certain up to its last sync, names of a directory up to its last directory
sync. Of what came after, any part may have arrived: this draws the parts that find bugs.
"""

import posixpath
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

SECTOR_BYTES = 512
PAGE_BYTES = 4096

_DATA = frozenset(("write", "truncate"))
_NAMES = frozenset(("create", "rename", "remove"))


@dataclass(frozen=True, slots=True)
class Operation:
    """One entry of the log; ``offset`` is the new size for a truncate."""

    kind: str
    inode: int = 0
    offset: int = 0
    data: bytes = b""
    path: str = ""
    target: str = ""

    @property
    def directories(self) -> tuple[str, ...]:
        """Directories whose names it changes."""
        return tuple(posixpath.dirname(p) or "." for p in (self.path, self.target) if p)


@dataclass(frozen=True, slots=True)
class Disk:
    """Names, contents by inode, and directories."""

    names: dict[str, int]
    contents: dict[int, bytes]
    directories: frozenset[str]


@dataclass(slots=True)
class _Pending:
    """What is certain after a log, and what may or may not have arrived."""

    certain: Disk
    data: list[Operation] = field(default_factory=list)
    names: list[Operation] = field(default_factory=list)


def _applied(content: bytes, operation: Operation) -> bytes:
    at, data = operation.offset, operation.data
    if operation.kind == "truncate":
        return content[:at].ljust(at, b"\0")
    return content[:at].ljust(at, b"\0") + data + content[at + len(data) :]


def _named(names: dict[str, int], operation: Operation) -> None:
    """Change names; what has become impossible without its forerunners did not happen."""
    if operation.kind == "create":
        names[operation.path] = operation.inode
    elif names.get(operation.path) == operation.inode:
        del names[operation.path]
        if operation.kind == "rename":
            names[operation.target] = operation.inode


def _settle(start: Disk, log: list[Operation]) -> _Pending:
    names, contents = dict(start.names), dict(start.contents)
    directories = set(start.directories)
    data: list[Operation] = []
    changes: list[Operation] = []
    for operation in log:
        if operation.kind in _DATA:
            data.append(operation)
        elif operation.kind in _NAMES:
            changes.append(operation)
        elif operation.kind == "sync":
            for one in data:
                if one.inode == operation.inode:
                    contents[one.inode] = _applied(contents.get(one.inode, b""), one)
            data = [one for one in data if one.inode != operation.inode]
        elif operation.kind == "make_directory":
            directories.add(operation.path)
        elif operation.kind == "sync_directory":
            for one in changes:
                if operation.path in one.directories:
                    _named(names, one)
            changes = [one for one in changes if operation.path not in one.directories]
    return _Pending(Disk(names, contents, frozenset(directories)), data, changes)


def _disk(pending: _Pending, data: list[Operation], names: list[Operation]) -> Disk:
    certain = pending.certain
    kept = dict(certain.names)
    for operation in names:
        _named(kept, operation)
    contents = dict(certain.contents)
    for operation in data:
        contents[operation.inode] = _applied(contents.get(operation.inode, b""), operation)
    reachable = {inode: contents.get(inode, b"") for inode in kept.values()}
    return Disk(kept, reachable, certain.directories)


def _torn(write: Operation) -> Iterator[tuple[str, Operation]]:
    """Parts of one write that a cut may leave: a head, a tail, or zeros of the right size."""
    size, at = len(write.data), write.offset
    for unit in (SECTOR_BYTES, PAGE_BYTES):
        ends = (at + unit, at + size // 2, at + size - 1)
        for cut in sorted({end // unit * unit - at for end in ends}):
            if 0 < cut < size:
                head = Operation("write", write.inode, at, write.data[:cut])
                yield f"first {cut} of {size} bytes", head
                tail = Operation("write", write.inode, at + cut, write.data[cut:])
                yield f"all but the first {cut} of {size} bytes", tail
    yield "size without content", Operation("write", write.inode, write.offset, bytes(size))


def _plans(
    pending: _Pending,
) -> Iterator[tuple[str, list[Operation], list[Operation]]]:
    data, names = pending.data, pending.names
    if data and names:
        yield "names without their content", [], names
        yield "content without its names", data, []
    for i, one in enumerate(data if len(data) > 1 else []):
        what = f"{one.kind} of {len(one.data)} bytes at {one.offset} of {one.path}"
        yield f"alone {what}", [one], names
        yield f"all but {what}", data[:i] + data[i + 1 :], names
    for i, one in enumerate(names if len(names) > 1 else []):
        yield f"alone {one.kind} of {one.path}", data, [one]
        yield f"all but {one.kind} of {one.path}", data, names[:i] + names[i + 1 :]
    for i, one in enumerate(data):
        if one.kind == "write" and one.data:
            for what, part in _torn(one):
                where = f"at {one.offset} of {one.path}"
                if i == len(data) - 1:
                    yield f"of the last write {what} {where}", [*data[:i], part], names
                else:
                    whole = [*data[:i], part, *data[i + 1 :]]
                    yield f"of an earlier write {what} {where}", whole, names


def draw_states(
    start: Disk, log: list[Operation], limit: int | None, seed: int
) -> Iterator[tuple[str, Disk]]:
    """Disks that a cut after ``log`` may leave.

    Parameters
    ----------
    start : Disk
        Durable before the log began.
    log : list of Operation
        Up to the cut.
    limit : int or None
        At most so many, at least the two extremes.
    seed : int
        Of the draw.

    Yields
    ------
    description : str
    disk : Disk
    """
    pending = _settle(start, log)
    yield "nothing unsynced kept", _disk(pending, [], [])
    if not pending.data and not pending.names:
        return
    yield "everything kept", _disk(pending, pending.data, pending.names)
    plans = list(_plans(pending))
    if limit is not None and len(plans) > limit - 2:
        chosen = random.Random(seed).sample(range(len(plans)), max(0, limit - 2))  # noqa: S311
        plans = [plans[i] for i in sorted(chosen)]
    for what, data, names in plans:
        yield what, _disk(pending, data, names)
