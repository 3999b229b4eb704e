"""The passport of a unit: everything that was measured, seen, used and consumed while it was made.

How it is made (the runtime's part)::

    passport = PassportBuilder(genealogy, energy, query, catalog, config)
    passport.passport("B6553F100-00001-1")      # a dict of plain values, ready for JSON

Times are integers in nanoseconds UTC under keys that end in ``_ns``. What is not known is null and
named under ``gaps``; nothing is filled in.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from typing import Any, Protocol

from historian.energy import Energy
from historian.genealogy.genealogy import Genealogy
from historian.genealogy.records import Evidence, MaterialUse, TestResult, VisionEvent
from historian.genealogy.shares import energy_shares
from historian.genealogy.units import UnitView
from query.columns import NUMERIC
from query.errors import QueryError
from query.request import AggregateRequest
from query.result import AggregateResult
from storage_engine.sample import ValueType

NUMBERS = ("Count", "Minimum", "Maximum", "TimeAverage2", "PercentGood")
OTHERS = ("Count", "PercentGood")
GAP_SEARCH_NS = 86_400_000_000_000  # a gap is reported at latest a day after it ended
_NO_GAPS = {"out_from_panel"}  # flags that say how something is known, not that it is not
_KEYS = {
    "Count": "count",
    "Minimum": "minimum",
    "Maximum": "maximum",
    "TimeAverage2": "time_average",
    "PercentGood": "percent_good",
}


class Station(Protocol):
    """What must be declared of a station; ``historian.config`` fulfils it."""

    @property
    def name(self) -> str:
        """Name in station events."""
        ...

    @property
    def line(self) -> str:
        """Line it stands in."""
        ...

    @property
    def tags(self) -> tuple[str, ...]:
        """Names of its tags as shell patterns."""
        ...


class Config(Protocol):
    """The part of the configuration that a passport needs."""

    @property
    def stations(self) -> Sequence[Station]:
        """Declared stations."""
        ...


class CatalogTag(Protocol):
    """The part of a tag that a passport needs."""

    @property
    def name(self) -> str:
        """Unique name."""
        ...

    @property
    def eng_unit(self) -> str:
        """Engineering unit."""
        ...

    @property
    def type(self) -> ValueType:
        """Type of its newest series."""
        ...


class Catalog(Protocol):
    """All tags; ``historian.catalog`` fulfils it."""

    def __len__(self) -> int:
        """How many tags there are; they are never renamed or removed."""
        ...

    def every(self) -> Sequence[CatalogTag]:
        """All tags, by name."""
        ...


class Aggregator(Protocol):
    """Aggregates of a tag; ``query.engine.Query`` fulfils it."""

    def aggregate(self, request: AggregateRequest) -> AggregateResult:
        """Aggregates per interval."""
        ...


class PassportBuilder:
    """Builds passports from what is derived and from the samples of bound tags.

    Parameters
    ----------
    genealogy : Genealogy
    energy : Energy
    query : Aggregator
    catalog : Catalog
    config : Config
        Its stations bind tags by shell patterns.
    """

    def __init__(
        self,
        genealogy: Genealogy,
        energy: Energy,
        query: Aggregator,
        catalog: Catalog,
        config: Config,
    ) -> None:
        self._genealogy = genealogy
        self._energy = energy
        self._query = query
        self._catalog = catalog
        self._stations = {station.name: station for station in config.stations}
        self._bound: dict[str, tuple[CatalogTag, ...]] = {}
        self._bound_of = -1  # number of tags when the bindings were worked out

    def passport(self, serial: str, product: str | None = None) -> dict[str, Any]:
        """Everything that is known of one unit.

        Parameters
        ----------
        serial : str
        product : str, optional
            Needed when units of several products bear the serial.

        Returns
        -------
        dict
            ``serial``, ``product``, ``unit``, ``visits`` (each with tags, statistics, tests,
            vision, materials, energy), ``unplaced`` (the same for what belongs to no visit),
            ``materials``, ``carriers``, ``moves``, ``energy``, ``gaps``, ``completeness``,
            ``watermark_lsn``, ``energy_watermark_lsn``.

        Raises
        ------
        UnknownUnit, AmbiguousUnit
        """
        genealogy = self._genealogy
        watermark_lsn = genealogy.watermark_lsn
        view = genealogy.view(serial, product)
        name = view.unit.key.product
        materials = genealogy.materials(serial, name)
        found = {
            "materials": [_material(use) for use in materials],
            "tests": [_result(test) for test in genealogy.tests(serial, name)],
            "vision": [_result(seen) for seen in genealogy.vision(serial, name)],
            "energy": [asdict(s) for s in energy_shares(genealogy, self._energy, view)],
        }
        visits = [self._visit(view, i, found) for i in range(len(view.visits))]
        gaps = _gaps(visits) + self._data_gaps(view)
        return {
            "serial": view.unit.key.serial,
            "product": name,
            "unit": _unit(view),
            "visits": visits,
            "unplaced": {
                kind: [row for row in rows if row["visit"] is None]
                for kind, rows in found.items()
                if kind != "energy"
            },
            "materials": found["materials"],
            "carriers": [asdict(session) for session in view.carriers],
            "moves": [asdict(move) for move in view.moves],
            "energy": _energy_of_unit(visits),
            "gaps": gaps,
            "completeness": _completeness(visits, materials, gaps, watermark_lsn),
            "watermark_lsn": watermark_lsn,
            "energy_watermark_lsn": self._energy.watermark_lsn,
        }

    def _visit(
        self, view: UnitView, index: int, found: Mapping[str, list[dict[str, Any]]]
    ) -> dict[str, Any]:
        visit = view.visits[index]
        station = self._stations.get(visit.station)
        start_ns, end_ns = _window(view, self._genealogy, index)
        tags = self._tags(visit.station)
        return {
            "index": index,
            **asdict(visit),
            "flags": list(visit.flags),
            "line": station.line if station else None,
            "declared": station is not None,
            "window": {"start_ns": start_ns, "end_ns": end_ns},
            "tags": [tag.name for tag in tags],
            "statistics": [self._statistics(tag, start_ns, end_ns) for tag in tags],
            **{kind: [r for r in rows if r["visit"] == index] for kind, rows in found.items()},
        }

    def _tags(self, station: str) -> tuple[CatalogTag, ...]:
        """Tags bound to a station, by name."""
        count = len(self._catalog)
        if count != self._bound_of:
            every = self._catalog.every()
            self._bound = {
                s.name: tuple(t for t in every if any(fnmatchcase(t.name, p) for p in s.tags))
                for s in self._stations.values()
            }
            self._bound_of = count
        return self._bound.get(station, ())

    def _statistics(self, tag: CatalogTag, start_ns: int, end_ns: int) -> dict[str, Any]:
        """What a tag measured in a window; ``error`` says why it cannot be told."""
        names = NUMBERS if tag.type in NUMERIC else OTHERS
        row: dict[str, Any] = {"tag": tag.name, "eng_unit": tag.eng_unit}
        try:
            found = self._query.aggregate(
                AggregateRequest(tag.name, start_ns, end_ns, 0, names, hold_last=True)
            )
        except QueryError as error:
            empty: dict[str, Any] = dict.fromkeys(_KEYS.values())
            return {**row, **empty, "samples_used": 0, "partial": None, "error": str(error)}
        for name, key in _KEYS.items():
            column = found.columns.get(name)
            known = column is not None and len(column.valid) and bool(column.valid[0])
            row[key] = _plain(column.value[0].item()) if known and column is not None else None
        row["samples_used"] = int(found.samples_used[0]) if len(found) else 0
        row["partial"] = bool(found.partial[0]) if len(found) else None
        return {**row, "error": None}

    def _data_gaps(self, view: UnitView) -> list[dict[str, Any]]:
        """Losses that collectors reported for the time in which the unit was made."""
        if not view.visits:
            return []
        start_ns = min(v.in_ns for v in view.visits)
        end_ns = max(_window(view, self._genealogy, i)[1] for i in range(len(view.visits)))
        lost = self._genealogy.losses(start_ns, end_ns, end_ns + GAP_SEARCH_NS)
        return [{"kind": "data_lost", "visit": None, **loss} for loss in lost]


def _window(view: UnitView, genealogy: Genealogy, index: int) -> tuple[int, int]:
    """Work of a visit where it was reported, else the stay; never empty."""
    visit = view.visits[index]
    in_ns, out_ns = genealogy.stay(view, index)
    start_ns = in_ns if visit.start_ns is None else visit.start_ns
    end_ns = out_ns if visit.end_ns is None else visit.end_ns
    return start_ns, max(end_ns, start_ns + 1)


def _unit(view: UnitView) -> dict[str, Any]:
    told = asdict(view.unit)
    del told["key"]
    return {**told, "children": list(view.unit.children)}


def _material(use: MaterialUse) -> dict[str, Any]:
    told = asdict(use)
    told["evidence"] = use.evidence.value
    return {**told, "alternatives": list(use.alternatives), "flags": list(use.flags)}


def _result(result: TestResult | VisionEvent) -> dict[str, Any]:
    return {**asdict(result), "evidence": result.evidence.value}


def _plain(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _energy_of_unit(visits: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum of the visits' shares per unit of measure, and whether it is all of it."""
    shares = [share for visit in visits for share in visit["energy"]]
    known = [share for share in shares if share["energy"] is not None]
    totals: dict[str, float] = {}
    for share in known:
        totals[share["eng_unit"]] = totals.get(share["eng_unit"], 0.0) + share["energy"]
    return {
        "totals": [{"eng_unit": unit, "energy": e} for unit, e in sorted(totals.items())],
        "estimated": any(share["estimated"] for share in known),
        "complete": len(known) == len(shares) and all(visit["energy"] for visit in visits),
    }


