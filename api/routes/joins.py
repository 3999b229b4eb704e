"""Joins: what tags did while units were made. Questions come in a body, as columns."""

import asyncio
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Depends, Request
from pydantic import Field
from starlette.responses import Response

from api.documents import asked
from api.forms import form_of
from api.parameters import EngUnit, KnownParameters, Name, Parameters, no_parameters
from api.security import Reader, historian_of, known_lsn_of, now_ns_of
from api.serialize import damage_facts, table_response
from api.table import Table, TimeForm
from api.tables import tables_response
from api.times import parse_duration, parse_time
from query.joins.request import Direction, JoinTag, JoinTimesRequest, JoinWindowsRequest
from query.result import AsOfResult
from storage_engine.sample import ColumnData, Int64Array, ValueType

router = APIRouter(tags=["read"])
_ROWS_MAX = 200_000
TimeValue = Annotated[str, Field(min_length=1, max_length=64)] | int
Times = Annotated[list[TimeValue], Field(max_length=_ROWS_MAX)]


class TagOfJoin(Parameters):
    """A tag, how far its samples are behind, its band, and the unit that all is told in."""

    tag: Name
    shift: Annotated[str, Field(max_length=64)] = "0s"
    low: float | None = None
    high: float | None = None
    eng_unit: EngUnit | None = None

    def join_tag(self) -> JoinTag:
        """As query takes it."""
        sign, text = (-1, self.shift[1:]) if self.shift.startswith("-") else (1, self.shift)
        shift_ns = 0 if text in {"0", "0s"} else sign * parse_duration(text, "shift")
        low = float("-inf") if self.low is None else self.low
        high = float("inf") if self.high is None else self.high
        return JoinTag(self.tag, shift_ns, low, high, self.eng_unit)


class JoinParameters(KnownParameters):
    """What all joins with tags take."""

    tags: Annotated[list[TagOfJoin], Field(min_length=1, max_length=1_000)]
    uncertain: Literal["bad", "good"] = "bad"
    time: TimeForm = "ns"


class WindowJoin(JoinParameters):
    """Windows and tags."""

    start: Times
    end: Times
    stepped: bool | None = None
    hold_last: bool = False
    gaps: bool = True


class TimeJoin(JoinParameters):
    """Times and tags."""

    at: Times
    direction: Direction = "backward"
    strict: bool = False
    max_age: Annotated[str, Field(max_length=64)] | None = None
    usable: bool = False


class OverlapSide(Parameters):
    """Intervals."""

    start: Times
    end: Times


class OverlapJoin(Parameters):
    """Two sets of intervals."""

    left: OverlapSide
    right: OverlapSide
    least: Annotated[str, Field(max_length=64)] | None = None
    time: TimeForm = "ns"


@router.post("/v1/joins/windows", dependencies=[Depends(no_parameters)])
async def join_windows(request: Request, _: Reader) -> Response:
    """Answer, per tag and window, what was counted, held and measured in it."""
    parameters = await asked(request, WindowJoin)
    return await asyncio.to_thread(_windows, request, parameters)


@router.post("/v1/joins/as-of", dependencies=[Depends(no_parameters)])
async def join_as_of(request: Request, _: Reader) -> Response:
    """Answer, per tag and time, the sample that belongs to it."""
    parameters = await asked(request, TimeJoin)
    return await asyncio.to_thread(_as_of, request, parameters)


@router.post("/v1/joins/overlaps", dependencies=[Depends(no_parameters)])
async def join_overlaps(request: Request, _: Reader) -> Response:
    """Answer the pairs of two sets of intervals that share time."""
    parameters = await asked(request, OverlapJoin)
    return await asyncio.to_thread(_overlaps, request, parameters)


