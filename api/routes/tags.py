"""Tags: what is measured, where it comes from, and how it is drawn."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.body import read_body
from api.parameters import TagListParameters, no_parameters
from api.payload import parse_document
from api.security import Administrator, Reader, historian_of
from api.serialize import json_response
from api.tags_json import FIELDS, draft_of, tag_json
from api.times import time_json
from historian.catalog_sources import source_facts
from historian.catalog_thinning import bounds
from query.errors import UnknownTag

router = APIRouter(tags=["tags"])


@router.get("/v1/tags")
def tags(
    request: Request, parameters: Annotated[TagListParameters, Query()], _: Reader
) -> Response:
    """Answer a page of tags in order of name; ``next`` is null on the last page."""
    catalog = historian_of(request).catalog
    found = catalog.tags(parameters.search, parameters.limit + 1, parameters.after)
    page = found[: parameters.limit]
    more = len(found) > len(page)
    answer = {"tags": [tag_json(t) for t in page], "next": page[-1].name if more else None}
    return json_response(answer)


@router.get("/v1/tags/{name:path}", dependencies=[Depends(no_parameters)])
def tag(request: Request, name: str, _: Reader) -> Response:
    """Answer one tag."""
    found = historian_of(request).catalog.find(name)
    if found is None:
        raise UnknownTag(name)
    rules = bounds(historian_of(request).catalog, found)
    thinning = [{"since": time_json(one.since_ns, "iso"), **one.facts()} for one in rules]
    told = source_facts(historian_of(request).catalog, found).told()
    return json_response(tag_json(found) | {"thinning": thinning, "told_by_source": told})


@router.post("/v1/tags", dependencies=[Depends(no_parameters)])
async def declare_tag(request: Request, caller: Administrator) -> Response:
    """Make a tag (201), or bring the texts and properties of an existing one in line (200)."""
    budget = request.app.state.body_budget
    with budget.hold() as held:
        body = await read_body(request, held, budget.body_bytes_max)
    draft = draft_of(parse_document(body, frozenset(FIELDS)))
    catalog = historian_of(request).catalog
    known = catalog.find(draft.name) is not None
    made = await asyncio.to_thread(catalog.declare_tag, draft, caller.principal)
    return json_response(tag_json(made), 200 if known else 201)
