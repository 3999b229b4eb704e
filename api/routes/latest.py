"""Newest sample of each of many tags."""

import asyncio
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.documents import asked
from api.forms import form_of
from api.parameters import (
    LatestParameters,
    ManyLatestParameters,
    no_parameters,
    parameters_of_tags,
)
from api.security import Reader, historian_of
from api.serialize import json_response, plain_json, table_response
from api.table import Table
from api.times import time_json, times_json
from api.values import nullable
from query.result import LatestResult
from storage_engine.sample import ValueType

router = APIRouter(tags=["read"])
_TYPES = {type_: type_.name.lower() for type_ in ValueType}


@router.get("/v1/latest", dependencies=[Depends(parameters_of_tags)])
def latest(
    request: Request, parameters: Annotated[LatestParameters, Query()], _: Reader
) -> Response:
    """Answer the newest sample per tag, in the order asked for; null where a tag holds none."""
    return _answer(request, parameters)


@router.post("/v1/latest", dependencies=[Depends(no_parameters)])
async def latest_of_many(request: Request, _: Reader) -> Response:
    """Answer the newest samples of many tags, named in the body."""
    parameters = await asked(request, ManyLatestParameters)
    return await asyncio.to_thread(_answer, request, parameters)


def _answer(request: Request, parameters: LatestParameters) -> Response:
    form = form_of(request)
    result = historian_of(request).query.latest(parameters.tag, parameters.eng_unit)
    if form != "json":
        return table_response(_table(result), form, parameters.time)
    present = result.present.tolist()
    times = times_json(result.timestamp_ns, parameters.time)
    answer = {
        "count": len(present),
        "tag": [t.name for t in result.tags],
        "type": [_TYPES[t.type] for t in result.tags],
        "stepped": [t.stepped for t in result.tags],
        "eng_unit": [t.eng_unit for t in result.tags],
        "time": _masked(times, present),
        "quality": _masked(result.quality.tolist(), present),
        "value": _masked(_values(result.value), present),
        "stale": result.stale.tolist(),
        **_collected(request, parameters),
    }
    return json_response(answer)


def _collected(request: Request, parameters: LatestParameters) -> dict[str, list[Any]]:
    """Per tag, until when its source was collected, and whether it is; null where nobody knows."""
    historian = historian_of(request)
    known = {status.source: status for status in historian.sources.every()}
    if not known:
        nobody = [None] * len(parameters.tag)
        return {"collected_until": nobody, "collected": nobody}
    found = [historian.catalog.find(tag) for tag in parameters.tag]
    of = [None if tag is None else known.get(tag.source) for tag in found]
    until = [None if s is None else s.collected_until_ns for s in of]
    return {
        "collected_until": [None if u is None else time_json(u, parameters.time) for u in until],
        "collected": [None if s is None else s.collected for s in of],
    }


def _masked(values: list[Any], present: list[bool]) -> list[Any]:
    if all(present):
        return values
    return [v if there else None for v, there in zip(values, present, strict=True)]


def _values(values: list[Any]) -> list[Any]:
    """As JSON carries them; a finite float, which is less itself 0, goes as it is."""
    return [v if type(v) is float and v - v == 0 else plain_json(v) for v in values]


def _table(result: LatestResult) -> Table:
    """Split values by kind: an Arrow column has one type, the tags have several."""
    there = zip(result.present.tolist(), result.value, strict=True)
    values = [v if p else None for p, v in there]
    of = {
        kind: [v if type(v) is kind else None for v in values] for kind in (float, int, str, bool)
    }
    return Table(
        {
            "columns": "the value stands in the column of its type",
            "eng_unit": [tag.eng_unit for tag in result.tags],
        },
        {"time": result.timestamp_ns},
        {
            "present": result.present,
            "stale": result.stale,
            "quality": np.ascontiguousarray(result.quality),
            "value_float64": nullable(of[float], ValueType.FLOAT64),
            "value_int64": nullable(_within(of[int], 2**63), ValueType.INT64),
            "value_uint64": nullable(_beyond(of[int], 2**63), ValueType.UINT64),
            "value_text": nullable(of[str], ValueType.TEXT),
            "value_bool": nullable(of[bool], ValueType.BOOL),
        },
        heads={"tag": nullable([t.name for t in result.tags], ValueType.TEXT)},
        present=result.present,
    )


def _within(values: list[Any], bound: int) -> list[Any]:
    return [v if v is None or v < bound else None for v in values]


def _beyond(values: list[Any], bound: int) -> list[Any]:
    return [None if v is None or v < bound else v for v in values]
