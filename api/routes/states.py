"""Time in each state of tags."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.documents import asked
from api.forms import form_of
from api.parameters import no_parameters, single_parameters
from api.parameters_states import ManyStatesParameters, StatesParameters
from api.retention_json import complete_facts
from api.security import Reader, Window, historian_of, known_lsn_of, window_of
from api.serialize import damage_facts, table_response, tag_facts, window_facts
from api.sources_json import collected_facts
from api.table import Table
from api.tables import answer_many
from api.times import parse_duration
from historian.catalog_plant import state_sets
from query.request import StatesRequest
from query.result import StatesResult
from storage_engine.sample import ColumnData, ValueType

router = APIRouter(tags=["read"])


@router.get("/v1/states", dependencies=[Depends(single_parameters)])
def states(
    request: Request, parameters: Annotated[StatesParameters, Query()], _: Reader
) -> Response:
    """Answer one row per interval and state: how long the tag was in it, and how often."""
    form, window_ns = form_of(request), window_of(request, parameters)
    question = replace(_question(request, parameters, window_ns), tag=parameters.tag)
    result = historian_of(request).query.states(question)
    return table_response(_table(request, parameters, window_ns, result), form, parameters.time)


@router.post("/v1/states", dependencies=[Depends(no_parameters)])
async def states_of_many(request: Request, _: Reader) -> Response:
    """Answer the time in states of many tags, named in the body."""
    parameters = await asked(request, ManyStatesParameters)
    return await asyncio.to_thread(_many, request, parameters)


def _many(request: Request, parameters: ManyStatesParameters) -> Response:
    window_ns = window_of(request, parameters)
    question = _question(request, parameters, window_ns)
    query = historian_of(request).query
    return answer_many(
        request,
        parameters.tag,
        lambda name: query.states(replace(question, tag=name)),
        partial(_table, request, parameters, window_ns),
        parameters.time,
    )


def _question(request: Request, parameters: StatesParameters, window_ns: Window) -> StatesRequest:
    interval, step = parameters.interval, parameters.step()
    return StatesRequest(
        "",
        *window_ns,
        interval_ns=0 if interval is None or step else parse_duration(interval, "interval"),
        step=step,
        zone=parameters.zone or "UTC",
        calendar=parameters.calendar,
        treat_uncertain_as_bad=parameters.uncertain == "bad",
        stepped=parameters.stepped,
        hold_last=parameters.hold_last,
        gaps=parameters.gaps,
        known_at_lsn=known_lsn_of(request, parameters),
    )


def _table(
    request: Request, parameters: StatesParameters, window_ns: Window, result: StatesResult
) -> Table:
    name, times_as = result.tag.name, parameters.time
    facts: dict[str, Any] = {
        **tag_facts(result.tag),
        **window_facts(*window_ns, times_as),
        **damage_facts(result.damage, times_as),
        **complete_facts(request, name, window_ns, times_as),
        **collected_facts(request, name, window_ns, times_as),
    }
    columns: dict[str, Any] = {
        "state": result.state,
        "duration_ns": result.duration_ns,
        "percent": result.percent,
        "entries": result.entries,
        "longest_ns": result.longest_ns,
        "first_entry_ns": ColumnData(ValueType.INT64, result.first_ns, result.entered),
    }
    labels = _labels(request, name)
    if labels:
        texts = [_label(labels, state) for state in result.state.objects()]
        known = np.array([text is not None for text in texts], np.bool_)
        columns["label"] = ColumnData(
            ValueType.TEXT, np.array([text or "" for text in texts], np.object_), known
        )
    if parameters.step() == "shift":
        columns["shift"] = ColumnData(ValueType.TEXT, np.array(result.labels, np.object_))
    return Table(facts, {"start": result.start_ns, "end": result.end_ns}, columns)


def _labels(request: Request, name: str) -> tuple[str, ...]:
    """Names of the states of a tag, by their position; none where it has no state set."""
    catalog = historian_of(request).catalog
    tag = catalog.find(name)
    if tag is None or not tag.state_set:
        return ()
    return next((s.states for s in state_sets(catalog) if s.name == tag.state_set), ())


def _label(labels: tuple[str, ...], state: Any) -> str | None:
    whole = isinstance(state, (int, float)) and state == int(state)
    return labels[int(state)] if whole and 0 <= state < len(labels) else None
