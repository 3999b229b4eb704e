"""From what stations reported of one unit to its visits. Pure; never drops a report.

The rules, in one place:

* An arrival opens a visit; work, its end and the departure belong to the visit open there.
* A unit may seem to be at two stations (clocks differ): a departure still closes its own visit, as
  long as no later visit was closed before it.
* Out without in: the visit begins where the one before ended, at the earliest at birth, and is
  flagged ``in_inferred``. In without out: it ends where the next one begins, ``out_inferred``.
* Work that starts again after it ended is another attempt in the same stay: the visit is cut there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from historian.genealogy.records import Visit

ARRIVED, STARTED, COMPLETED, DEPARTED = (
    "unit_arrived",
    "work_started",
    "work_completed",
    ("unit_departed"),
)


class Step(NamedTuple):
    """One report of a station on the unit."""

    time_ns: int
    kind: str  # one of the four above
    station: str
    nest: str | None
    carrier: str | None
    verdict: str | None
    recipe: str | None
    inherited_from: str | None
    flags: tuple[str, ...] = ()


class Left(NamedTuple):
    """How the panel's stay at a station ended, after its boards were split from it."""

    end_ns: int | None
    verdict: str | None
    out_ns: int | None


@dataclass(slots=True)
class _Draft:
    station: str
    first_ns: int
    nest: str | None = None
    carrier: str | None = None
    recipe: str | None = None
    in_ns: int | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    out_ns: int | None = None
    verdict: str | None = None
    inherited_from: str | None = None
    flags: dict[str, None] = field(default_factory=dict)  # in order, each once

    def known_ns(self) -> list[int]:
        times = (self.in_ns, self.start_ns, self.end_ns, self.out_ns)
        return [t for t in times if t is not None]


class _Machine:
    def __init__(self) -> None:
        self.drafts: list[_Draft] = []
        self.open: dict[str, _Draft] = {}
        self.last: _Draft | None = None  # the visit closed last

    def take(self, step: Step) -> None:
        draft = _HANDLERS[step.kind](self, step)
        draft.nest = draft.nest or step.nest
        draft.carrier = draft.carrier or step.carrier
        draft.recipe = draft.recipe or step.recipe
        draft.flags.update(dict.fromkeys(step.flags))
        if step.verdict is not None:
            if draft.verdict not in (None, step.verdict):
                draft.flags["verdicts_differ"] = None
            draft.verdict = step.verdict

    def _begin(self, step: Step) -> _Draft:
        draft = _Draft(step.station, step.time_ns, inherited_from=step.inherited_from)
        self.drafts.append(draft)
        self.open[step.station] = draft
        return draft

    def arrived(self, step: Step) -> _Draft:
        draft = self.open.get(step.station)
        if draft is None or draft.in_ns is not None or draft.end_ns is not None:
            draft = self._begin(step)
        draft.in_ns = step.time_ns
        return draft

    def started(self, step: Step) -> _Draft:
        draft = self.open.get(step.station) or self._begin(step)
        if draft.end_ns is not None:
            draft.out_ns = step.time_ns
            draft.flags["out_inferred"] = None
            again = self._begin(step)
            again.nest, again.carrier, again.in_ns = draft.nest, draft.carrier, step.time_ns
            again.flags["in_inferred"] = None
            draft = again
        if draft.start_ns is None:
            draft.start_ns = step.time_ns
        else:
            draft.flags["repeated_start"] = None
        return draft

    def completed(self, step: Step) -> _Draft:
        draft = self.open.get(step.station)
        last = self.last
        if draft is None and last is not None and last.station == step.station:
            moved_on = any(d.first_ns > last.first_ns for d in self.open.values())
            if last.end_ns is None and not moved_on:
                draft = last
                draft.flags["end_after_out"] = None
        draft = draft or self._begin(step)
        draft.end_ns = step.time_ns
        return draft

    def departed(self, step: Step) -> _Draft:
        draft = self.open.get(step.station) or self._begin(step)
        draft.out_ns = step.time_ns
        del self.open[step.station]
        for station in [s for s, d in self.open.items() if d.first_ns < draft.first_ns]:
            del self.open[station]  # a later visit is over: these will not be closed any more
        self.last = draft
        return draft


_HANDLERS = {
    ARRIVED: _Machine.arrived,
    STARTED: _Machine.started,
    COMPLETED: _Machine.completed,
    DEPARTED: _Machine.departed,
}


