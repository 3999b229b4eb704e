"""Who was at a station when: stays and work of all units, as columns per station."""

from dataclasses import dataclass

import numpy as np

from historian.genealogy.units import UnitView
from storage_engine.sample import Int64Array


@dataclass(frozen=True, slots=True)
class Stays:
    """Time that units themselves spent at a station (a board on its panel is not counted).

    Both int64, shape (n,), ascending in ``start_ns``; half-open.
    """

    start_ns: Int64Array
    end_ns: Int64Array


class Stations:
    """Visits per station. ``put`` replaces what is known of a unit.

    Parameters
    ----------
    open_visit_ns_max : int
        How long a unit counts as being where it was last seen.
    """

    def __init__(self, open_visit_ns_max: int) -> None:
        self._limit_ns = open_visit_ns_max
        self._work: dict[int, dict[int, list[tuple[int, int]]]] = {}  # station -> unit -> windows
        self._stays: dict[int, dict[int, list[tuple[int, int]]]] = {}
        self._where: dict[int, set[int]] = {}  # unit -> stations
        self._work_columns: dict[int, tuple[Int64Array, Int64Array, Int64Array]] = {}
        self._stay_columns: dict[int, Stays] = {}

    def put(self, unit: int, views: tuple[UnitView, ...]) -> None:
        """Take the visits of a unit, in place of those known before."""
        stations = {s for view in views for s in view.stations}
        for station in self._where.get(unit, set()) | stations:
            self._work.setdefault(station, {}).pop(unit, None)
            self._stays.setdefault(station, {}).pop(unit, None)
            self._work_columns.pop(station, None)
            self._stay_columns.pop(station, None)
        self._where[unit] = stations
        for view in views:
            for visit, station in enumerate(view.stations):
                self._work[station].setdefault(unit, []).append(view.windows[visit])
                start_ns, end_ns = self.own_stay(view, visit)
                if start_ns < end_ns:
                    self._stays[station].setdefault(unit, []).append((start_ns, end_ns))

    def stay(self, view: UnitView, visit: int) -> tuple[int, int]:
        """Bounds of a visit, an open one ended ``open_visit_ns_max`` after it was last seen."""
        v = view.visits[visit]
        if v.out_ns is not None:
            return v.in_ns, v.out_ns
        last_ns = max(t for t in (v.in_ns, v.start_ns, v.end_ns) if t is not None)
        return v.in_ns, last_ns + self._limit_ns

    def own_stay(self, view: UnitView, visit: int) -> tuple[int, int]:
        """Part of a visit in which the unit stood there itself, not on its panel; may be empty."""
        start_ns, end_ns = self.stay(view, visit)
        if view.ended_ns is not None:
            end_ns = max(start_ns, min(end_ns, view.ended_ns))
        if view.visits[visit].inherited_from is None:
            return start_ns, end_ns
        split_ns = view.unit.split_ns
        return (end_ns, end_ns) if split_ns is None else (max(start_ns, split_ns), end_ns)

    def working(self, station: int, start_ns: int, end_ns: int) -> list[int]:
        """Units whose work at the station overlaps ``[start, end)``, each once, in no order."""
        columns = self._work_columns.get(station)
        if columns is None:
            rows = [
                (unit, *window)
                for unit, windows in self._work.get(station, {}).items()
                for window in windows
            ]
            table = np.array(rows, dtype=np.int64).reshape(-1, 3)
            columns = (table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy())
            self._work_columns[station] = columns
        unit, start, end = columns
        low, high = max(start_ns, -(2**63)), min(end_ns, 2**63 - 1)
        found: list[int] = np.unique(unit[(start < high) & (end > low)]).tolist()
        return found

    def stays(self, station: int) -> Stays:
        """All stays at a station."""
        columns = self._stay_columns.get(station)
        if columns is None:
            rows = [r for stays in self._stays.get(station, {}).values() for r in stays]
            table = np.array(sorted(rows), dtype=np.int64).reshape(-1, 2)
            columns = Stays(table[:, 0].copy(), table[:, 1].copy())
            self._stay_columns[station] = columns
        return columns

    def units_at(self, station: int, time_ns: int) -> int:
        """How many units stood at a station at a time."""
        stays = self.stays(station)
        return int(np.count_nonzero((stays.start_ns <= time_ns) & (stays.end_ns > time_ns)))
