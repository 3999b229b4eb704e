"""Stored samples of tags, with what makes the window's edges known."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Request
from fastapi import Query as InQuery
from starlette.responses import Response

from api.documents import asked
from api.forms import Form, form_of
from api.parameters import ManyRawParameters, RawParameters, no_parameters, single_parameters
from api.retention_json import complete_facts
from api.security import Reader, Window, historian_of, known_lsn_of, window_of
from api.serialize import damage_facts, table_response, tag_facts, window_facts
from api.sources_json import collected_facts
from api.streaming import STREAMED, stream_response
from api.table import Table
from api.tables import stacked, tables_response
from query.columns import NUMERIC
from query.engine import Query
from query.ports import Tag
from query.request import RawRequest
from query.result import RawResult
from storage_engine.sample import Damage

router = APIRouter(tags=["read"])
_TAGS_AT_ONCE = 16


@router.get("/v1/raw", dependencies=[Depends(single_parameters)])
def raw(request: Request, parameters: Annotated[RawParameters, InQuery()], _: Reader) -> Response:
    """Answer stored samples of [start, end), ascending unless ``backward``."""
    form, query = form_of(request), historian_of(request).query.question()
    window_ns = window_of(request, parameters)
    question = replace(_question(request, parameters, window_ns), tag=parameters.tag)
    tell = partial(_table, request, parameters, window_ns=window_ns, form=form)
    paged = parameters.max_count is not None or parameters.continuation is not None
    if paged or form not in STREAMED or not _streams(query.tags([parameters.tag])):
        return table_response(tell(query.raw(question)), form=form, times=parameters.time)
    first = next(query.raw_pages(question))
    if first.continuation is None:
        return table_response(tell(first), form=form, times=parameters.time)
    pages = query.raw_pages(_pinned(request, question))
    tables = (tell(replace(page, continuation=None)) for page in pages)
    return stream_response(tables, form, parameters.time)


@router.post("/v1/raw", dependencies=[Depends(no_parameters)])
async def raw_of_many(request: Request, _: Reader) -> Response:
    """Answer stored samples of many tags, named in the body."""
    parameters = await asked(request, ManyRawParameters)
    return await asyncio.to_thread(_many, request, parameters)


def _many(request: Request, parameters: ManyRawParameters) -> Response:
    form, query = form_of(request), historian_of(request).query.question()
    window_ns = window_of(request, parameters)
    question = _question(request, parameters, window_ns)
    tell = partial(_table, request, parameters, window_ns=window_ns, form=form)
    tags = query.tags(parameters.tag, parameters.eng_unit)
    if parameters.max_count is None and form in STREAMED and _streams(tags):
        pieces = _pieces_of_many(query, tags, _pinned(request, question), tell)
        each = [_facts(request, parameters, tag, window_ns) for tag in tags]
        return stream_response(pieces, form, parameters.time, facts={"tags": each})
    found = query.raw_many(parameters.tag, question)
    return tables_response(request, [tell(one) for one in found], {}, parameters.time)


def _streams(tags: Sequence[Tag]) -> bool:
    """Whether the type of all values is known before they are read."""
    types = {tag.type for tag in tags}
    return all(len(tag.series) == 1 for tag in tags) and (len(types) == 1 or types <= NUMERIC)


def _pinned(request: Request, question: RawRequest) -> RawRequest:
    """Ask for one state of the store, however long the answer takes."""
    if question.known_at_lsn is not None:
        return question
    return replace(question, known_at_lsn=historian_of(request).engine.durable_lsn)


def _pieces_of_many(
    query: Query, tags: Sequence[Tag], question: RawRequest, tell: Callable[[RawResult], Table]
) -> Iterator[Table]:
    """Samples of many tags in tables of about a page: tag after tag, several read at a time."""
    as_doubles = len({tag.type for tag in tags}) > 1
    kept: list[Table] = []
    rows = 0
    for at in range(0, len(tags), _TAGS_AT_ONCE):
        names = [tag.name for tag in tags[at : at + _TAGS_AT_ONCE]]
        begun = query.many(names, lambda name: _Begun(query, replace(question, tag=name)), len)
        for page in chain.from_iterable(begun):
            kept.append(tell(replace(page, continuation=None)))
            rows += len(page)
            if rows >= query.limits.chunk_rows:
                yield stacked(kept, as_doubles=as_doubles)
                kept, rows = [], 0
    if kept:
        yield stacked(kept, as_doubles=as_doubles)


class _Begun:
    """Pages of one tag, of which the first has been read."""

    def __init__(self, query: Query, question: RawRequest) -> None:
        self._pages = query.raw_pages(question)
        self._first = next(self._pages)

    def __len__(self) -> int:
        return len(self._first)

    def __iter__(self) -> Iterator[RawResult]:
        return chain([self._first], self._pages)


def _question(request: Request, parameters: RawParameters, window_ns: Window) -> RawRequest:
    start_ns, end_ns = window_ns
    return RawRequest(
        tag="",
        start_ns=start_ns,
        end_ns=end_ns,
        bounds=parameters.bounds,
        max_count=parameters.max_count,
        backward=parameters.backward,
        all_revisions=parameters.revisions == "all",
        known_at_lsn=known_lsn_of(request, parameters),
        continuation=parameters.continuation,
        treat_uncertain_as_bad=parameters.uncertain == "bad",
        where=parameters.where,
        hold_last=parameters.hold_last,
        eng_unit=parameters.eng_unit,
    )


def _facts(
    request: Request,
    parameters: RawParameters,
    tag: Tag,
    window_ns: Window,
    damage: Sequence[Damage] = (),
) -> dict[str, Any]:
    return {
        **tag_facts(tag),
        **window_facts(*window_ns, parameters.time),
        "continuation": None,
        **damage_facts(damage, parameters.time),
        **complete_facts(request, tag.name, window_ns, parameters.time),
        **collected_facts(request, tag.name, window_ns, parameters.time),
    }


def _table(
    request: Request,
    parameters: RawParameters,
    result: RawResult,
    *,
    window_ns: Window,
    form: Form,
) -> Table:
    facts = _facts(request, parameters, result.tag, window_ns, result.damage)
    facts["continuation"] = result.continuation
    columns: dict[str, Any] = {"quality": result.columns.quality, "value": result.columns.value}
    if parameters.revisions == "all":
        columns["lsn"] = result.columns.lsn
    if form != "json":
        columns |= {"bound": result.bound, "interpolated": result.interpolated}
    else:
        facts["bound_rows"] = np.flatnonzero(result.bound).tolist()
        facts["interpolated_rows"] = np.flatnonzero(result.interpolated).tolist()
    return Table(facts, {"time": result.columns.timestamp_ns}, columns)
