"""Aggregates of a tag per interval, by OPC 10000-13, and what each stands on."""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.parameters import AggregateParameters
from api.retention_json import complete_facts
from api.security import Reader, historian_of, known_lsn_of, window_of
from api.serialize import (
    Table,
    damage_facts,
    table_response,
    tag_facts,
    wants_arrow,
    window_facts,
)
from api.sources_json import collected_facts
from api.times import parse_duration
from query.request import AggregateRequest
from storage_engine.sample import ColumnData, ValueType

router = APIRouter(tags=["read"])


@router.get("/v1/aggregates")
def aggregates(
    request: Request, parameters: Annotated[AggregateParameters, Query()], _: Reader
) -> Response:
    """Answer one row per interval: each aggregate with its status, and what it stands on."""
    arrow = wants_arrow(request)
    start_ns, end_ns = window_of(request, parameters)
    interval, step = parameters.interval, parameters.step()
    interval_ns = 0 if interval is None or step else parse_duration(interval, "interval")
    result = historian_of(request).query.aggregate(
        AggregateRequest(
            tag=parameters.tag,
            start_ns=start_ns,
            end_ns=end_ns,
            interval_ns=interval_ns,
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
        )
    )
    facts = {**tag_facts(result.tag), **window_facts(start_ns, end_ns, parameters.time)}
    facts |= damage_facts(result.damage, parameters.time)
    facts |= complete_facts(request, parameters.tag, (start_ns, end_ns), parameters.time)
    facts |= collected_facts(request, parameters.tag, (start_ns, end_ns), parameters.time)
    facts["aggregates"] = list(result.columns)
    times = {"start": result.start_ns, "end": result.end_ns}
    columns: dict[str, Any] = {
        "percent_good": result.percent_good,
        "samples_used": result.samples_used,
        "partial": result.partial,
        "gap_ns": result.gap_ns,
        "edited": result.edited,
        "summary_ns": result.summary_ns,
    }
    if step == "shift":
        names = np.array(result.labels, dtype=np.object_)
        columns["shift"] = ColumnData(ValueType.TEXT, names)
    for name, column in result.columns.items():
        columns[name] = ColumnData(column.type, column.value, column.valid)
        columns[f"{name}_status"] = column.status
        if column.time_ns is not None:
            times[f"{name}_time"] = column.time_ns
    table = Table(facts, times, columns)
    return table_response(table, arrow=arrow, form=parameters.time)
