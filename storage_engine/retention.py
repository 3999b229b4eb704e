"""Which rows may go: age and bytes per retention class, pinned windows, the share of a day. Pure.

A row belongs to the class that its stream has now, whatever class its segment was written under.
What overlaps in time goes together or not at all: else an old revision of a value could outlive the
newer one that lies in another segment, and would be read again. Such a group is a **piece**.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from storage_engine.errors import InvalidArgument
from storage_engine.sample import BoolArray, Int64Array
from storage_engine.segment.layout import SegmentInfo

DAY_NS = 86_400 * 1_000_000_000
SHARE = 0.05
HELD = "more than a day's share"


@dataclass(frozen=True, slots=True)
class Rule:
    """How long a retention class is kept; both None means for ever.

    Attributes
    ----------
    age_ns : int or None
        Rows older than this may go.
    bytes_max : int or None
        The oldest rows go while its segments hold more bytes.

    Raises
    ------
    InvalidArgument
        For less than one nanosecond, or a negative budget.
    """

    age_ns: int | None = None
    bytes_max: int | None = None

    def __post_init__(self) -> None:
        if self.age_ns is not None and self.age_ns < 1:
            raise InvalidArgument(f"cannot use rule: got age {self.age_ns} ns, want 1 or more")
        if self.bytes_max is not None and self.bytes_max < 0:
            raise InvalidArgument(f"cannot use rule: got {self.bytes_max} bytes, want 0 or more")


@dataclass(frozen=True, slots=True)
class Pin:
    """A window that no rule may touch.

    Attributes
    ----------
    streams : frozenset of int, or None
        Of which streams; None means of all.
    start_ns, end_ns : int
        start <= time < end.
    """

    streams: frozenset[int] | None
    start_ns: int
    end_ns: int


class Pins:
    """All pinned windows, by stream.

    Parameters
    ----------
    pins : iterable of Pin
    """

    def __init__(self, pins: Iterable[Pin] = ()) -> None:
        every: list[tuple[int, int]] = []
        self._wide: list[tuple[int, int]] = []
        self._own: dict[int, list[tuple[int, int]]] = {}
        for pin in pins:
            window = (pin.start_ns, pin.end_ns)
            if window[0] >= window[1]:
                continue
            every.append(window)
            if pin.streams is None:
                self._wide.append(window)
                continue
            for stream_id in pin.streams:
                self._own.setdefault(stream_id, []).append(window)
        self._every = _merged(every)
        self._of: dict[int, Int64Array] = {}
        self.stamp = hash(
            (frozenset(self._wide), frozenset((s, frozenset(w)) for s, w in self._own.items()))
        )

    def touches(self, first_ns: int, last_ns: int) -> bool:
        """Whether a window of any stream holds a time between two, both included."""
        return _overlaps(self._every, first_ns, last_ns)

    def windows(self, stream_id: int) -> Int64Array:
        """Disjoint windows of a stream in order.

        Parameters
        ----------
        stream_id : int

        Returns
        -------
        int64, shape (n, 2)
            start <= time < end.
        """
        found = self._of.get(stream_id)
        if found is None:
            found = _merged([*self._wide, *self._own.get(stream_id, [])])
            self._of[stream_id] = found
        return found

    def overlaps(self, stream_id: int, first_ns: int, last_ns: int) -> bool:
        """Whether a window of the stream holds a time between two, both included."""
        return _overlaps(self.windows(stream_id), first_ns, last_ns)

    def covers(self, stream_id: int, first_ns: int, last_ns: int) -> bool:
        """Whether one window of the stream holds all times between two, both included."""
        windows = self.windows(stream_id)
        place = int(np.searchsorted(windows[:, 0], first_ns, "right")) - 1
        return place >= 0 and last_ns < int(windows[place, 1])

    def mask(self, stream_id: int, time_ns: Int64Array) -> BoolArray:
        """Which times of a stream are pinned.

        Parameters
        ----------
        stream_id : int
        time_ns : int64, shape (n,)

        Returns
        -------
        bool, shape (n,)
        """
        windows = self.windows(stream_id)
        if len(windows) == 0:
            return np.zeros(len(time_ns), np.bool_)
        place = np.searchsorted(windows[:, 0], time_ns, "right") - 1
        inside: BoolArray = (place >= 0) & (time_ns < windows[np.maximum(place, 0), 1])
        return inside


def _merged(windows: Iterable[tuple[int, int]]) -> Int64Array:
    found: list[list[int]] = []
    for start, end in sorted(windows):
        if found and start <= found[-1][1]:
            found[-1][1] = max(found[-1][1], end)
        else:
            found.append([start, end])
    return np.array(found, np.int64).reshape(-1, 2)


def _overlaps(windows: Int64Array, first_ns: int, last_ns: int) -> bool:
    place = int(np.searchsorted(windows[:, 1], first_ns, "right"))
    return place < len(windows) and int(windows[place, 0]) <= last_ns


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a segment whose streams are in one class now.

    Attributes
    ----------
    retention_class : str
    first, last : int
        Times in nanoseconds, inclusive.
    rows, pinned : int
        All of them, and those within pinned windows.
    """

    retention_class: str
    first: int
    last: int
    rows: int
    pinned: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A live segment, looked through.

    Attributes
    ----------
    info : SegmentInfo
    parts : tuple of Part
        One per class; of a damaged segment one, as its info tells.
    damaged : bool
        Its directory cannot be read.
    """

    info: SegmentInfo
    parts: tuple[Part, ...]
    damaged: bool = False

    def size_of(self, rows: int) -> int:
        """Bytes of so many of its rows, the file divided evenly."""
        return self.info.size * rows // max(1, self.info.rows)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a class lost within the last day of uptime.

    Attributes
    ----------
    size : int
        Bytes.
    day : int or None
        Day since 1970 whose rows went beyond the share.
    """

    size: int = 0
    day: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What the rules ask for and the share does not let go yet.

    Attributes
    ----------
    retention_class : str
    rows, size : int
    first, last : int
        Its oldest and newest time in nanoseconds.
    why : str
    """

    retention_class: str
    rows: int
    size: int
    first: int
    last: int
    why: str


@dataclass(frozen=True, slots=True)
class ExpiryPlan:
    """What may go now.

    Attributes
    ----------
    cuts : dict of str to int
        Class -> time before which its rows go, pinned ones apart; no segment has rows on both
        sides but pinned ones.
    spent : dict of str to Spent
        What that adds to the day.
    held : tuple of Held
    """

    cuts: dict[str, int]
    spent: dict[str, Spent]
    held: tuple[Held, ...]

    def free_rows(self, candidate: Candidate) -> int:
        """How many rows of a segment go."""
        return sum(
            part.rows - part.pinned
            for part in candidate.parts
            if part.last < self.cuts.get(part.retention_class, part.last)
        )


@dataclass(slots=True)
class _Piece:
    """Parts of one class that overlap in time."""

    first: int
    last: int
    rows: int = 0
    size: int = 0

    @property
    def day(self) -> int | None:
        """The day it lies in, None when in several."""
        day = self.first // DAY_NS
        return day if self.last // DAY_NS == day else None


def plan_expiry(
    candidates: Sequence[Candidate],
    rules: Mapping[str, Rule],
    *,
    now_ns: int,
    share: float = SHARE,
    spent: Mapping[str, Spent] | None = None,
    force: bool = False,
) -> ExpiryPlan:
    """Work out what may go, oldest first.

    Parameters
    ----------
    candidates : sequence of Candidate
    rules : mapping of str to Rule
        Per class; a class without one is kept for ever.
    now_ns : int
    share : float
        Part of the bytes of a class that may go in a day of uptime. Beyond it one day of its
        history may go, or one piece that is longer than a day; so expiry never stalls.
    spent : mapping of str to Spent, optional
        What went within the last day of uptime.
    force : bool
        Let all go that the rules ask for.

    Returns
    -------
    ExpiryPlan

    Raises
    ------
    InvalidArgument
        For a share outside 0..1.
    """
    if not 0 <= share <= 1:
        raise InvalidArgument(f"cannot plan expiry: got share {share}, want 0 to 1")
    cuts: dict[str, int] = {}
    added: dict[str, Spent] = {}
    held: list[Held] = []
    for name, rule in sorted(rules.items()):
        pieces = _pieces(candidates, name)
        total = sum(c.size_of(p.rows) for c in candidates for p in c.parts
                    if p.retention_class == name)  # fmt: skip
        wanted = _wanted(pieces, rule, total, now_ns)
        before = (spent or {}).get(name, Spent())
        count, after = _allowed(pieces[:wanted], total, before, share)
        if force:
            count, after = wanted, Spent(before.size, before.day)
        if count:
            cuts[name] = pieces[count - 1].last + 1
            added[name] = Spent(after.size - before.size, after.day)
        rest = pieces[count:wanted]
        if rest:
            rows, size = sum(p.rows for p in rest), sum(p.size for p in rest)
            held.append(Held(name, rows, size, rest[0].first, rest[-1].last, HELD))
    return ExpiryPlan(cuts, added, tuple(held))


def _pieces(candidates: Sequence[Candidate], name: str) -> list[_Piece]:
    """Pieces of a class that hold rows which may go, oldest first."""
    found: list[_Piece] = []
    parts = [
        (part, candidate)
        for candidate in candidates
        for part in candidate.parts
        if part.retention_class == name and part.rows > part.pinned
    ]
    for part, candidate in sorted(parts, key=lambda pair: (pair[0].first, pair[0].last)):
        if not found or part.first > found[-1].last:
            found.append(_Piece(part.first, part.last))
        piece = found[-1]
        piece.last = max(piece.last, part.last)
        piece.rows += part.rows - part.pinned
        piece.size += candidate.size_of(part.rows - part.pinned)
    return found


def _wanted(pieces: Sequence[_Piece], rule: Rule, total: int, now_ns: int) -> int:
    """How many pieces the rule asks for."""
    count = 0
    if rule.age_ns is not None:
        while count < len(pieces) and pieces[count].last < now_ns - rule.age_ns:
            count += 1
    if rule.bytes_max is not None:
        left = total - sum(piece.size for piece in pieces[:count])
        while count < len(pieces) and left > rule.bytes_max:
            left -= pieces[count].size
            count += 1
    return count


def _allowed(pieces: Sequence[_Piece], total: int, spent: Spent, share: float) -> tuple[int, Spent]:
    """How many of the pieces the day's share lets go, and what is spent then."""
    limit = share * (total + spent.size)
    size, day = spent.size, spent.day
    for count, piece in enumerate(pieces):
        if size + piece.size > limit:
            # Too much for the share: one day of history, or one longer piece.
            if day is None:
                day = piece.first // DAY_NS
            elif piece.day != day:
                return count, Spent(size, day)
        size += piece.size
    return len(pieces), Spent(size, day)