def _windows(request: Request, parameters: WindowJoin) -> Response:
    now_ns = now_ns_of(request)
    start, end = (_times(parameters, name, now_ns) for name in ("start", "end"))
    found = historian_of(request).query.join_windows(
        JoinWindowsRequest(
            tuple(tag.join_tag() for tag in parameters.tags),
            start,
            end,
            treat_uncertain_as_bad=parameters.uncertain == "bad",
            stepped=parameters.stepped,
            hold_last=parameters.hold_last,
            known_at_lsn=known_lsn_of(request, parameters),
            gaps=parameters.gaps,
        )
    )
    tables = []
    for tag, one in zip(found.tags, found.columns, strict=True):
        inside, known = one.count > 0, one.covered_ns > 0
        facts = {"tag": tag.name, "eng_unit": tag.eng_unit}
        columns: dict[str, Any] = {"rows": one.rows, "count": one.count}
        for name in ("first", "last", "minimum", "maximum"):
            columns[name] = _number(getattr(one, name), inside)
        columns["held"] = _number(one.held, one.has_held)
        for name in ("mean", "deviation", "integral"):
            columns[name] = _number(getattr(one, name), known)
        columns |= {"covered_ns": one.covered_ns, "in_band_ns": one.in_band_ns}
        tables.append(Table(facts, {"start": start, "end": end}, columns))
    facts = damage_facts(found.damage, parameters.time)
    return tables_response(request, tables, facts, parameters.time)


def _as_of(request: Request, parameters: TimeJoin) -> Response:
    times = _times(parameters, "at", now_ns_of(request))
    age = parameters.max_age
    found = historian_of(request).query.join_times(
        JoinTimesRequest(
            tuple(tag.join_tag() for tag in parameters.tags),
            times,
            parameters.direction,
            parameters.strict,
            None if age is None else parse_duration(age, "max_age"),
            parameters.usable,
            parameters.uncertain == "bad",
            known_lsn_of(request, parameters),
        )
    )
    tables = [
        Table({"tag": tag.name, "eng_unit": tag.eng_unit}, {"at": times}, _samples(one))
        for tag, one in zip(found.tags, found.columns, strict=True)
    ]
    facts = damage_facts(found.damage, parameters.time)
    return tables_response(request, tables, facts, parameters.time)


def _samples(found: AsOfResult) -> dict[str, Any]:
    columns = found.columns
    valid = columns.value.valid
    held = found.present if valid is None else found.present & valid
    return {
        "present": found.present,
        "sample_ns": ColumnData(ValueType.INT64, columns.timestamp_ns, found.present),
        "quality": ColumnData(ValueType.INT64, columns.quality.astype(np.int64), found.present),
        "value": ColumnData(columns.value.type, columns.value.value, held),
    }


def _overlaps(request: Request, parameters: OverlapJoin) -> Response:
    now_ns = now_ns_of(request)
    sides = [
        tuple(_times(side, name, now_ns) for name in ("start", "end"))
        for side in (parameters.left, parameters.right)
    ]
    least_ns = 1 if parameters.least is None else parse_duration(parameters.least, "least")
    (left, right) = sides
    found = historian_of(request).query.join_overlaps(
        (left[0], left[1]), (right[0], right[1]), least_ns=least_ns
    )
    times = {"start": found.start_ns, "end": found.end_ns}
    table = Table({}, times, {"left": found.left, "right": found.right})
    return table_response(table, form=form_of(request), times=parameters.time)


def _number(value: Any, valid: Any) -> ColumnData:
    return ColumnData(ValueType.FLOAT64, value, valid)


def _times(parameters: Any, name: str, now_ns: int) -> Int64Array:
    """Times of a column: nanoseconds as numbers or digits, or any text a parameter may be."""
    values = getattr(parameters, name)
    if all(type(value) is int for value in values):
        try:
            return np.array(values, np.int64)
        except OverflowError:
            pass
    found = [
        value if type(value) is int and abs(value) < 2**63 else parse_time(str(value), now_ns, name)
        for value in values
    ]
    return np.array(found, np.int64)
