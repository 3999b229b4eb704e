"""Retention: how long what is kept, what a run would delete, and what is on hold."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.body import read_body
from api.parameters import PlanParameters, TimeParameters, no_parameters
from api.payload import parse_document, refuse
from api.retention_json import class_json, hold_json, report_json
from api.security import Administrator, Reader, historian_of, now_ns_of
from api.serialize import json_response
from api.times import parse_duration, parse_time
from historian.retention_rules import RetentionClass

router = APIRouter(tags=["retention"])
_CLASS_KEYS = frozenset({"age", "bytes_max", "description", "summary_interval", "summary_age"})
_HOLD_KEYS = frozenset({"unit", "product", "tags", "start", "end", "until", "reason"})


@router.get("/v1/retention/classes")
def classes(
    request: Request, parameters: Annotated[TimeParameters, Query()], _: Reader
) -> Response:
    """Answer every class with its limits, what belongs to it, and from when it is complete."""
    historian = historian_of(request)
    members, horizons = historian.retention.members(), historian.engine.horizons()
    listed = [
        class_json(c, members[c.name], horizons.get(c.name), parameters.time)
        for c in historian.retention.stored.classes()
    ]
    return json_response({"classes": listed})


@router.put("/v1/retention/classes/{name}", dependencies=[Depends(no_parameters)])
async def put_class(request: Request, name: str, caller: Administrator) -> Response:
    """Make or change a class; a limit that is left out or null is none."""
    document = await _document(request, _CLASS_KEYS)
    limit = document.get("bytes_max")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
        raise refuse("cannot put retention class", limit, "bytes, or null", "bytes_max")
    wanted = RetentionClass(
        name,
        _duration(document, "age"),
        limit,
        _text(document, "description"),
        _duration(document, "summary_interval"),
        _duration(document, "summary_age"),
    )
    retention = historian_of(request).retention
    made = await asyncio.to_thread(retention.stored.put_class, wanted, caller.principal)
    members = await asyncio.to_thread(retention.members)
    horizon = historian_of(request).engine.horizons().get(name)
    return json_response(class_json(made, members[name], horizon, "ns"))


@router.delete("/v1/retention/classes/{name}", dependencies=[Depends(no_parameters)])
async def remove_class(request: Request, name: str, caller: Administrator) -> Response:
    """Remove a class to which nothing is assigned."""
    stored = historian_of(request).retention.stored
    await asyncio.to_thread(stored.remove_class, name, caller.principal)
    return json_response({"class": name, "removed": True})


@router.get("/v1/retention/assignments", dependencies=[Depends(no_parameters)])
def assignments(request: Request, _: Reader) -> Response:
    """Answer what is assigned to which class."""
    listed = [
        {"kind": a.kind, "pattern": a.pattern, "class": a.retention_class}
        for a in historian_of(request).retention.stored.assignments()
    ]
    return json_response({"assignments": listed})


@router.put("/v1/retention/assignments", dependencies=[Depends(no_parameters)])
async def assign(request: Request, caller: Administrator) -> Response:
    """Assign a tag, names, an asset or a kind of event to a class; null takes it back."""
    document = await _document(request, frozenset({"kind", "pattern", "class"}))
    if "class" not in document:
        raise refuse("cannot assign", "no class", "a class, or null", "class")
    name = _text(document, "class") or None
    retention = historian_of(request).retention
    kind, pattern = _text(document, "kind"), _text(document, "pattern")
    await asyncio.to_thread(retention.stored.assign, kind, pattern, name, caller.principal)
    moved = await asyncio.to_thread(retention.apply)
    return json_response({"kind": kind, "pattern": pattern, "class": name, "streams": moved})


@router.get("/v1/retention/plan")
def plan(request: Request, parameters: Annotated[PlanParameters, Query()], _: Reader) -> Response:
    """Answer what a run would do now; nothing is changed."""
    report = historian_of(request).retention.plan(force=parameters.force)
    return json_response(report_json(report, parameters.time))


@router.post("/v1/retention/run", dependencies=[Depends(no_parameters)])
async def run(request: Request, caller: Administrator) -> Response:
    """Delete what the rules say, as far as the day's share lets; all of it with ``force``."""
    document = await _document(request, frozenset({"force"}))
    force = document.get("force", False)
    if not isinstance(force, bool):
        raise refuse("cannot run retention", force, "true or false", "force")
    retention = historian_of(request).retention
    report = await asyncio.to_thread(retention.run, caller.principal, force=force)
    return json_response(report_json(report, "ns"))


