"""Tags: what is measured, where it comes from, and how it is drawn."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.body import read_body
from api.parameters import TagListParameters, no_parameters
from api.payload import parse_document, refuse
from api.security import Administrator, Reader, historian_of
from api.serialize import json_response
from api.times import time_json
from historian.catalog_records import TagDraft, TagRecord
from historian.catalog_sources import source_facts
from historian.catalog_thinning import bounds
from query.errors import UnknownTag
from storage_engine.sample import ValueType

router = APIRouter(tags=["tags"])
TYPES = {t.name.lower(): t for t in ValueType if t not in (ValueType.TEXT, ValueType.BYTES)}
_FIELDS = (
    "name",
    "type",
    "source",
    "address",
    "stepped",
    "eng_unit",
    "description",
    "asset",
    "state_set",
)


@router.get("/v1/tags")
def tags(
    request: Request, parameters: Annotated[TagListParameters, Query()], _: Reader
) -> Response:
    """Answer a page of tags in order of name; ``next`` is null on the last page."""
    catalog = historian_of(request).catalog
    found = catalog.tags(parameters.search, parameters.limit + 1, parameters.after)
    page = found[: parameters.limit]
    more = len(found) > len(page)
    answer = {"tags": [_tag_json(t) for t in page], "next": page[-1].name if more else None}
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
    return json_response(_tag_json(found) | {"thinning": thinning, "told_by_source": told})


@router.post("/v1/tags", dependencies=[Depends(no_parameters)])
async def declare_tag(request: Request, caller: Administrator) -> Response:
    """Make a tag (201), or bring the texts of an existing one in line (200)."""
    budget = request.app.state.body_budget
    with budget.hold() as held:
        body = await read_body(request, held, budget.body_bytes_max)
    draft = _draft(body)
    catalog = historian_of(request).catalog
    known = catalog.find(draft.name) is not None
    made = await asyncio.to_thread(catalog.declare_tag, draft, caller.principal)
    return json_response(_tag_json(made), 200 if known else 201)


def _draft(body: bytes) -> TagDraft:
    document = dict(parse_document(body, frozenset(_FIELDS)))
    type_ = TYPES.get(str(document.pop("type", "float64")))
    if type_ is None:
        raise refuse("cannot declare tag", "another type", ", ".join(TYPES), "type")
    stepped = document.pop("stepped", None)
    if stepped is not None and not isinstance(stepped, bool):
        raise refuse("cannot declare tag", stepped, "true, false or null", "stepped")
    for field, text in document.items():
        if not isinstance(text, str):
            raise refuse("cannot declare tag", type(text).__name__, "text", field)
    if "name" not in document:
        raise refuse("cannot declare tag", "no name", "a name", "name")
    return TagDraft(type=type_, stepped=stepped, **document)


def _tag_json(tag: TagRecord) -> dict[str, Any]:
    facts: dict[str, Any] = tag.facts()
    return {
        **{field: facts[field] for field in _FIELDS},
        "origin": tag.origin,
        "created": time_json(tag.created_ns, "iso"),
        "series": [s.type.name.lower() for s in tag.series],
    }
