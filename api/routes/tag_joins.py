"""Joins of tags: one goes on with the history of another."""

import asyncio

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.body import read_body
from api.parameters import no_parameters
from api.payload import parse_document, refuse
from api.security import Administrator, historian_of, now_ns_of
from api.serialize import json_response
from api.tags_json import joins_json, tag_json
from api.times import parse_time
from query.errors import UnknownTag

router = APIRouter(tags=["tags"])
_CANNOT = "cannot join tags"


@router.post("/v1/tags/{name:path}/join", dependencies=[Depends(no_parameters)])
async def join_tag(request: Request, name: str, caller: Administrator) -> Response:
    """Let a tag go on with the history of another; its reads show both."""
    budget = request.app.state.body_budget
    with budget.hold() as held:
        body = await read_body(request, held, budget.body_bytes_max)
        document = parse_document(body, frozenset({"continues", "at"}))
    former, at = document.get("continues"), document.get("at")
    if not isinstance(former, str):
        raise refuse(_CANNOT, former, "the name of a tag", "continues")
    if at is not None and not isinstance(at, str):
        raise refuse(_CANNOT, at, "a time as text, or null", "at")
    from_ns = None if at is None else parse_time(at, now_ns_of(request), "at")
    historian = historian_of(request)
    for one in (name, former):
        if historian.catalog.find(one) is None:
            raise UnknownTag(one)
    joining = historian.joining
    await asyncio.to_thread(joining.join, name, former, from_ns, caller.principal)
    return await _told(request, name)


@router.delete("/v1/tags/{name:path}/join", dependencies=[Depends(no_parameters)])
async def part_tag(request: Request, name: str, caller: Administrator) -> Response:
    """Take the join of a tag back: it shows its own samples alone."""
    historian = historian_of(request)
    if historian.catalog.find(name) is None:
        raise UnknownTag(name)
    await asyncio.to_thread(historian.joining.part, name, caller.principal)
    return await _told(request, name)


async def _told(request: Request, name: str) -> Response:
    catalog = historian_of(request).catalog
    tag = catalog.find(name)
    if tag is None:
        raise UnknownTag(name)
    told = await asyncio.to_thread(tag_json, tag)
    return json_response(told | joins_json(catalog, tag))