@router.get("/v1/retention/runs")
def runs(request: Request, parameters: Annotated[TimeParameters, Query()], _: Reader) -> Response:
    """Answer the newest reports of runs that did something, held something back, or were asked."""
    kept = historian_of(request).retention.stored.runs()
    return json_response({"runs": [report_json(report, parameters.time) for report in kept]})


@router.get("/v1/retention/holds")
def holds(request: Request, parameters: Annotated[TimeParameters, Query()], _: Reader) -> Response:
    """Answer all holds, released ones too."""
    now_ns = now_ns_of(request)
    listed = historian_of(request).retention.stored.holds()
    return json_response({"holds": [hold_json(h, now_ns, parameters.time) for h in listed]})


@router.post("/v1/retention/holds", dependencies=[Depends(no_parameters)])
async def hold(request: Request, caller: Administrator) -> Response:
    """Keep what was measured while a unit was made, or a window of tags (201)."""
    document = await _document(request, _HOLD_KEYS)
    now_ns = now_ns_of(request)
    until = _text(document, "until")
    told: dict[str, Any] = {
        "until_ns": parse_time(until, now_ns, "until") if until else None,
        "reason": _text(document, "reason"),
        "principal": caller.principal,
    }
    makers = historian_of(request).retention.holds
    unit, tags = _text(document, "unit"), document.get("tags")
    if bool(unit) == bool(tags):
        raise refuse("cannot hold", "both or none", "a unit, or tags with start and end", "unit")
    if unit:
        product = _text(document, "product")
        made = await asyncio.to_thread(makers.hold_unit, unit, product, **told)
    else:
        if not isinstance(tags, list) or not all(isinstance(t, str) and t for t in tags):
            raise refuse("cannot hold", tags, "a list of names or patterns", "tags")
        start_ns, end_ns = (parse_time(_text(document, k), now_ns, k) for k in ("start", "end"))
        if start_ns >= end_ns:
            raise refuse("cannot hold", "an empty window", "start before end", "end")
        made = await asyncio.to_thread(makers.hold_window, tags, start_ns, end_ns, **told)
    return json_response(hold_json(made, now_ns, "ns"), 201)


@router.delete("/v1/retention/holds/{number}", dependencies=[Depends(no_parameters)])
async def release(request: Request, number: int, caller: Administrator) -> Response:
    """End a hold; what it kept goes with the next run as the rules say."""
    stored = historian_of(request).retention.stored
    ended = await asyncio.to_thread(stored.release, number, caller.principal)
    return json_response(hold_json(ended, now_ns_of(request), "ns"))


async def _document(request: Request, keys: frozenset[str]) -> dict[str, Any]:
    budget = request.app.state.body_budget
    with budget.hold() as held:
        body = await read_body(request, held, budget.body_bytes_max)
    return dict(parse_document(body, keys))


def _duration(document: dict[str, Any], key: str) -> int | None:
    """Nanoseconds of a duration under a key; None when it is left out or null."""
    value = document.get(key)
    if value is not None and not isinstance(value, str):
        raise refuse("cannot put retention class", value, "a duration such as 90d, or null", key)
    return None if value is None else parse_duration(value, key)


def _text(document: dict[str, Any], key: str) -> str:
    """Text under a key; empty when it is left out or null."""
    value = document.get(key)
    if value is not None and not isinstance(value, str):
        raise refuse("cannot read body", type(value).__name__, "text", key)
    return value or ""
