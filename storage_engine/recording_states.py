"""Which disks a power cut may leave, from a log of operations (POSIX, without favours).

Content of a file is certain up to its last sync, names of a directory up to its last directory
sync. Of what came after, any part may have arrived: this draws the parts that find bugs. What was
waiting when a sync failed is never certain again, whatever a later sync says.
"""

import posixpath
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

SECTOR_BYTES = 512
PAGE_BYTES = 4096

_SUBSETS_OF = 5  # so many unsettled operations are taken in every combination
_CUTS_MAX = 6  # places where one write is torn, for each unit
_DRAWS = 3  # random sets of sectors of one write, and of many operations
_DATA = frozenset(("write", "truncate"))
_NAMES = frozenset(("create", "rename", "remove", "rename_directory"))


@dataclass(frozen=True, slots=True)
class Operation:
    """One entry of the log; ``offset`` is the new size for a truncate, ``order`` its place."""

    kind: str
    inode: int = 0
    offset: int = 0
    data: bytes = b""
    path: str = ""
    target: str = ""
    order: int = 0

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


Operations = Sequence[Operation]


@dataclass(frozen=True, slots=True)
class Unsettled:
    """What is certain at one moment, and what may or may not have arrived.

    Attributes
    ----------
    certain : Disk
    data, names : sequence of Operation
        In order; any of them may be missing after a cut.
    later : dict of int to sequence
        Inode -> certain writes that came behind a failed sync, and so go on top of what it left.
    """

    certain: Disk
    data: Operations
    names: Operations
    later: dict[int, Operations]

    def disk(self, data: Operations, names: Operations) -> Disk:
        """Disk on which just these operations arrived."""
        kept, directories = dict(self.certain.names), set(self.certain.directories)
        for operation in names:
            _named(kept, directories, operation)
        arrived: dict[int, list[Operation]] = {i: list(ops) for i, ops in self.later.items()}
        for operation in data:
            arrived.setdefault(operation.inode, []).append(operation)
        contents = {}
        for inode in kept.values():
            content = self.certain.contents.get(inode, b"")
            mine = sorted(arrived.get(inode, ()), key=lambda one: one.order)
            contents[inode] = _applied(content, mine) if mine else content
        return Disk(kept, contents, frozenset(directories))


class Settling:
    """Follows a log, so that each moment costs only what is new since the one before.

    Parameters
    ----------
    start : Disk
        Durable before the log began.
    """

    def __init__(self, start: Disk) -> None:
        self.position = 0
        self._names, self._contents = dict(start.names), dict(start.contents)
        self._directories = set(start.directories)
        self._data: list[Operation] = []
        self._changes: list[Operation] = []
        self._doomed: dict[int, set[int]] = {}  # inode -> orders of writes whose sync failed
        self._later: dict[int, list[Operation]] = {}

    def at(self, log: Operations, moment: int) -> Unsettled:
        """Go on to a moment, not before the last one, and tell what is settled there."""
        for operation in log[self.position : moment]:
            self._take(operation)
        self.position = moment
        named = set(self._names.values()) | {one.inode for one in self._changes}
        certain = Disk(
            dict(self._names),
            {inode: self._contents.get(inode, b"") for inode in named},
            frozenset(self._directories),
        )
        data = [one for one in self._data if one.inode in named]
        later: dict[int, Operations] = {i: tuple(ops) for i, ops in self._later.items()}
        return Unsettled(certain, data, tuple(self._changes), later)

    def _take(self, operation: Operation) -> None:
        if operation.kind in _DATA:
            self._data.append(operation)
        elif operation.kind in _NAMES:
            self._changes.append(operation)
        elif operation.kind == "sync":
            self._sync(operation.inode)
        elif operation.kind == "sync_failed":
            waiting = {one.order for one in self._data if one.inode == operation.inode}
            self._doomed.setdefault(operation.inode, set()).update(waiting)
        elif operation.kind == "make_directory":
            self._directories.add(operation.path)
        elif operation.kind == "sync_directory":
            for one in self._changes:
                if operation.path in one.directories:
                    _named(self._names, self._directories, one)
            self._changes = [o for o in self._changes if operation.path not in o.directories]

    def _sync(self, inode: int) -> None:
        doomed = self._doomed.get(inode, set())
        mine = [one for one in self._data if one.inode == inode and one.order not in doomed]
        if doomed:
            self._later.setdefault(inode, []).extend(mine)
        elif mine:
            self._contents[inode] = _applied(self._contents.get(inode, b""), mine)
        self._data = [o for o in self._data if o.inode != inode or o.order in doomed]


def draw_states(unsettled: Unsettled, limit: int | None, seed: int) -> Iterator[tuple[str, Disk]]:
    """Disks that a cut may leave.

    Parameters
    ----------
    unsettled : Unsettled
        The moment of the cut.
    limit : int or None
        At most so many, at least the two extremes.
    seed : int
        Of the draws.

    Yields
    ------
    description : str
    disk : Disk
    """
    data, names = unsettled.data, unsettled.names
    yield "nothing unsynced kept", unsettled.disk([], [])
    if not data and not names:
        return
    yield "everything kept", unsettled.disk(data, names)
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    plans = [*_choices(data, names, chance), *_tears(data, names, chance)]
    if limit is not None and len(plans) > limit - 2:
        chosen = chance.sample(range(len(plans)), max(0, limit - 2))
        plans = [plans[i] for i in sorted(chosen)]
    for what, some_data, some_names in plans:
        yield what, unsettled.disk(some_data, some_names)


