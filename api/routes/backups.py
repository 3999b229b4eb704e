"""Backups: made, listed, checked, removed, aborted; tags restored from one. Scope ``admin``."""

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.body import read_body
from api.parameters import no_parameters
from api.payload import parse_document, refuse
from api.security import Administrator, historian_of, now_ns_of
from api.serialize import json_response, plain_json
from api.times import parse_time
from historian.backup_job import BackupJob, facts_of
from historian.backup_tag import TagRestoreRequest
from historian.backups import AUTO, KINDS

TAGS_MAX = 1_000
_CREATE = frozenset({"kind", "name"})
_RESTORE = frozenset({"tags", "start", "end", "to", "to_lsn"})
router = APIRouter(tags=["backups"], dependencies=[Depends(no_parameters)])


@router.get("/v1/backups")
def backups(request: Request, _: Administrator) -> Response:
    """Answer every backup, oldest first, and the jobs since the server started, newest first."""
    return json_response(plain_json(historian_of(request).backups.all()))


@router.post("/v1/backups")
async def create(request: Request, caller: Administrator) -> Response:
    """Begin a backup (202); the job says when it is done."""
    document = await _document(request, _CREATE)
    kind, name = document.get("kind", AUTO), document.get("name", "")
    if kind not in KINDS:
        raise refuse("cannot make backup", kind, ", ".join(KINDS), "kind")
    if not isinstance(name, str):
        raise refuse("cannot make backup", name, "a text", "name")
    known = historian_of(request).backups
    return _begun(await asyncio.to_thread(known.create, kind, name, caller.principal))


@router.get("/v1/backups/{name}")
def backup(request: Request, name: str, _: Administrator) -> Response:
    """Answer one backup with its files."""
    facts = historian_of(request).backups.find(name)
    files = [dataclasses.asdict(file) for file in facts.files]
    return json_response(plain_json({**facts_of(facts), "files": files}))


@router.delete("/v1/backups/{name}")
async def delete(request: Request, name: str, caller: Administrator) -> Response:
    """Begin to remove a backup (202); every other one stays whole."""
    known = historian_of(request).backups
    return _begun(await asyncio.to_thread(known.delete, name, caller.principal))


@router.post("/v1/backups/{name}/verify")
async def verify(request: Request, name: str, caller: Administrator) -> Response:
    """Begin to read every byte and every block of a backup (202)."""
    known = historian_of(request).backups
    return _begun(await asyncio.to_thread(known.verify, name, caller.principal))


@router.post("/v1/backups/{name}/restore-tags")
async def restore_tags(request: Request, name: str, caller: Administrator) -> Response:
    """Begin to write what tags held in a backup over what they hold now (202)."""
    document = await _document(request, _RESTORE)
    wanted = _request_of(document, now_ns_of(request))
    job = historian_of(request).backups.restore_tags(name, wanted, caller.principal)
    return _begun(job)


@router.get("/v1/backup-jobs/{number}")
def job(request: Request, number: int, _: Administrator) -> Response:
    """Answer one job."""
    return json_response(plain_json(historian_of(request).backups.job(number).facts()))


@router.post("/v1/backup-jobs/abort")
def abort(request: Request, _: Administrator) -> Response:
    """End the job at work within a second; a backup leaves nothing behind."""
    found = historian_of(request).backups.abort()
    return json_response({"job": None if found is None else plain_json(found.facts())})


async def _document(request: Request, keys: frozenset[str]) -> Mapping[str, Any]:
    budget = request.app.state.body_budget
    with budget.hold() as held:
        return parse_document(await read_body(request, held, budget.body_bytes_max), keys)


def _request_of(document: Mapping[str, Any], now_ns: int) -> TagRestoreRequest:
    tags = document.get("tags")
    if not isinstance(tags, list) or not 0 < len(tags) <= TAGS_MAX:
        raise refuse("cannot restore tags", tags, f"a list of 1 to {TAGS_MAX} names", "tags")
    if not all(isinstance(tag, str) for tag in tags) or len(set(tags)) < len(tags):
        raise refuse("cannot restore tags", tags, "different names", "tags")
    times: dict[str, int | None] = {}
    for key in ("start", "end", "to"):
        value = document.get(key)
        if value is not None and not isinstance(value, str):
            raise refuse("cannot restore tags", value, "a time", key)
        times[key] = parse_time(value, now_ns, key) if value else None
    start, end = times["start"], times["end"]
    if start is None or end is None or start >= end:
        raise refuse("cannot restore tags", (start, end), "start before end", "start")
    lsn = document.get("to_lsn")
    if lsn is not None and not str(lsn).isdigit():
        raise refuse("cannot restore tags", lsn, "an lsn", "to_lsn")
    known_lsn = None if lsn is None else int(lsn)
    return TagRestoreRequest(tuple(tags), start, end, times["to"], known_lsn)


def _begun(begun: BackupJob) -> Response:
    return json_response(plain_json(begun.facts()), 202)
