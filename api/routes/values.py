"""Values of tags at times: given ones, or the beginnings of intervals."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.documents import asked
from api.forms import form_of
from api.parameters import (
    AtTimesParameters,
    InterpolatedParameters,
    ManyAtTimesParameters,
    ManyInterpolatedParameters,
    no_parameters,
    parameters_of_tags,
)
from api.security import Reader, historian_of, known_lsn_of, now_ns_of, window_of
from api.serialize import (
    STATES,
    damage_facts,
    json_response,
    plain_json,
    table_response,
    window_facts,
)
from api.table import Table
from api.times import parse_duration, times_json
from query.request import MomentsRequest
from query.result import MomentsResult
from storage_engine.sample import ColumnData, ValueType

router = APIRouter(tags=["read"])


@router.get("/v1/at-times", dependencies=[Depends(parameters_of_tags)])
def at_times(
    request: Request, parameters: Annotated[AtTimesParameters, Query()], _: Reader
) -> Response:
    """Answer what each tag was at each time, between samples as the tag is: sloped or stepped."""
    return _at_times(request, parameters)


@router.post("/v1/at-times", dependencies=[Depends(no_parameters)])
async def at_times_of_many(request: Request, _: Reader) -> Response:
    """Answer what many tags were, named in the body."""
    parameters = await asked(request, ManyAtTimesParameters)
    return await asyncio.to_thread(_at_times, request, parameters)


def _at_times(request: Request, parameters: AtTimesParameters) -> Response:
    query = historian_of(request).query
    times_ns = parameters.times_ns(now_ns_of(request), query.calendars)
    question = MomentsRequest(times_ns=times_ns, **_rules(request, parameters))
    return _response(request, parameters, query.at(question), {})


@router.get("/v1/interpolated", dependencies=[Depends(parameters_of_tags)])
def interpolated(
    request: Request, parameters: Annotated[InterpolatedParameters, Query()], _: Reader
) -> Response:
    """Answer what each tag was at the beginning of each interval."""
    return _interpolated(request, parameters)


@router.post("/v1/interpolated", dependencies=[Depends(no_parameters)])
async def interpolated_of_many(request: Request, _: Reader) -> Response:
    """Answer what many tags were at the beginnings of intervals, named in the body."""
    parameters = await asked(request, ManyInterpolatedParameters)
    return await asyncio.to_thread(_interpolated, request, parameters)


def _interpolated(request: Request, parameters: InterpolatedParameters) -> Response:
    start_ns, end_ns = window_of(request, parameters)
    step = parameters.step()
    question = MomentsRequest(
        start_ns=start_ns,
        end_ns=end_ns,
        interval_ns=0 if step else parse_duration(parameters.interval, "interval"),
        step=step,
        zone=parameters.zone or "UTC",
        calendar=parameters.calendar,
        **_rules(request, parameters),
    )
    result = historian_of(request).query.at(question)
    return _response(request, parameters, result, window_facts(start_ns, end_ns, parameters.time))


def _rules(
    request: Request, parameters: AtTimesParameters | InterpolatedParameters
) -> dict[str, Any]:
    return {
        "tags": tuple(parameters.tag),
        "bounds": parameters.bounds,
        "treat_uncertain_as_bad": parameters.uncertain == "bad",
        "use_sloped_extrapolation": parameters.sloped_extrapolation,
        "stepped": parameters.stepped,
        "hold_last": parameters.hold_last,
        "gaps": parameters.gaps,
        "eng_unit": parameters.eng_unit,
        "known_at_lsn": known_lsn_of(request, parameters),
        "where": parameters.where,
    }


def _response(
    request: Request,
    parameters: AtTimesParameters | InterpolatedParameters,
    result: MomentsResult,
    facts: dict[str, Any],
) -> Response:
    columns = result.columns
    damage = {one: None for column in columns for one in column.damage}
    damage |= dict.fromkeys(result.damage)
    facts |= {
        "tag": [column.tag.name for column in columns],
        "type": [column.type.name.lower() for column in columns],
        "eng_unit": [column.tag.eng_unit for column in columns],
        **damage_facts(tuple(damage), parameters.time),
    }
    values = [ColumnData(column.type, column.value, column.valid) for column in columns]
    state = None if result.state is None else STATES[result.state]
    form = form_of(request)
    if form != "json":
        named: dict[str, Any] = {}
        if state is not None:
            named["state"] = ColumnData(ValueType.TEXT, state)
        for column, value in zip(columns, values, strict=True):
            named[f"value:{column.tag.name}"] = value
            named[f"status:{column.tag.name}"] = column.status
        return table_response(Table(facts, {"time": result.time_ns}, named), form, parameters.time)
    answer = {
        **facts,
        "count": len(result.time_ns),
        "time": times_json(result.time_ns, parameters.time),
        "value": [plain_json(value) for value in values],
        "status": [column.status for column in columns],
    }
    if state is not None:
        answer["state"] = state.tolist()
    return json_response(answer)