_Plan = tuple[str, Operations, Operations]


def _choices(data: Operations, names: Operations, chance: random.Random) -> Iterator[_Plan]:
    """Whole operations, kept or lost: all combinations of a few, the telling ones of many."""
    everything = sorted([*data, *names], key=lambda one: one.order)
    if len(everything) <= _SUBSETS_OF:
        for count in range(1, len(everything)):
            for kept in combinations(everything, count):
                yield _plan("only", kept)
        return
    if data and names:
        yield "names without their content", [], names
        yield "content without its names", data, []
    for i, one in enumerate(everything):
        yield _plan("alone", [one])
        yield _plan(f"all but {_told(one)}: ", everything[:i] + everything[i + 1 :], tell=False)
        if 1 < i:
            yield _plan(f"all before {_told(one)}", everything[:i], tell=False)
    for _ in range(_DRAWS):
        yield _plan("only", [one for one in everything if chance.random() < 0.5])


def _plan(what: str, kept: Operations, *, tell: bool = True) -> _Plan:
    told = f"{what} {', '.join(map(_told, kept))}" if tell else what
    data = [one for one in kept if one.kind in _DATA]
    return told, data, [one for one in kept if one.kind in _NAMES]


def _told(one: Operation) -> str:
    if one.kind in _NAMES:
        return f"{one.kind} of {one.path}"
    return f"{one.kind} of {len(one.data)} bytes at {one.offset} of {one.path}"


def _tears(data: Operations, names: Operations, chance: random.Random) -> Iterator[_Plan]:
    """Each write in parts, with all the others and, where there are others, without them."""
    for i, one in enumerate(data):
        if one.kind != "write" or not one.data:
            continue
        for what, parts in _torn(one, chance):
            told = f"of {_told(one)} {what}"
            yield told, [*data[:i], *parts, *data[i + 1 :]], names
            if len(data) > 1:
                yield f"{told}, nothing else written", parts, names


def _torn(write: Operation, chance: random.Random) -> Iterator[tuple[str, list[Operation]]]:
    """Parts of one write that a cut may leave: a head, a tail, some sectors, or zeros."""
    size, at = len(write.data), write.offset
    seen = set()
    for unit in (SECTOR_BYTES, PAGE_BYTES):
        first = (at // unit + 1) * unit - at
        cuts = range(first, size, unit)
        if len(cuts) > _CUTS_MAX:
            middle = chance.sample(cuts[1:-1], _CUTS_MAX - 2)
            cuts = sorted([cuts[0], *middle, cuts[-1]])  # type: ignore[assignment]
        for cut in cuts:
            if cut in seen:
                continue
            seen.add(cut)
            head, tail = _part(write, 0, cut), _part(write, cut, size)
            yield f"the first {cut}", [head]
            yield f"all but the first {cut}", [tail]
    if size + at % SECTOR_BYTES > 2 * SECTOR_BYTES:
        edges = [0, *range(SECTOR_BYTES - at % SECTOR_BYTES, size, SECTOR_BYTES), size]
        sectors = list(pairwise(edges))
        for _ in range(_DRAWS):
            kept = [sector for sector in sectors if chance.random() < chance.choice((0.2, 0.8))]
            yield f"the sectors at {[a for a, _ in kept]}", [_part(write, *s) for s in kept]
    # Grown, with zeros where the content should be; what was there before stays.
    yield "size without content", [_part(write, size, size)]


def _part(write: Operation, begin: int, end: int) -> Operation:
    return replace(write, offset=write.offset + begin, data=write.data[begin:end])


def _applied(content: bytes, operations: Operations) -> bytes:
    held = bytearray(content)
    for one in operations:
        at, data = one.offset, one.data
        if len(held) < at:
            held.extend(bytes(at - len(held)))
        if one.kind == "truncate":
            del held[at:]
        else:
            held[at : at + len(data)] = data
    return bytes(held)


def moved(directories: set[str], old: str, new: str) -> set[str]:
    """Directories after one of them got another name, with all that lies below it."""
    inside = {path for path in directories if path == old or path.startswith(old + "/")}
    return (directories - inside) | {new + path[len(old) :] for path in inside}


def _named(names: dict[str, int], directories: set[str], operation: Operation) -> None:
    """Change names; what has become impossible without its forerunners did not happen."""
    if operation.kind == "rename_directory":
        for name in [name for name in names if name.startswith(operation.path + "/")]:
            names[operation.target + name[len(operation.path) :]] = names.pop(name)
        after = moved(directories, operation.path, operation.target)
        directories.clear()
        directories.update(after)
    elif operation.kind == "create":
        names[operation.path] = operation.inode
    elif names.get(operation.path) == operation.inode:
        del names[operation.path]
        if operation.kind == "rename":
            names[operation.target] = operation.inode
