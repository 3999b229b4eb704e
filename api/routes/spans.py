"""When a filter over tags was true, false, or not known."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.forms import form_of
from api.parameters import SpansParameters, single_parameters
from api.retention_json import complete_facts
from api.security import Reader, historian_of, known_lsn_of, window_of
from api.serialize import STATES, damage_facts, table_response, tag_facts, window_facts
from api.sources_json import collected_facts
from api.table import Table
from api.times import parse_duration
from query.request import SpansRequest
from storage_engine.sample import ColumnData, ValueType

router = APIRouter(tags=["read"])


@router.get("/v1/spans", dependencies=[Depends(single_parameters)])
def spans(request: Request, parameters: Annotated[SpansParameters, Query()], _: Reader) -> Response:
    """Answer the spans that tile the window, each with its state, and how long each state lasts."""
    form = form_of(request)
    window_ns = start_ns, end_ns = window_of(request, parameters)
    shortest = parameters.min_length
    result = historian_of(request).query.spans(
        SpansRequest(
            where=parameters.where,
            start_ns=start_ns,
            end_ns=end_ns,
            min_length_ns=0 if shortest is None else parse_duration(shortest, "min_length"),
            treat_uncertain_as_bad=parameters.uncertain == "bad",
            hold_last=parameters.hold_last,
            gaps=parameters.gaps,
            known_at_lsn=known_lsn_of(request, parameters),
        )
    )
    times_as = parameters.time
    facts: dict[str, Any] = {
        "where": parameters.where,
        "tags": [
            tag_facts(tag)
            | complete_facts(request, tag.name, window_ns, times_as)
            | collected_facts(request, tag.name, window_ns, times_as)
            for tag in result.tags
        ],
        **window_facts(start_ns, end_ns, times_as),
        "true_ns": result.true_ns,
        "false_ns": result.false_ns,
        "unknown_ns": result.unknown_ns,
        "samples_used": result.samples_used,
        **damage_facts(result.damage, times_as),
    }
    state = ColumnData(ValueType.TEXT, STATES[result.state])
    times = {"start": result.start_ns, "end": result.end_ns}
    return table_response(Table(facts, times, {"state": state}), form=form, times=times_as)
