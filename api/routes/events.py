"""Events of the plant over HTTP, what kinds there are, and what was quarantined."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.body import read_body
from api.event_payload import HOUSE_KINDS, columns_of, parse_events
from api.forms import form_of
from api.idempotency import idempotency_key
from api.parameters import EventListParameters, no_parameters
from api.routes.samples import parse
from api.security import Reader, Writer, historian_of, known_lsn_of, window_of
from api.serialize import damage_facts, json_response, table_response, window_facts
from api.table import Table
from api.values import nullable
from historian.events import EVENT_KINDS
from historian.ingest_receipts import WHOLE_SERIES
from storage_engine.sample import EventColumns, ValueType

router = APIRouter()


@router.get("/v1/event-kinds", tags=["read"], dependencies=[Depends(no_parameters)])
def event_kinds(_: Reader) -> Response:
    """Answer every kind of event with its columns and their types."""
    kinds = {
        kind: {
            "columns": {c.name: c.type.name.lower() for c in columns},
            "writable": kind not in HOUSE_KINDS,
        }
        for kind, columns in EVENT_KINDS.items()
    }
    return json_response({"event_kinds": kinds})


@router.post("/v1/events/{kind}", tags=["write"], dependencies=[Depends(no_parameters)])
async def write_events(request: Request, kind: str, caller: Writer) -> Response:
    """Store events of one kind; an event sent again with the same content changes nothing."""
    key = idempotency_key(request)
    historian = historian_of(request)
    budget = request.app.state.body_budget
    rows_max = historian.config.ingest.events_per_request_max
    with budget.hold() as held:
        body = await read_body(request, held, budget.body_bytes_max)
        batch = await parse(body, lambda: parse_events(kind, body, rows_max))
        receipt = await historian.ingest.put_events(batch, caller.principal, key)
    rejects = [
        {"row": None if r.row == WHOLE_SERIES else r.row, "reason": r.reason}
        for r in receipt.rejects
    ]
    answer = {
        "stored": receipt.stored,
        "rejected": receipt.rejected,
        "duplicate": receipt.duplicate,
        "lsn": str(receipt.lsn),
        "rejects": rejects,
    }
    return json_response(answer)


@router.get("/v1/events/{kind}", tags=["read"])
def events(
    request: Request, kind: str, parameters: Annotated[EventListParameters, Query()], _: Reader
) -> Response:
    """Answer the events of one kind in a window, newest last."""
    return _events_response(request, kind, parameters)


@router.get("/v1/quarantine", tags=["read"])
def quarantine(
    request: Request, parameters: Annotated[EventListParameters, Query()], _: Reader
) -> Response:
    """Answer what was rejected in a window, and why."""
    return _events_response(request, "quarantine", parameters)


def _events_response(request: Request, kind: str, parameters: EventListParameters) -> Response:
    columns_of(kind)
    form = form_of(request)
    start_ns, end_ns = window_of(request, parameters)
    known_lsn = known_lsn_of(request, parameters)
    found: EventColumns = historian_of(request).read_events(kind, start_ns, end_ns, known_lsn)
    last = slice(max(0, len(found) - parameters.limit), None)
    ids = nullable([i.tobytes().hex() for i in found.event_id[last]], ValueType.TEXT)
    columns: dict[str, Any] = {"id": ids}
    for name, data in found.data.items():
        columns[name] = type(data)(
            data.type, data.value[last], None if data.valid is None else data.valid[last]
        )
    facts = {
        "kind": kind,
        **window_facts(start_ns, end_ns, parameters.time),
        "left_out": last.start,
        **damage_facts(found.damage, parameters.time),
    }
    table = Table(facts, {"time": found.timestamp_ns[last]}, columns)
    return table_response(table, form=form, times=parameters.time)
