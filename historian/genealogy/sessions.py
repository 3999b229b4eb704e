"""Pairs of load and unload become sessions; what one of them did not report is inferred, flagged.

Pure functions over lists in order of time. A slot holds one lot at a time; a station without named
slots holds one lot per part. A carrier holds one unit per nest.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple


class SlotEvent(NamedTuple):
    """A load or unload at one slot."""

    time_ns: int
    load: bool
    lot: str | None
    part: str | None


class CarrierEvent(NamedTuple):
    """A load or unload of one carrier; an unload without a unit empties it."""

    time_ns: int
    load: bool
    unit: int
    nest: str | None


class SlotSession(NamedTuple):
    """A lot at a slot, ``[start, end)``; None where it is not known to begin or to end."""

    start_ns: int | None
    end_ns: int | None
    lot: str
    part: str | None
    flags: tuple[str, ...]


class UnitSession(NamedTuple):
    """A unit in a carrier, ``[start, end)``; None where it is not known to begin or to end."""

    start_ns: int | None
    end_ns: int | None
    nest: str | None
    flags: tuple[str, ...]


@dataclass(slots=True, eq=False)
class _Open:
    lot: str
    part: str | None
    start_ns: int | None
    end_ns: int | None = None
    flags: tuple[str, ...] = ()
    replaced_by: "_Open | None" = field(default=None, repr=False)


def slot_sessions(events: Iterable[SlotEvent], *, single: bool) -> list[SlotSession]:
    """Sessions of the lots at one slot.

    Parameters
    ----------
    events : iterable of SlotEvent
        Ascending in time.
    single : bool
        Whether the slot holds one lot at a time; else one lot per part.

    Returns
    -------
    list of SlotSession
        Ascending in start. A load without unload ends at the load that replaced it
        (``unload_inferred``); an unload without load begins where the slot was last known to hold
        something else, or at no known time (``load_inferred``). A lot that is unloaded after
        another was loaded overlaps it: both are candidates then.
    """
    every: list[_Open] = []
    opened: list[_Open] = []
    last_ns: int | None = None  # newest time at which something else was known to be here
    for event in events:
        if event.load and event.lot is not None:
            if opened and opened[-1].lot == event.lot:
                continue  # announced again
            new = _Open(event.lot, event.part, event.time_ns)
            for old in opened:
                if old.replaced_by is None and (single or _same(old.part, new.part)):
                    old.replaced_by = new
            every.append(new)
            opened.append(new)
        elif not event.load:
            match = next((o for o in reversed(opened) if event.lot in (None, o.lot)), None)
            if match is None:
                if event.lot is None:
                    continue
                starts = [o.start_ns for o in opened if o.start_ns is not None]
                known = [*starts, last_ns] if last_ns is not None else starts
                match = _Open(event.lot, None, max(known, default=None), flags=("load_inferred",))
                every.append(match)
            else:
                opened.remove(match)
            match.end_ns = last_ns = event.time_ns
            opened = _settled(opened)
    for old in opened:
        if old.replaced_by is not None:
            _end(old)
    sessions = [SlotSession(o.start_ns, o.end_ns, o.lot, o.part, o.flags) for o in every]
    return sorted(sessions, key=_start)


def _settled(opened: list[_Open]) -> list[_Open]:
    """End what was replaced by a session that has ended; its own unload will not come."""
    rest = []
    for old in opened:
        if old.replaced_by is not None and old.replaced_by.end_ns is not None:
            _end(old)
        else:
            rest.append(old)
    return rest


def _end(old: _Open) -> None:
    assert old.replaced_by is not None
    old.end_ns = old.replaced_by.start_ns
    old.flags = (*old.flags, "unload_inferred")


def _same(a: str | None, b: str | None) -> bool:
    return a is not None and a == b


def _start(session: SlotSession) -> tuple[int, int, str]:
    start_ns, end_ns = session.start_ns, session.end_ns
    return (
        -(2**63) if start_ns is None else start_ns,
        2**63 if end_ns is None else end_ns,
        session.lot,
    )


def carrier_sessions(events: Iterable[CarrierEvent]) -> dict[int, tuple[UnitSession, ...]]:
    """Sessions of the units in one carrier, per unit, ascending.

    A load into a nest ends the session of whatever was in that nest (``unload_inferred``). An
    unload without load has no known start (``load_inferred``), and stands for no time at all.
    """
    opened: dict[int, tuple[int, str | None]] = {}
    done: dict[int, list[UnitSession]] = {}

    def end(unit: int, end_ns: int | None, flags: tuple[str, ...]) -> None:
        start_ns, nest = opened.pop(unit)
        done.setdefault(unit, []).append(UnitSession(start_ns, end_ns, nest, flags))

    for event in events:
        if event.load:
            if event.unit in opened or not event.unit:
                continue  # announced again
            if event.nest is not None:
                for unit in [u for u, (_, nest) in opened.items() if nest == event.nest]:
                    end(unit, event.time_ns, ("unload_inferred",))
            opened[event.unit] = (event.time_ns, event.nest)
        elif not event.unit:
            for unit in list(opened):
                end(unit, event.time_ns, ())
        elif event.unit in opened:
            end(event.unit, event.time_ns, ())
        else:
            done.setdefault(event.unit, []).append(
                UnitSession(None, event.time_ns, event.nest, ("load_inferred",))
            )
    for unit in list(opened):
        end(unit, None, ())
    return {unit: tuple(sessions) for unit, sessions in done.items()}
