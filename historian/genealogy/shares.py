"""A unit's share of what its stations used: by the time it stood there, and by who else did.

At every instant the energy of a station's meter is divided equally among the units standing there;
a panel counts as one, and its share is divided equally among its boards. Shares of all units and
what was used while nobody was there add up to the meter.
"""

from dataclasses import dataclass

import numpy as np

from historian.energy import Energy
from historian.genealogy.genealogy import Genealogy
from historian.genealogy.units import UnitView
from storage_engine.sample import Int64Array

NOT_OVER = "the visit is not over"


@dataclass(frozen=True, slots=True)
class MeterShare:
    """A visit's share of one meter.

    Attributes
    ----------
    visit : int
        Position among the unit's visits.
    energy : float or None
        In ``eng_unit``; None when not known, ``reason`` says why.
    estimated : bool
        Reads were interpolated.
    shared_by : int
        How many units, boards on one panel counted each, had a share at most at one time.
    """

    visit: int
    meter: str
    eng_unit: str
    energy: float | None
    estimated: bool
    reason: str | None
    shared_by: int


def energy_shares(genealogy: Genealogy, energy: Energy, view: UnitView) -> list[MeterShare]:
    """Shares of all visits of a unit, one per meter of the station.

    Parameters
    ----------
    genealogy : Genealogy
        Says who stood there.
    energy : Energy
    view : UnitView

    Returns
    -------
    list of MeterShare
        In order of visits; none for a station without a meter.
    """
    return [
        _share(genealogy, energy, view, visit, meter)
        for visit, v in enumerate(view.visits)
        for meter in energy.at_station(v.station)
    ]


def _share(
    genealogy: Genealogy, energy: Energy, view: UnitView, visit: int, meter: str
) -> MeterShare:
    v = view.visits[visit]
    unit = energy.eng_unit(meter)
    if v.out_ns is None:
        return MeterShare(visit, meter, unit, None, False, NOT_OVER, 0)
    total, estimated, shared_by = 0.0, False, 0
    for start_ns, end_ns, boards in _parts(genealogy, view, visit):
        edges, count = _pieces(genealogy, v.station, start_ns, end_ns)
        found = energy.windows(meter, edges[:-1], edges[1:])
        if not found.valid.all():
            reason = next(r for r in found.reasons() if r is not None)
            return MeterShare(visit, meter, unit, None, False, reason, 0)
        total += float(np.sum(found.energy / count)) / boards
        estimated |= bool(found.estimated.any())
        shared_by = max(shared_by, int(count.max()) * boards)
    return MeterShare(visit, meter, unit, total, estimated, None, shared_by)


def _parts(genealogy: Genealogy, view: UnitView, visit: int) -> list[tuple[int, int, int]]:
    """Stretches of a visit with the boards that share each: on the panel, then alone."""
    start_ns, end_ns = genealogy.stay(view, visit)
    own_start_ns, own_end_ns = genealogy.own_stay(view, visit)
    parts = []
    if view.visits[visit].inherited_from is not None:
        on_panel_ns = min(end_ns, own_start_ns)
        boards = max(1, len(genealogy.children(view.unit.parent or "")))
        if start_ns < on_panel_ns:
            parts.append((start_ns, on_panel_ns, boards))
    if own_start_ns < own_end_ns:
        parts.append((own_start_ns, own_end_ns, 1))
    return parts


def _pieces(
    genealogy: Genealogy, station: str, start_ns: int, end_ns: int
) -> tuple[Int64Array, Int64Array]:
    """Edges at which somebody came or went, and how many stood there between them (at least 1)."""
    stays = genealogy.stays(station)
    there = (stays.start_ns < end_ns) & (stays.end_ns > start_ns)
    starts, ends = stays.start_ns[there], stays.end_ns[there]
    inner = np.concatenate([starts, ends])
    inner = inner[(inner > start_ns) & (inner < end_ns)]
    edges = np.unique(np.concatenate([[start_ns], inner, [end_ns]])).astype(np.int64)
    came = np.searchsorted(np.sort(starts), edges[:-1], side="right")
    gone = np.searchsorted(np.sort(ends), edges[:-1], side="right")
    return edges, np.maximum(came - gone, 1)