def _gaps(visits: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the visits do not tell, each with its place."""
    found: list[dict[str, Any]] = []
    for visit in visits:
        where = {"visit": visit["index"], "station": visit["station"]}
        found.extend({"kind": f, **where} for f in visit["flags"] if f not in _NO_GAPS)
        if not visit["energy"]:
            found.append({"kind": "no_meter", **where})
        for share in visit["energy"]:
            if share["energy"] is None:
                detail = f"{share['meter']}: {share['reason']}"
                found.append({"kind": "energy_unknown", **where, "detail": detail})
        for row in visit["statistics"]:
            if row["error"] is not None:
                found.append({"kind": "tag_unreadable", **where, "detail": row["error"]})
            elif not row["percent_good"]:
                found.append({"kind": "tag_without_good_data", **where, "detail": row["tag"]})
        for use in visit["materials"]:
            if use["evidence"] == Evidence.AMBIGUOUS.value:
                detail = f"{use['slot']}: {use['lot']}, one of {len(use['alternatives'])}"
                found.append({"kind": "material_ambiguous", **where, "detail": detail})
    return found


def _completeness(
    visits: Sequence[Mapping[str, Any]],
    materials: Sequence[MaterialUse],
    gaps: Sequence[Mapping[str, Any]],
    watermark_lsn: int,
) -> dict[str, Any]:
    """How much of the story is known, in numbers and in one sentence."""
    rows = [row for visit in visits for row in visit["statistics"]]
    shares = [share for visit in visits for share in visit["energy"]]
    kinds: dict[str, int] = {}
    for gap in gaps:
        kinds[gap["kind"]] = kinds.get(gap["kind"], 0) + 1
    listed = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    statement = f"Incomplete as known at lsn {watermark_lsn}: {listed}."
    if not gaps:
        statement = f"Complete as known at lsn {watermark_lsn}."
    return {
        "visits": len(visits),
        "visits_reported": sum(
            not {"in_inferred", "out_inferred", "open"} & set(v["flags"]) for v in visits
        ),
        "materials": {e.value: sum(u.evidence is e for u in materials) for e in Evidence},
        "tags": len(rows),
        "tags_with_good_data": sum(bool(row["percent_good"]) for row in rows),
        "energy": len(shares),
        "energy_known": sum(share["energy"] is not None for share in shares),
        "gaps": kinds,
        "statement": statement,
    }
