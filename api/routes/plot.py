"""Few real samples that draw what all of them would draw."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.documents import asked
from api.forms import Form, form_of
from api.parameters import ManyPlotParameters, PlotParameters, no_parameters, single_parameters
from api.retention_json import complete_facts
from api.security import Reader, Window, historian_of, known_lsn_of, window_of
from api.serialize import damage_facts, table_response, tag_facts, window_facts
from api.sources_json import collected_facts
from api.table import Table
from api.tables import answer_many
from query.request import PlotRequest
from query.result import PlotResult

router = APIRouter(tags=["read"])


@router.get("/v1/plot", dependencies=[Depends(single_parameters)])
def plot(request: Request, parameters: Annotated[PlotParameters, Query()], _: Reader) -> Response:
    """Answer few real samples that draw the line, and where it breaks."""
    form = form_of(request)
    window_ns = window_of(request, parameters)
    result = _ask(request, parameters, window_ns)(parameters.tag)
    table = _table(request, parameters, result, window_ns, form=form)
    return table_response(table, form=form, times=parameters.time)


@router.post("/v1/plot", dependencies=[Depends(no_parameters)])
async def plot_of_many(request: Request, _: Reader) -> Response:
    """Answer the lines of many tags, named in the body."""
    parameters = await asked(request, ManyPlotParameters)
    return await asyncio.to_thread(_many, request, parameters)


def _many(request: Request, parameters: ManyPlotParameters) -> Response:
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
    request: Request, parameters: PlotParameters, window_ns: Window
) -> Callable[[str], PlotResult]:
    """Name of a tag -> its line."""
    start_ns, end_ns = window_ns
    question = PlotRequest(
        "",
        start_ns,
        end_ns,
        parameters.pixels,
        known_at_lsn=known_lsn_of(request, parameters),
        method=parameters.method,
        where=parameters.where,
        treat_uncertain_as_bad=parameters.uncertain == "bad",
        hold_last=parameters.hold_last,
        eng_unit=parameters.eng_unit,
    )
    query = historian_of(request).query.question()
    return lambda name: query.plot(replace(question, tag=name))


def _filtered(result: PlotResult) -> dict[str, Any]:
    if result.true_ns is None:
        return {}
    return {"true_ns": result.true_ns, "unknown_ns": result.unknown_ns}


def _table(
    request: Request,
    parameters: PlotParameters,
    result: PlotResult,
    window_ns: Window,
    *,
    form: Form,
) -> Table:
    facts: dict[str, Any] = {
        **tag_facts(result.tag),
        **window_facts(*window_ns, parameters.time),
        "samples_used": result.samples_used,
        **_filtered(result),
        **damage_facts(result.damage, parameters.time),
        **complete_facts(request, result.tag.name, window_ns, parameters.time),
        **collected_facts(request, result.tag.name, window_ns, parameters.time),
    }
    columns: dict[str, Any] = {"quality": result.columns.quality, "value": result.columns.value}
    if form != "json":
        columns |= {"bound": result.bound, "break": result.mark}
    else:
        facts["bound_rows"] = np.flatnonzero(result.bound).tolist()
        facts["break_rows"] = np.flatnonzero(result.mark).tolist()
    return Table(facts, {"time": result.columns.timestamp_ns}, columns)
