"""Stored samples of a tag, with what makes the window's edges known."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.documents import asked
from api.forms import Form, form_of
from api.parameters import ManyRawParameters, RawParameters, no_parameters, single_parameters
from api.retention_json import complete_facts
from api.security import Reader, Window, historian_of, known_lsn_of, window_of
from api.serialize import (
    Table,
    damage_facts,
    table_response,
    tag_facts,
    window_facts,
)
from api.sources_json import collected_facts
from api.tables import answer_many
from query.request import RawRequest
from query.result import RawResult

router = APIRouter(tags=["read"])


@router.get("/v1/raw", dependencies=[Depends(single_parameters)])
def raw(request: Request, parameters: Annotated[RawParameters, Query()], _: Reader) -> Response:
    """Answer stored samples of [start, end), ascending unless ``backward``."""
    form = form_of(request)
    window_ns = window_of(request, parameters)
    result = _ask(request, parameters, window_ns)(parameters.tag)
    table = _table(request, parameters, result, window_ns, form=form)
    return table_response(table, form=form, times=parameters.time)


@router.post("/v1/raw", dependencies=[Depends(no_parameters)])
async def raw_of_many(request: Request, _: Reader) -> Response:
    """Answer stored samples of many tags, named in the body."""
    parameters = await asked(request, ManyRawParameters)
    return await asyncio.to_thread(_many, request, parameters)


def _many(request: Request, parameters: ManyRawParameters) -> Response:
    form, window_ns = form_of(request), window_of(request, parameters)
    ask = _ask(request, parameters, window_ns)
    return answer_many(
        request,
        parameters.tag,
        ask,
        lambda result: _table(request, parameters, result, window_ns, form=form),
        parameters.time,
    )


def _ask(
    request: Request, parameters: RawParameters, window_ns: Window
) -> Callable[[str], RawResult]:
    """Name of a tag -> its samples."""
    start_ns, end_ns = window_ns
    question = RawRequest(
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
    )
    query = historian_of(request).query
    return lambda name: query.raw(replace(question, tag=name))


def _table(
    request: Request,
    parameters: RawParameters,
    result: RawResult,
    window_ns: Window,
    *,
    form: Form,
) -> Table:
    facts: dict[str, Any] = {
        **tag_facts(result.tag),
        **window_facts(*window_ns, parameters.time),
        "continuation": result.continuation,
        **damage_facts(result.damage, parameters.time),
        **complete_facts(request, result.tag.name, window_ns, parameters.time),
        **collected_facts(request, result.tag.name, window_ns, parameters.time),
    }
    columns: dict[str, Any] = {"quality": result.columns.quality, "value": result.columns.value}
    if parameters.revisions == "all":
        columns["lsn"] = result.columns.lsn
    if form != "json":
        columns |= {"bound": result.bound, "interpolated": result.interpolated}
    else:
        facts["bound_rows"] = np.flatnonzero(result.bound).tolist()
        facts["interpolated_rows"] = np.flatnonzero(result.interpolated).tolist()
    return Table(facts, {"time": result.columns.timestamp_ns}, columns)
