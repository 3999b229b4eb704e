"""Changes of history: edit, delete, erase, annotate; the trail of them; what is being erased."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.body import read_body
from api.encoding import encode
from api.errors import ApiError
from api.parameters import ChangeListParameters, TagParameters, no_parameters
from api.payload import parse_document, parse_samples, refuse
from api.security import (
    Administrator,
    Caller,
    Reader,
    Writer,
    historian_of,
    known_lsn_of,
    now_ns_of,
    window_of,
)
from api.serialize import json_response, plain_json
from api.times import parse_time, time_json
from historian.changes import Target, Verb
from historian.ingest_receipts import SeriesInput
from storage_engine.sample import ValueType

_SAMPLES = ("tag", "time", "value", "quality")
_KEYS = frozenset({"verb", "kind", "start", "end", "reason", "comment", "time_unit", *_SAMPLES})
router = APIRouter(tags=["changes"])


@router.post("/v1/changes", dependencies=[Depends(no_parameters)])
async def change(request: Request, caller: Writer) -> Response:
    """Change history with a reason; answered when it is durable. Removing needs ``admin``."""
    historian = historian_of(request)
    budget = request.app.state.body_budget
    with budget.hold() as held:
        document = parse_document(await read_body(request, held, budget.body_bytes_max), _KEYS)
    verb = _verb(document)
    reason = _text(document, "reason")
    if verb is Verb.EDIT:
        series = _series(request, document)
        receipt = await historian.changes.edit(series, caller.principal, reason)
        answer = {"verb": "edit", "stored": receipt.stored, "rejected": receipt.rejected}
        rejects = [{"row": one.row, "reason": one.reason} for one in receipt.rejects]
        return json_response({**answer, "lsn": str(receipt.lsn), "rejects": rejects})
    target, window = _target(document), _window(request, document)
    if verb is Verb.ANNOTATE:
        comment = _text(document, "comment")
        lsn = await historian.changes.annotate(target, window, caller.principal, reason, comment)
    else:
        _require_admin(caller)
        lsn = await historian.changes.remove(verb, target, window, caller.principal, reason)
    return json_response({"verb": str(verb), "lsn": str(lsn)})


@router.get("/v1/changes")
def changes(
    request: Request, parameters: Annotated[ChangeListParameters, Query()], _: Reader
) -> Response:
    """Answer who changed what, when and why; the window is one of record time."""
    window = window_of(request, parameters)
    target = None
    if parameters.tag is not None or parameters.kind is not None:
        target = Target(parameters.tag or "", parameters.kind or "")
    lsn = known_lsn_of(request, parameters)
    rows = historian_of(request).changes.trail(window, target, lsn)
    form, left_out = parameters.time, max(0, len(rows) - parameters.limit)
    told = [_told(row, form) for row in rows[left_out:]]
    return json_response({"changes": told, "left_out": left_out})


@router.get("/v1/erasures", dependencies=[Depends(no_parameters)])
def erasures(request: Request, _: Administrator) -> Response:
    """Answer the erased windows that may still lie on disk, and what they wait for."""
    rows = historian_of(request).changes.erasures()
    return json_response({"erasures": [_told(row, "iso") for row in rows]})


@router.get("/v1/duplicates")
def duplicates(
    request: Request, parameters: Annotated[TagParameters, Query()], _: Reader
) -> Response:
    """Answer which of several values of one time a plain read of a tag gives."""
    rule = historian_of(request).changes.duplicates(parameters.tag)
    return json_response({"tag": parameters.tag, "rule": rule})


@router.put("/v1/duplicates", dependencies=[Depends(no_parameters)])
async def set_duplicates(request: Request, caller: Administrator) -> Response:
    """Set that rule: ``last``, ``first`` or ``all``. It is one of reading; nothing is dropped."""
    budget = request.app.state.body_budget
    with budget.hold() as held:
        body = await read_body(request, held, budget.body_bytes_max)
        document = parse_document(body, frozenset({"tag", "rule"}))
    tag, rule = _text(document, "tag"), _text(document, "rule")
    known = historian_of(request).changes
    await asyncio.to_thread(known.set_duplicates, tag, rule, caller.principal)
    return json_response({"tag": tag, "rule": rule})


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value.strip():
        raise refuse("cannot take the change", value, "a text", key)
    return value


def _verb(document: Mapping[str, Any]) -> Verb:
    try:
        return Verb(str(document.get("verb")))
    except ValueError:
        want = ", ".join(Verb)
        raise refuse("cannot take the change", document.get("verb"), want, "verb") from None


def _target(document: Mapping[str, Any]) -> Target:
    if ("tag" in document) == ("kind" in document):
        got = "both" if "tag" in document else "neither"
        raise refuse("cannot take the change", got, "tag or kind", "tag")
    if "tag" in document:
        return Target(tag=_text(document, "tag"))
    return Target(kind=_text(document, "kind"))


def _window(request: Request, document: Mapping[str, Any]) -> tuple[int, int]:
    now_ns = now_ns_of(request)
    start = parse_time(_text(document, "start"), now_ns, "start")
    return start, parse_time(_text(document, "end"), now_ns, "end")


def _series(request: Request, document: Mapping[str, Any]) -> SeriesInput:
    historian = historian_of(request)
    entry = {key: document[key] for key in _SAMPLES if key in document}
    body = encode({"time_unit": document.get("time_unit", "iso"), "series": [entry]})

    def type_of(name: str) -> ValueType | None:
        tag = historian.catalog.find(name)
        return None if tag is None else tag.type

    parsed = parse_samples(body, type_of, historian.config.ingest.rows_per_request_max)
    if len(parsed) != 1 or parsed[0].rows is not None:
        raise refuse("cannot edit", "values of several types", "values of the tag's type", "value")
    one = parsed[0]
    return SeriesInput(one.tag, one.timestamp_ns, one.quality, one.value)


def _require_admin(caller: Caller) -> None:
    if "admin" not in caller.scopes:
        raise ApiError(
            403,
            "forbidden",
            "cannot remove history",
            got=f"scope {', '.join(sorted(caller.scopes))}",
            want="scope admin",
            where="header Authorization",
        )


def _told(row: Mapping[str, Any], form: Any) -> Any:
    told = dict(row)
    if "time_ns" in told:
        told["time"] = time_json(told.pop("time_ns"), form)
    for name in ("start", "end"):
        told[name] = time_json(told.pop(f"{name}_ns"), form)
    told["lsn"] = str(told["lsn"])
    return plain_json(told)
