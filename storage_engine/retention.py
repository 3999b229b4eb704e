"""Which rows may go: age and bytes per retention class, pinned windows, the share of a day. Pure.

A row belongs to the class that its stream has now, whatever class its segment was written under.
What overlaps in time goes together or not at all: else an old revision of a value could outlive the
newer one that lies in another segment, and would be read again. Such a group is a **piece**.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from storage_engine.errors import InvalidArgument
from storage_engine.segment.layout import SegmentInfo

DAY_NS = 86_400 * 1_000_000_000
SHARE = 0.05
HELD = "more than a day's share"

# (class, first, last) -> segment id -> day since 1970 -> rows of the class that may go, between two
# times; None when they cannot be read.
Spread = Callable[[str, int, int], "Mapping[int, Mapping[int, int]] | None"]


@dataclass(frozen=True, slots=True)
class Rule:
    """How long a retention class is kept; both None means for ever.

    Attributes
    ----------
    age_ns : int or None
        Rows older than this may go.
    bytes_max : int or None
        The oldest rows go while its segments hold more bytes.
    summary_ns : int or None
        Length of the intervals whose summaries outlive the rows of numeric series; divides a day.
        Rows go by whole intervals then, and none before its interval is over.

    Raises
    ------
    InvalidArgument
        For less than one nanosecond, a negative budget, or intervals that do not divide a day.
    """

    age_ns: int | None = None
    bytes_max: int | None = None
    summary_ns: int | None = None

    def __post_init__(self) -> None:
        if self.summary_ns is not None and (self.summary_ns < 1 or DAY_NS % self.summary_ns):
            raise InvalidArgument(
                f"cannot use rule: got summaries of {self.summary_ns} ns, want a part of a day"
            )
        if self.age_ns is not None and self.age_ns < 1:
            raise InvalidArgument(f"cannot use rule: got age {self.age_ns} ns, want 1 or more")
        if self.bytes_max is not None and self.bytes_max < 0:
            raise InvalidArgument(f"cannot use rule: got {self.bytes_max} bytes, want 0 or more")


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
        Class -> time before which its rows go, pinned ones apart.
    spent : dict of str to Spent
        What that adds to the day.
    held : tuple of Held
    partial : dict of (int, str) to int
        Segment and class -> rows that go, where the cut is between rows of a segment.
    """

    cuts: dict[str, int]
    spent: dict[str, Spent]
    held: tuple[Held, ...]
    partial: dict[tuple[int, str], int]

    def free_rows(self, candidate: Candidate) -> int:
        """How many rows of a segment go."""
        return sum(self.free_of(candidate, part) for part in candidate.parts)

    def free_of(self, candidate: Candidate, part: Part) -> int:
        """How many rows of a part go."""
        if part.last < self.cuts.get(part.retention_class, part.last):
            return part.rows - part.pinned
        return self.partial.get((candidate.info.id, part.retention_class), 0)


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
    spread: Spread = lambda name, first, last: None,
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
        history may go, so that expiry never stalls.
    spent : mapping of str to Spent, optional
        What went within the last day of uptime.
    force : bool
        Let all go that the rules ask for.
    spread : callable, optional
        How the rows of a piece that is longer than a day spread over its days, so that it can be
        cut at midnight; asked only when it is too much for the share.

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
    plan = ExpiryPlan({}, {}, (), {})
    held: list[Held] = []
    sizes = {c.info.id: c for c in candidates}
    for name, rule in sorted(rules.items()):
        pieces = _pieces(candidates, name, rule.summary_ns or 1)
        parts = [(p, c) for c in candidates for p in c.parts if p.retention_class == name]
        total = sum(c.size_of(p.rows) for p, c in parts)
        wanted = pieces[: _wanted(pieces, rule, total, now_ns)]
        before = (spent or {}).get(name, Spent())
        day = _Day(share * (total + before.size), before.size, before.day)
        count = len(wanted) if force else day.take(wanted)
        rest = wanted[count:]
        if count:
            plan.cuts[name] = wanted[count - 1].last + 1
        if rest and rest[0].day is None and not force:
            _cut_first(plan, name, rest, day, sizes=sizes, spread=spread)
        if name in plan.cuts and not force:
            plan.spent[name] = Spent(day.size - before.size, day.day)
        rest = [piece for piece in rest if piece.rows]
        if rest:
            rows, size = sum(p.rows for p in rest), sum(p.size for p in rest)
            held.append(Held(name, rows, size, rest[0].first, rest[-1].last, HELD))
    return ExpiryPlan(plan.cuts, plan.spent, tuple(held), plan.partial)


def _pieces(candidates: Sequence[Candidate], name: str, grain_ns: int) -> list[_Piece]:
    """Pieces of a class that hold rows which may go, oldest first; edges are multiples."""
    found: list[_Piece] = []
    parts = [
        (part, candidate)
        for candidate in candidates
        for part in candidate.parts
        if part.retention_class == name and part.rows > part.pinned
    ]
    for part, candidate in sorted(parts, key=lambda pair: (pair[0].first, pair[0].last)):
        first = part.first // grain_ns * grain_ns
        last = part.last // grain_ns * grain_ns + grain_ns - 1
        if not found or first > found[-1].last:
            found.append(_Piece(first, last))
        piece = found[-1]
        piece.last = max(piece.last, last)
        piece.rows += part.rows - part.pinned
        piece.size += candidate.size_of(part.rows - part.pinned)
    return found


def _wanted(pieces: Sequence[_Piece], rule: Rule, total: int, now_ns: int) -> int:
    """How many pieces the rule asks for."""
    if rule.summary_ns is not None:
        pieces = [piece for piece in pieces if piece.last < now_ns]
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


@dataclass(slots=True)
class _Day:
    """What may still go today."""

    limit: float
    size: int
    day: int | None

    def allows(self, size: int, day: int | None) -> bool:
        """Take so many bytes of one day of history, if the share or the day's turn lets them."""
        if self.size + size > self.limit:
            if day is None or self.day not in {None, day}:
                return False
            self.day = day
        self.size += size
        return True

    def take(self, pieces: Sequence[_Piece]) -> int:
        """How many of the pieces may go whole."""
        count = 0
        while count < len(pieces) and self.allows(pieces[count].size, pieces[count].day):
            count += 1
        return count


def _cut_first(
    plan: ExpiryPlan,
    name: str,
    rest: Sequence[_Piece],
    day: _Day,
    *,
    sizes: Mapping[int, Candidate],
    spread: Spread,
) -> None:
    """Cut the first of the pieces that are left at the midnight up to which its rows may go."""
    piece = rest[0]
    rows = spread(name, piece.first, piece.last)
    if rows is None:
        return
    for number in sorted({n for days in rows.values() for n in days}):
        counts = {segment: days.get(number, 0) for segment, days in rows.items()}
        size = sum(sizes[segment].size_of(count) for segment, count in counts.items())
        if not day.allows(size, number):
            return
        for segment, count in counts.items():
            if count:
                key = (segment, name)
                plan.partial[key] = plan.partial.get(key, 0) + count
                piece.rows -= count
                piece.size = max(0, piece.size - sizes[segment].size_of(count))
        plan.cuts[name] = piece.first = (number + 1) * DAY_NS
