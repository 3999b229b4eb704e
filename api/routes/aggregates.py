"""Aggregates of a tag per interval, by OPC 10000-13, and what each stands on."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.documents import asked
from api.forms import form_of
from api.parameters import (
    AggregateParameters,
    ManyAggregateParameters,
    no_parameters,
    single_parameters,
)
from api.retention_json import complete_facts
from api.security import Reader, Window, historian_of, known_lsn_of, window_of
from api.serialize import damage_facts, table_response, tag_facts, window_facts
from api.sources_json import collected_facts
from api.table import Table
from api.tables import answer_many
from api.times import parse_duration
from query.request import AggregateRequest
from query.result import AggregateResult
from storage_engine.sample import ColumnData, ValueType

router = APIRouter(tags=["read"])


@router.get("/v1/aggregates", dependencies=[Depends(single_parameters)])
def aggregates(
    request: Request, parameters: Annotated[AggregateParameters, Query()], _: Reader
) -> Response:
    """Answer one row per interval: each aggregate with its status, and what it stands on."""
    form = form_of(request)
    window_ns = window_of(request, parameters)
    result = _ask(request, parameters, window_ns)(parameters.tag)
    return table_response(
        _table(request, parameters, result, window_ns), form=form, times=parameters.time
    )


@router.post("/v1/aggregates", dependencies=[Depends(no_parameters)])
async def aggregates_of_many(request: Request, _: Reader) -> Response:
    """Answer aggregates of many tags, named in the body."""
    parameters = await asked(request, ManyAggregateParameters)
    return await asyncio.to_thread(_many, request, parameters)


def _many(request: Request, parameters: ManyAggregateParameters) -> Response:
    window_ns, each = window_of(request, parameters), len(parameters.aggregate)
    ask = _ask(request, parameters, window_ns)
    return answer_many(
        request,
        parameters.tag,
        ask,
        lambda result: _table(request, parameters, result, window_ns),
        parameters.time,
        size=lambda result: each * len(result),
    )


def _ask(
    request: Request, parameters: AggregateParameters, window_ns: Window
) -> Callable[[str], AggregateResult]:
    """Name of a tag -> its aggregates."""
    start_ns, end_ns = window_ns
    interval, step = parameters.interval, parameters.step()
    question = AggregateRequest(
        tag="",
        start_ns=start_ns,
        end_ns=end_ns,
        interval_ns=0 if interval is None or step else parse_duration(interval, "interval"),
        aggregates=tuple(parameters.aggregate),
        treat_uncertain_as_bad=parameters.uncertain == "bad",
        percent_data_bad=parameters.percent_data_bad,
        percent_data_good=parameters.percent_data_good,
        use_sloped_extrapolation=parameters.sloped_extrapolation,
        stepped=parameters.stepped,
        hold_last=parameters.hold_last,
        known_at_lsn=known_lsn_of(request, parameters),
        gaps=parameters.gaps,
        step=step,
        zone=parameters.zone or "UTC",
        calendar=parameters.calendar,
        where=parameters.where,
        eng_unit=parameters.eng_unit,
        moving_ns=parse_duration(parameters.moving, "moving") if parameters.moving else 0,
    )
    query = historian_of(request).query.question()
    return lambda name: query.aggregate(replace(question, tag=name))


def _table(
    request: Request, parameters: AggregateParameters, result: AggregateResult, window_ns: Window
) -> Table:
    facts = {**tag_facts(result.tag), **window_facts(*window_ns, parameters.time)}
    facts |= damage_facts(result.damage, parameters.time)
    facts |= complete_facts(request, result.tag.name, window_ns, parameters.time)
    facts |= collected_facts(request, result.tag.name, window_ns, parameters.time)
    facts["aggregates"] = list(result.columns)
    units = {name: one.eng_unit for name, one in result.columns.items() if one.eng_unit is not None}
    if units:
        facts["eng_units"] = units
    times = {"start": result.start_ns, "end": result.end_ns}
    columns: dict[str, Any] = {
        "percent_good": result.percent_good,
        "samples_used": result.samples_used,
        "partial": result.partial,
        "gap_ns": result.gap_ns,
        "edited": result.edited,
        "summary_ns": result.summary_ns,
    }
    if parameters.where is not None:
        columns |= {"true_ns": result.true_ns, "unknown_ns": result.unknown_ns}
    if parameters.step() == "shift":
        names = np.array(result.labels, dtype=np.object_)
        columns["shift"] = ColumnData(ValueType.TEXT, names)
    for name, column in result.columns.items():
        columns[name] = ColumnData(column.type, column.value, column.valid)
        columns[f"{name}_status"] = column.status
        if column.estimated is not None:
            columns[f"{name}_estimated"] = column.estimated
        if column.time_ns is not None:
            times[f"{name}_time"] = column.time_ns
    return Table(facts, times, columns)
