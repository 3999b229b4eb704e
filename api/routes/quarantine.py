"""Messages in the quarantine: listed, tried with other mappings, replayed."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.body import read_body
from api.parameters import QuarantineParameters, no_parameters
from api.payload import parse_document, refuse
from api.security import Administrator, Reader, historian_of, now_ns_of, window_of
from api.serialize import json_response, plain_json
from api.times import parse_time, time_json
from historian.quarantine_messages import Wanted

router = APIRouter(tags=["quarantine"])
_KEYS = frozenset({"start", "end", "source", "topic", "reason", "limit", "mappings", "dry_run"})
_LIMIT_MAX = 10_000
_SHOWN_BYTES_MAX = 1_000


@router.get("/v1/quarantine/messages")
def messages(
    request: Request, parameters: Annotated[QuarantineParameters, Query()], _: Reader
) -> Response:
    """Answer quarantined messages with their state: waiting, replayed, cut, or a refused row."""
    start_ns, end_ns = window_of(request, parameters)
    wanted = Wanted(
        start_ns,
        end_ns,
        parameters.source,
        parameters.topic,
        parameters.reason,
        parameters.limit,
    )
    listed = [
        {
            "id": one.id.hex(),
            "time": time_json(one.time_ns, parameters.time),
            "source": one.source,
            "topic": one.topic,
            "state": one.state,
            "reason": one.reason,
            "payload": one.payload[:_SHOWN_BYTES_MAX].decode("utf-8", "backslashreplace"),
            "payload_bytes": len(one.payload),
        }
        for one in historian_of(request).quarantine.find(wanted)
    ]
    return json_response({"messages": listed})


@router.post("/v1/quarantine/replay", dependencies=[Depends(no_parameters)])
async def replay(request: Request, caller: Administrator) -> Response:
    """Map quarantined messages and store what they become; each at most once, ever."""
    budget = request.app.state.body_budget
    with budget.hold() as held:
        body = await read_body(request, held, budget.body_bytes_max)
    document = dict(parse_document(body, _KEYS))
    now_ns = now_ns_of(request)
    limit = document.get("limit", 1_000)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= _LIMIT_MAX:
        raise refuse("cannot replay", limit, f"1 to {_LIMIT_MAX}", "limit")
    wanted = Wanted(
        parse_time(_text(document, "start", "now-1d"), now_ns, "start"),
        parse_time(_text(document, "end", "now"), now_ns, "end"),
        _text(document, "source"),
        _text(document, "topic"),
        _text(document, "reason"),
        limit,
    )
    mappings, dry = document.get("mappings"), document.get("dry_run", False)
    if not isinstance(mappings, list) or not mappings:
        raise refuse("cannot replay", mappings, "a list of mappings", "mappings")
    if not all(isinstance(one, dict) for one in mappings):
        raise refuse("cannot replay", mappings, "a list of objects", "mappings")
    if not isinstance(dry, bool):
        raise refuse("cannot replay", dry, "true or false", "dry_run")
    quarantine = historian_of(request).quarantine
    report = await quarantine.replay(wanted, mappings, caller.principal, dry=dry)
    return json_response(plain_json({"dry_run": dry, **asdict(report)}))


def _text(document: dict[str, Any], key: str, default: str = "") -> str:
    value = document.get(key, default)
    if not isinstance(value, str):
        raise refuse("cannot replay", value, "text", key)
    return value
