"""Energy of meters, exact between reads or null with its reason."""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.forms import form_of
from api.parameters import EnergyParameters, no_parameters
from api.security import Reader, historian_of, window_of
from api.serialize import json_response, table_response, window_facts
from api.table import Table
from api.times import parse_duration
from api.values import nullable
from query.request import CutRequest
from storage_engine.sample import ColumnData, ValueType

router = APIRouter(tags=["read"])


@router.get("/v1/meters", dependencies=[Depends(no_parameters)])
def meters(request: Request, _: Reader) -> Response:
    """Answer the meters that are declared or have reported."""
    energy = historian_of(request).energy
    listed = [{"id": meter, "eng_unit": energy.eng_unit(meter)} for meter in energy.meters()]
    return json_response({"meters": listed})


@router.get("/v1/meters/{meter:path}/energy")
def energy(
    request: Request, meter: str, parameters: Annotated[EnergyParameters, Query()], _: Reader
) -> Response:
    """Answer energy per interval of [start, end); null, with the reason, where it is unknown."""
    form = form_of(request)
    start_ns, end_ns = window_of(request, parameters)
    source = historian_of(request).energy
    step, labels = parameters.step(), tuple[str, ...]()
    if step:
        zone, calendar = parameters.zone or "UTC", parameters.calendar
        asked = CutRequest(start_ns, end_ns, step=step, zone=zone, calendar=calendar)
        *edges, labels = historian_of(request).query.cut(asked)
        found = source.windows(meter, *edges)
    elif parameters.interval is None:
        found = source.windows(meter, np.array([start_ns]), np.array([end_ns]))
    else:
        interval_ns = parse_duration(parameters.interval, "interval")
        found = source.intervals(meter, start_ns, end_ns, interval_ns)
    facts: dict[str, Any] = {
        "meter": found.meter,
        "eng_unit": found.eng_unit,
        "watermark_lsn": source.watermark_lsn,
        **window_facts(start_ns, end_ns, parameters.time),
    }
    columns: dict[str, Any] = {
        "energy": ColumnData(ValueType.FLOAT64, found.energy, found.valid),
        "estimated": found.estimated,
        "reason": nullable(found.reasons(), ValueType.SYMBOL),
    }
    if step == "shift":
        columns["shift"] = nullable(list(labels), ValueType.TEXT)
    table = Table(facts, {"start": found.start_ns, "end": found.end_ns}, columns)
    return table_response(table, form=form, times=parameters.time)
