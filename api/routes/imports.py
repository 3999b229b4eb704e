"""Import and export by the server: jobs over files below its transfer folder."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.body import read_body
from api.parameters import NAME_LENGTH_MAX, no_parameters
from api.payload import parse_document, refuse
from api.security import Administrator, historian_of, now_ns_of
from api.serialize import json_response
from api.times import parse_time
from historian.transfer.export import ExportRequest
from historian.transfer.importing import ImportRequest
from historian.transfer.jobs import TransferJobs
from historian.transfer.mapping import parse_mapping

PATH_LENGTH_MAX = 1_000
LIST_MAX = 10_000
router = APIRouter(tags=["transfer"], dependencies=[Depends(no_parameters)])
_IMPORT = frozenset({"path", "map", "events", "authoritative", "dry_run", "verify_only"})
_EXPORT = frozenset({"path", "format", "tags", "events", "start", "end", "known_at"})


def _jobs(request: Request) -> TransferJobs:
    jobs: TransferJobs = request.app.state.transfers
    return jobs


async def _document(request: Request, keys: frozenset[str]) -> Mapping[str, Any]:
    budget = request.app.state.body_budget
    with budget.hold() as held:
        return parse_document(await read_body(request, held, budget.body_bytes_max), keys)


def _text(document: Mapping[str, Any], key: str, default: str, length: int) -> str:
    value = document.get(key, default)
    if not isinstance(value, str) or len(value) > length:
        raise refuse("cannot begin transfer", value, f"at most {length} characters", key)
    return value


def _texts(document: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = document.get(key) or []
    texts = isinstance(value, list) and all(isinstance(v, str) for v in value)
    if not texts or len(value) > LIST_MAX or any(len(v) > NAME_LENGTH_MAX for v in value):
        raise refuse("cannot begin transfer", type(value).__name__, "a list of texts", key)
    return tuple(value)


def _flag(document: Mapping[str, Any], key: str) -> bool:
    value = document.get(key, False)
    if not isinstance(value, bool):
        raise refuse("cannot begin transfer", value, "true or false", key)
    return value


@router.post("/v1/imports")
async def start_import(request: Request, caller: Administrator) -> Response:
    """Begin to import a file or folder (202); the same request again goes on where it ended."""
    document = await _document(request, _IMPORT)
    options = _texts(document, "map")
    wanted = ImportRequest(
        mapping=parse_mapping(options) if options else None,
        kind=_text(document, "events", "", NAME_LENGTH_MAX),
        authoritative=_flag(document, "authoritative"),
        dry_run=_flag(document, "dry_run"),
        verify_only=_flag(document, "verify_only"),
    )
    path = _text(document, "path", "", PATH_LENGTH_MAX)
    job = _jobs(request).start_import(path, wanted, caller.principal)
    return json_response(job.facts(), 202)


@router.get("/v1/imports")
def imports(request: Request, _: Administrator) -> Response:
    """Answer the imports that run or ran."""
    return json_response({"imports": [job.facts() for job in _jobs(request).list("import")]})


@router.get("/v1/imports/{job_id}")
def import_job(request: Request, job_id: str, _: Administrator) -> Response:
    """Answer how far an import is, and what came of it."""
    return json_response(_jobs(request).get("import", job_id).facts())


@router.delete("/v1/imports/{job_id}")
def abort_import(request: Request, job_id: str, _: Administrator) -> Response:
    """Ask an import to end; what it has committed stays."""
    return json_response(_jobs(request).abort("import", job_id).facts())


@router.post("/v1/exports")
async def start_export(request: Request, caller: Administrator) -> Response:
    """Begin to export into a folder (202); the same request again goes on where it ended."""
    document = await _document(request, _EXPORT)
    now_ns = now_ns_of(request)

    def moment(key: str) -> int | None:
        text = _text(document, key, "", 64)
        return parse_time(text, now_ns, key) if text else None

    known_at = moment("known_at")
    engine = historian_of(request).engine
    wanted = ExportRequest(
        layout=_text(document, "format", "csv", 16),
        tags=_texts(document, "tags"),
        events=_texts(document, "events") if document.get("events") is not None else None,
        start_ns=moment("start"),
        end_ns=moment("end"),
        known_at_lsn=None if known_at is None else engine.lsn_at(known_at),
        rows_per_piece=historian_of(request).config.transfer.rows_per_piece,
    )
    path = _text(document, "path", "", PATH_LENGTH_MAX)
    job = _jobs(request).start_export(path, wanted, caller.principal)
    return json_response(job.facts(), 202)


@router.get("/v1/exports")
def exports(request: Request, _: Administrator) -> Response:
    """Answer the exports that run or ran."""
    return json_response({"exports": [job.facts() for job in _jobs(request).list("export")]})


@router.get("/v1/exports/{job_id}")
def export_job(request: Request, job_id: str, _: Administrator) -> Response:
    """Answer how far an export is, and what came of it."""
    return json_response(_jobs(request).get("export", job_id).facts())


@router.delete("/v1/exports/{job_id}")
def abort_export(request: Request, job_id: str, _: Administrator) -> Response:
    """Ask an export to end; the files it finished stay."""
    return json_response(_jobs(request).abort("export", job_id).facts())
