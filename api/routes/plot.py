"""Few real samples that draw what all of them would draw."""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.parameters import PlotParameters
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
from query.request import PlotRequest

router = APIRouter(tags=["read"])


@router.get("/v1/plot")
def plot(request: Request, parameters: Annotated[PlotParameters, Query()], _: Reader) -> Response:
    """Answer few real samples that draw the line, and where it breaks."""
    arrow = wants_arrow(request)
    start_ns, end_ns = window_of(request, parameters)
    known_lsn = known_lsn_of(request, parameters)
    asked = PlotRequest(
        parameters.tag, start_ns, end_ns, parameters.pixels, known_lsn, parameters.method
    )
    result = historian_of(request).query.plot(asked)
    facts: dict[str, Any] = {
        **tag_facts(result.tag),
        **window_facts(start_ns, end_ns, parameters.time),
        "samples_used": result.samples_used,
        **damage_facts(result.damage, parameters.time),
        **complete_facts(request, parameters.tag, (start_ns, end_ns), parameters.time),
        **collected_facts(request, parameters.tag, (start_ns, end_ns), parameters.time),
    }
    columns: dict[str, Any] = {"quality": result.columns.quality, "value": result.columns.value}
    if arrow:
        columns |= {"bound": result.bound, "break": result.mark}
    else:
        facts["bound_rows"] = np.flatnonzero(result.bound).tolist()
        facts["break_rows"] = np.flatnonzero(result.mark).tolist()
    table = Table(facts, {"time": result.columns.timestamp_ns}, columns)
    return table_response(table, arrow=arrow, form=parameters.time)
