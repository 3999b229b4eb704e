"""What expiry says and remembers: reports, groups to commit as one, the ledger of the last day."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage_engine.columns import Rows
from storage_engine.pins import Pins
from storage_engine.retention import DAY_NS, Candidate, ExpiryPlan, Held, Part, Rule, Spent
from storage_engine.sample import BoolArray, Int64Array
from storage_engine.segment.layout import SegmentInfo
from storage_engine.segment.reader import Directory
from storage_engine.streams import StreamInfo


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run was called with; see ``Engine.expire``."""

    rules: Mapping[str, Rule]
    pins: Pins
    now_ns: int
    uptime_ns: int
    share: float
    force: bool


@dataclass(frozen=True, slots=True)
class Run:
    """One run in the making."""

    streams: Mapping[int, StreamInfo]
    pins: Pins
    plan: ExpiryPlan
    now_ns: int

    def keep(self, stream_id: int, rows: Rows) -> BoolArray | None:
        """Mask of rows of a stream that stay; None for all.

        Parameters
        ----------
        stream_id : int
        rows : Rows
            n rows.

        Returns
        -------
        bool, shape (n,), or None
        """
        cut = self.plan.cuts.get(self.streams[stream_id].retention_class)
        if cut is None:
            return None
        stay: BoolArray = rows.timestamp_ns >= cut
        stay |= self.pins.mask(stream_id, rows.timestamp_ns)
        return stay


@dataclass(frozen=True, slots=True)
class ClassExpiry:
    """What a run did to one retention class, or would do.

    Attributes
    ----------
    retention_class : str
    rows, size : int
        Rows and their bytes on disk that went.
    rows_before, size_before : int
        What its segments held.
    pinned_rows : int
        Of these, rows in pinned windows that are old enough for some rule.
    oldest_before_ns, oldest_after_ns : int or None
        Oldest time; pinned rows count.
    cut_ns : int or None
        Rows before it went in this run, pinned ones apart.
    horizon_ns : int or None
        History is complete from here on; before it only pinned rows and late data are left.
    summary_rows : int
        Summaries made of rows that went.
    """

    retention_class: str
    rows: int
    size: int
    rows_before: int
    size_before: int
    pinned_rows: int
    oldest_before_ns: int | None
    oldest_after_ns: int | None
    cut_ns: int | None
    horizon_ns: int | None
    summary_rows: int = 0


@dataclass(frozen=True, slots=True)
class ExpiryReport:
    """What a run did, or would do.

    Attributes
    ----------
    dry_run, forced : bool
    now_ns : int
        The time that ages were counted from.
    classes : tuple of ClassExpiry
        Every class that has segments, by name.
    dropped, rewritten : tuple of str
        Paths of segments that are gone whole, and that others took the place of.
    damaged : tuple of str
        Paths of segments among these, or left alone, that could not be read whole.
    held : tuple of Held
        What the rules ask for and the day's share does not let go yet.
    """

    dry_run: bool
    forced: bool
    now_ns: int
    classes: tuple[ClassExpiry, ...]
    dropped: tuple[str, ...]
    rewritten: tuple[str, ...]
    damaged: tuple[str, ...]
    held: tuple[Held, ...]


def commit_groups(going: Iterable[Candidate]) -> list[list[Candidate]]:
    """Segments that overlap in time, to be committed as one.

    Parameters
    ----------
    going : iterable of Candidate

    Returns
    -------
    list of list of Candidate
        Oldest first.
    """
    found: list[list[Candidate]] = []
    last = 0
    for candidate in sorted(going, key=lambda c: (c.info.first, c.info.id)):
        if not found or candidate.info.first > last:
            found.append([])
            last = candidate.info.last
        found[-1].append(candidate)
        last = max(last, candidate.info.last)
    return found


