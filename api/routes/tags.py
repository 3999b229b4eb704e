"""Tags: what is measured, where it comes from, and how it is drawn."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response, StreamingResponse

from api.body import read_body
from api.errors import ApiError
from api.parameters import OneTagParameters, TagCsvParameters, TagListParameters, no_parameters
from api.payload import parse_document, refuse
from api.security import Administrator, Reader, historian_of, now_ns_of
from api.serialize import json_response
from api.tags_json import (
    FIELDS,
    change_of,
    changes_of,
    draft_of,
    joins_json,
    names_json,
    report_json,
    tag_json,
    type_of,
)
from api.times import parse_time, time_json
from historian.catalog_csv import tags_csv
from historian.catalog_csv_import import import_tags
from historian.catalog_sources import source_facts
from historian.catalog_thinning import bounds
from query.errors import UnknownTag

CSV_TYPE = "text/csv"
router = APIRouter(tags=["tags"])


@router.get("/v1/tags")
def tags(
    request: Request, parameters: Annotated[TagListParameters, Query()], _: Reader
) -> Response:
    """Answer a page of tags in order of name; ``next`` is null on the last page. As CSV: all."""
    catalog = historian_of(request).catalog
    if CSV_TYPE in request.headers.get("accept", "").lower():
        asked = parameters.limit if "limit" in request.query_params else len(catalog)
        listed = catalog.tags(parameters.search, asked, parameters.after)
        return StreamingResponse(tags_csv(listed), media_type=f"{CSV_TYPE}; charset=utf-8")
    found = catalog.tags(parameters.search, parameters.limit + 1, parameters.after)
    page = found[: parameters.limit]
    more = len(found) > len(page)
    answer = {"tags": [tag_json(t) for t in page], "next": page[-1].name if more else None}
    return json_response(answer)


@router.get("/v1/tags/{name:path}")
def tag(
    request: Request, name: str, parameters: Annotated[OneTagParameters, Query()], _: Reader
) -> Response:
    """Answer one tag, by its name or a former one, or by the name that it had at a time."""
    catalog = historian_of(request).catalog
    if parameters.at is None:
        found = catalog.find(name)
    else:
        found = catalog.find_at(name, parse_time(parameters.at, now_ns_of(request), "at"))
    if found is None:
        raise UnknownTag(name)
    rules = bounds(catalog, found)
    thinning = [{"since": time_json(one.since_ns, "iso"), **one.facts()} for one in rules]
    told = {
        "names": names_json(catalog, found),
        "thinning": thinning,
        "told_by_source": source_facts(catalog, found).told(),
        **joins_json(catalog, found),
    }
    return json_response(tag_json(found) | told)


@router.post("/v1/tags/csv")
async def import_csv(
    request: Request, parameters: Annotated[TagCsvParameters, Query()], caller: Administrator
) -> Response:
    """Bring tags in line with a CSV, or say what that would change."""
    sent = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if sent != CSV_TYPE:
        raise ApiError(
            415, "wrong_content_type", "cannot import tags",
            got=sent[:64] or None, want=CSV_TYPE, where="header Content-Type",
        )  # fmt: skip
    catalog = historian_of(request).catalog
    budget = request.app.state.body_budget
    with budget.hold() as held:
        body = await read_body(request, held, budget.body_bytes_max)
        report = await asyncio.to_thread(
            import_tags,
            catalog,
            body,
            caller.principal,
            dry_run=parameters.dry_run,
            proceed=parameters.proceed,
            take_names=parameters.take_names,
        )
    told = await asyncio.to_thread(report_json, report, dry_run=parameters.dry_run)
    return json_response(told)


@router.patch("/v1/tags", dependencies=[Depends(no_parameters)])
async def change_tags(request: Request, caller: Administrator) -> Response:
    """Rename, move and edit many tags, all or none; names may change places."""
    document = await _document(request, frozenset({"changes"}))
    catalog = historian_of(request).catalog
    changes = changes_of(document, catalog)
    changed, _ = await asyncio.to_thread(catalog.change, changes, [], caller.principal)
    told = await asyncio.to_thread(lambda: [tag_json(one) for one in changed])
    return json_response({"tags": told})


@router.patch("/v1/tags/{name:path}", dependencies=[Depends(no_parameters)])
async def change_tag(request: Request, name: str, caller: Administrator) -> Response:
    """Rename, move or edit a tag, or change its type; what the body does not name stays."""
    document = await _document(request, frozenset(FIELDS))
    catalog = historian_of(request).catalog
    found = catalog.find(name)
    if found is None:
        raise UnknownTag(name)
    if "type" in document:
        type_ = type_of(document)
        made = await asyncio.to_thread(catalog.change_type, found.name, type_, caller.principal)
        return json_response(await asyncio.to_thread(tag_json, made))
    change = change_of(found, document)
    changed, _ = await asyncio.to_thread(catalog.change, [change], [], caller.principal)
    return json_response(await asyncio.to_thread(tag_json, changed[0]))


@router.post("/v1/tags", dependencies=[Depends(no_parameters)])
async def declare_tag(request: Request, caller: Administrator) -> Response:
    """Make a tag (201), or bring the texts and properties of an existing one in line (200)."""
    document = dict(await _document(request, frozenset((*FIELDS, "take_name"))))
    take_names = document.pop("take_name", False)
    if not isinstance(take_names, bool):
        raise refuse("cannot declare tag", take_names, "true or false", "take_name")
    draft = draft_of(document)
    catalog = historian_of(request).catalog
    known = catalog.find_present(draft.name) is not None
    made = await asyncio.to_thread(
        lambda: catalog.declare_tags([draft], caller.principal, take_names=take_names)
    )
    return json_response(await asyncio.to_thread(tag_json, made[0]), 200 if known else 201)


async def _document(request: Request, keys: frozenset[str]) -> Mapping[str, Any]:
    budget = request.app.state.body_budget
    with budget.hold() as held:
        return parse_document(await read_body(request, held, budget.body_bytes_max), keys)