def derive_visits(
    steps: Iterable[Step],
    *,
    birth_ns: int | None = None,
    ended_ns: int | None = None,
    left: Mapping[str, Left] | None = None,
) -> tuple[Visit, ...]:
    """Visits of one unit.

    Parameters
    ----------
    steps : iterable of Step
        Ascending in time; at one time in the order arrived, started, completed, departed.
    birth_ns : int, optional
        When the unit came to be; no inferred arrival is earlier.
    ended_ns : int, optional
        When a panel was split: it is nowhere any more.
    left : mapping of str to Left, optional
        How the panel ended its stay at a station after the split: its boards' stay ended with
        it, unless they report otherwise.

    Returns
    -------
    tuple of Visit
        Ascending in ``in_ns``.
    """
    machine = _Machine()
    for _, run in groupby(steps, key=attrgetter("time_ns")):
        for step in _closing_first(list(run), machine.open):
            machine.take(step)
    drafts = sorted(machine.drafts, key=attrgetter("first_ns"))
    _infer_ins(drafts, birth_ns)
    drafts.sort(key=attrgetter("in_ns"))
    _infer_outs(drafts, left or {}, ended_ns)
    return tuple(_numbered(drafts))


def _closing_first(run: list[Step], opened: Mapping[str, _Draft]) -> list[Step]:
    """At one instant a unit may leave a station and arrive there again: leaving comes first."""
    if len(run) == 1:
        return run
    again = {s.station for s in run if s.kind == ARRIVED} & {
        s.station for s in run if s.kind == DEPARTED
    }
    first = [s for s in run if s.station in again and s.station in opened and s.kind == DEPARTED]
    return first + [s for s in run if s not in first]


def _infer_ins(drafts: list[_Draft], birth_ns: int | None) -> None:
    before_ns = birth_ns
    for draft in drafts:
        if draft.in_ns is None:
            bound = draft.first_ns if before_ns is None else min(before_ns, draft.first_ns)
            draft.in_ns = bound
            draft.flags["in_inferred"] = None
        elif draft.start_ns is not None and draft.start_ns < draft.in_ns:
            draft.flags["start_before_in"] = None
        known = max(draft.known_ns())
        before_ns = known if before_ns is None else max(before_ns, known)


def _infer_outs(drafts: list[_Draft], left: Mapping[str, Left], ended_ns: int | None) -> None:
    for i, draft in enumerate(drafts):
        following = drafts[i + 1].in_ns if i + 1 < len(drafts) else None
        if draft.out_ns is not None:
            if following is not None and following < draft.out_ns:
                draft.flags["overlaps_next"] = None
            continue
        stay = left.get(draft.station) if draft.inherited_from is not None else None
        if stay is not None and draft.end_ns is None:
            draft.end_ns = stay.end_ns
            draft.verdict = draft.verdict or stay.verdict
        left_ns = None if stay is None else stay.out_ns
        bounds = [t for t in (following, left_ns, ended_ns) if t is not None]
        if bounds:
            bound = min(bounds)
            draft.out_ns = max(bound, *draft.known_ns())
            draft.flags["out_from_panel" if bound == left_ns else "out_inferred"] = None
        else:
            draft.flags["open"] = None


def _numbered(drafts: list[_Draft]) -> Iterable[Visit]:
    attempts: dict[str, int] = {}
    loop = 0
    for draft in drafts:
        attempt = attempts[draft.station] = attempts.get(draft.station, 0) + 1
        loop = max(loop, attempt - 1)
        assert draft.in_ns is not None
        yield Visit(
            station=draft.station,
            nest=draft.nest,
            carrier=draft.carrier,
            attempt=attempt,
            loop=loop,
            in_ns=draft.in_ns,
            start_ns=draft.start_ns,
            end_ns=draft.end_ns,
            out_ns=draft.out_ns,
            verdict=draft.verdict,
            recipe=draft.recipe,
            flags=tuple(sorted(draft.flags)),
            inherited_from=draft.inherited_from,
        )


def work_window(visit: Visit, limit_ns: int) -> tuple[int, int]:
    """When material may have gone into the unit during a visit: ``[start, end)``, never empty.

    The reported work where there is one, else the stay; an inferred or missing bound is believed
    no further than ``limit_ns`` away from what was reported.
    """
    in_known = "in_inferred" not in visit.flags
    out_known = visit.out_ns is not None and "out_inferred" not in visit.flags
    reported = [visit.start_ns, visit.end_ns]
    reported += [visit.in_ns] if in_known else []
    reported += [visit.out_ns] if out_known else []
    known = [t for t in reported if t is not None]
    if visit.start_ns is not None:
        start_ns = visit.start_ns
    elif in_known:
        start_ns = visit.in_ns
    else:
        start_ns = max(visit.in_ns, min(known, default=visit.in_ns) - limit_ns)
    if visit.end_ns is not None:
        end_ns = visit.end_ns
    else:
        far_ns = max(known, default=visit.in_ns) + limit_ns
        end_ns = far_ns if visit.out_ns is None else visit.out_ns
        end_ns = end_ns if out_known else min(end_ns, far_ns)
    return start_ns, max(end_ns, start_ns + 1)
