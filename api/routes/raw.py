"""Stored samples of a tag, with what makes the window's edges known."""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.parameters import RawParameters
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
from query.request import RawRequest

router = APIRouter(tags=["read"])


@router.get("/v1/raw")
def raw(request: Request, parameters: Annotated[RawParameters, Query()], _: Reader) -> Response:
    """Answer stored samples of [start, end), ascending unless ``backward``."""
    arrow = wants_arrow(request)
    start_ns, end_ns = window_of(request, parameters)
    result = historian_of(request).query.raw(
        RawRequest(
            tag=parameters.tag,
            start_ns=start_ns,
            end_ns=end_ns,
            bounds=parameters.bounds,
            max_count=parameters.max_count,
            backward=parameters.backward,
            all_revisions=parameters.revisions == "all",
            known_at_lsn=known_lsn_of(request, parameters),
            continuation=parameters.continuation,
            treat_uncertain_as_bad=parameters.uncertain == "bad",
        )
    )
    facts: dict[str, Any] = {
        **tag_facts(result.tag),
        **window_facts(start_ns, end_ns, parameters.time),
        "continuation": result.continuation,
        **damage_facts(result.damage, parameters.time),
        **complete_facts(request, parameters.tag, (start_ns, end_ns), parameters.time),
        **collected_facts(request, parameters.tag, (start_ns, end_ns), parameters.time),
    }
    columns: dict[str, Any] = {"quality": result.columns.quality, "value": result.columns.value}
    if parameters.revisions == "all":
        columns["lsn"] = result.columns.lsn
    if arrow:
        columns |= {"bound": result.bound, "interpolated": result.interpolated}
    else:
        facts["bound_rows"] = np.flatnonzero(result.bound).tolist()
        facts["interpolated_rows"] = np.flatnonzero(result.interpolated).tolist()
    table = Table(facts, {"time": result.columns.timestamp_ns}, columns)
    return table_response(table, arrow=arrow, form=parameters.time)