def class_reports(
    candidates: Sequence[Candidate],
    plan: ExpiryPlan,
    done: set[int],
    horizons: Mapping[str, int],
    summary_rows: Mapping[str, int],
) -> tuple[ClassExpiry, ...]:
    """What went and what is left, per class.

    Parameters
    ----------
    candidates : sequence of Candidate
        All live segments as they were.
    plan : ExpiryPlan
    done : set of int
        Segments that lost what the plan says.
    horizons : mapping of str to int
        Those of earlier runs.
    summary_rows : mapping of str to int
        Summaries made.

    Returns
    -------
    tuple of ClassExpiry
        By name.
    """
    names = sorted({part.retention_class for c in candidates for part in c.parts})
    found = []
    for name in names:
        own = [(p, c) for c in candidates for p in c.parts if p.retention_class == name]
        cut = plan.cuts.get(name)
        gone = [(plan.free_of(c, p), c) for p, c in own if c.info.id in done]
        left = [
            p.first if p.pinned or cut is None or not plan.free_of(c, p) else max(cut, p.first)
            for p, c in own
            if c.info.id not in done or plan.free_of(c, p) < p.rows
        ]
        horizon = max((h for h in (cut, horizons.get(name)) if h is not None), default=None)
        found.append(
            ClassExpiry(
                retention_class=name,
                rows=sum(rows for rows, _ in gone),
                size=sum(c.size_of(rows) for rows, c in gone),
                rows_before=sum(p.rows for p, _ in own),
                size_before=sum(c.size_of(p.rows) for p, c in own),
                pinned_rows=sum(p.pinned for p, _ in own),
                oldest_before_ns=min((p.first for p, _ in own), default=None),
                oldest_after_ns=min(left, default=None),
                cut_ns=cut,
                horizon_ns=horizon,
                summary_rows=summary_rows.get(name, 0),
            )
        )
    return tuple(found)


class Ledger:
    """What went within the last day of uptime, per class.

    An entry carries its age instead of a time of day, so that it means the same after a restart and
    whatever the clock says. The time between a stored age and the end of the process is not
    counted: a restart can make the day longer, never shorter.
    """

    def __init__(self) -> None:
        self._entries: list[tuple[str, int, int | None, int]] = []

    @classmethod
    def load(cls, stored: Iterable[Any], uptime_ns: int) -> "Ledger":
        """Read what :meth:`store` gave, in a process that is up for ``uptime_ns``.

        Parameters
        ----------
        stored : iterable of [str, int, int or None, int]
        uptime_ns : int

        Returns
        -------
        Ledger
        """
        ledger = cls()
        for name, size, day, age_ns in stored:
            ledger._entries.append((str(name), int(size), day, uptime_ns - int(age_ns)))
        return ledger

    def store(self, uptime_ns: int) -> list[list[Any]]:
        """Entries younger than a day as JSON: class, bytes, day or null, age in nanoseconds."""
        return [
            [name, size, day, uptime_ns - made_ns]
            for name, size, day, made_ns in self._entries
            if uptime_ns - made_ns < DAY_NS
        ]

    def add(self, spent: Mapping[str, Spent], uptime_ns: int) -> None:
        """Enter what a run lets go, and forget what is older than a day."""
        self._entries = [e for e in self._entries if uptime_ns - e[3] < DAY_NS]
        for name, one in spent.items():
            if one.size or one.day is not None:
                self._entries.append((name, one.size, one.day, uptime_ns))

    def spent(self, uptime_ns: int) -> dict[str, Spent]:
        """Sums of the last day per class."""
        found: dict[str, Spent] = {}
        for name, size, day, made_ns in self._entries:
            if uptime_ns - made_ns < DAY_NS:
                before = found.get(name, Spent())
                found[name] = Spent(before.size + size, before.day if day is None else day)
        return found


def is_strange(directory: Directory, class_of: Int64Array) -> bool:
    """Whether a directory names a stream that the store does not know.

    Parameters
    ----------
    directory : Directory
    class_of : int64, shape (ids,)
        Per stream id.

    Returns
    -------
    bool
    """
    streams = directory.table["run_stream"]
    return len(streams) == 0 or int(streams.max()) >= len(class_of)


def unread(info: SegmentInfo, pins: Pins, *, damaged: bool = False) -> Candidate:
    """A segment of which nothing more is known than what the manifest says.

    Parameters
    ----------
    info : SegmentInfo
    pins : Pins
        One that touches it holds all of it.
    damaged : bool
        Then nobody can say of which streams the rows are, and so by which class they go: all stay.

    Returns
    -------
    Candidate
    """
    pinned = info.rows if damaged or pins.touches(info.first, info.last) else 0
    part = Part(info.retention_class, info.first, info.last, info.rows, pinned)
    return Candidate(info, (part,), damaged)


def left_alone(candidate: Candidate) -> Candidate:
    """The segment with every row held, since rewriting it failed.

    Parameters
    ----------
    candidate : Candidate

    Returns
    -------
    Candidate
    """
    parts = (Part(p.retention_class, p.first, p.last, p.rows, p.rows) for p in candidate.parts)
    return Candidate(candidate.info, tuple(parts), candidate.damaged)


def horizon_of(asked: Asked) -> float:
    """Time before which some rule may ask for rows.

    Parameters
    ----------
    asked : Asked

    Returns
    -------
    float
        Nanoseconds, or an infinity.
    """
    rules = asked.rules.values()
    if any(rule.bytes_max is not None for rule in rules):
        return math.inf
    return max((asked.now_ns - r.age_ns for r in rules if r.age_ns is not None), default=-math.inf)
