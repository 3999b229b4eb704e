"""The one table from exception to HTTP status, and the one JSON shape of every error.

``{"error": {"code", "message", "got", "want", "where", "id"}}``: ``code`` is stable and may be
programmed against; ``id`` is in the server's log beside what the caller must not see.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.encoding import encode
from historian import errors as historian_errors
from historian.genealogy import records as genealogy_records
from query import errors as query_errors
from storage_engine import errors as engine_errors

_log = structlog.get_logger("historian.api")
_TEXT_MAX = 500
FACTS = ("got", "want", "where")
RETRY_AFTER_S = 2


class ApiError(Exception):
    """A refusal decided at the door.

    Parameters
    ----------
    status : int
        HTTP status.
    code : str
        Stable word for programs.
    message : str
        *cannot do X*; the rest of the sentence is in the facts.
    got, want, where : str, optional
        What came, what is accepted, at which place of the request.
    retry_after_s : int, optional
        Sent as ``Retry-After``.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        got: str | None = None,
        want: str | None = None,
        where: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.got = got
        self.want = want
        self.where = where
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Answer:
    """How an exception class is told: status, stable code, and whether its own words may leave.

    ``message`` replaces the exception's text where that may name files of the server.
    """

    status: int
    code: str
    message: str | None = None
    retry: bool = False


TABLE: Mapping[type[Exception], Answer] = {
    # the request is wrong
    query_errors.UnknownTag: Answer(404, "unknown_tag"),
    query_errors.BadRequest: Answer(400, "invalid_request"),
    query_errors.LimitExceeded: Answer(422, "answer_too_large"),
    query_errors.Abandoned: Answer(499, "abandoned"),
    genealogy_records.UnknownUnit: Answer(404, "unknown_unit"),
    genealogy_records.UnknownLot: Answer(404, "unknown_lot"),
    genealogy_records.AmbiguousUnit: Answer(409, "ambiguous_unit"),
    historian_errors.RequestInvalid: Answer(400, "invalid_request"),
    historian_errors.NotFound: Answer(404, "not_found"),
    historian_errors.Conflict: Answer(409, "conflict"),
    historian_errors.Unauthorized: Answer(401, "unauthorized"),
    historian_errors.Forbidden: Answer(403, "forbidden"),
    engine_errors.InvalidArgument: Answer(400, "invalid_request", "cannot do that: wrong argument"),
    # the server cannot now; the same request may succeed later
    historian_errors.NotReady: Answer(503, "not_ready", retry=True),
    historian_errors.Overloaded: Answer(503, "overloaded", retry=True),
    engine_errors.LimitExceeded: Answer(
        503, "overloaded", "cannot take more now: a bound of the store is reached", retry=True
    ),
    engine_errors.LowDisk: Answer(
        503, "low_disk", "cannot store: free disk space is below the reserve", retry=True
    ),
    engine_errors.EngineClosed: Answer(
        503, "not_ready", "cannot do that now: the store is closed or reopening", retry=True
    ),
    engine_errors.DiskError: Answer(
        503, "disk_error", "cannot do that now: the disk refused", retry=True
    ),
    # the server is wrong
    historian_errors.ConfigInvalid: Answer(500, "internal", "cannot answer: internal error"),
    historian_errors.HistorianError: Answer(500, "internal", "cannot answer: internal error"),
    engine_errors.DataError: Answer(500, "damaged_data", "cannot read: stored bytes are damaged"),
    engine_errors.StorageError: Answer(500, "internal", "cannot answer: internal error"),
    Exception: Answer(500, "internal", "cannot answer: internal error"),
}
# Fields of questions that the parameter has another name for.
PARAMETERS: Mapping[str, str] = {"step": "interval", "times": "at", "time_ns": "at"}
HTTP_CODES: Mapping[int, str] = {404: "no_such_path", 405: "method_not_allowed"}


def answer_for(error: Exception) -> Answer:
    """Find the nearest row of the table along the exception's ancestry."""
    return next(TABLE[base] for base in type(error).__mro__ if base in TABLE)


def error_response(
    status: int,
    code: str,
    message: str,
    facts: Mapping[str, Any],
    *,
    error_id: str,
    retry_after_s: float | None = None,
) -> Response:
    """Build the one JSON shape.

    Parameters
    ----------
    status : int
        HTTP status.
    code, message : str
        Stable word, and a sentence for people.
    facts : mapping
        ``got``, ``want`` and ``where`` are taken; the rest stays here.
    error_id : str
        Also in the log.
    retry_after_s : float, optional
        Sent as whole seconds, at least one.

    Returns
    -------
    Response
    """
    told = {k: None if facts.get(k) is None else str(facts[k])[:_TEXT_MAX] for k in FACTS}
    body = {"error": {"code": code, "message": message[:_TEXT_MAX], **told, "id": error_id}}
    headers = {"cache-control": "no-store"}
    if retry_after_s is not None:
        headers["retry-after"] = str(max(1, round(retry_after_s)))
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if status == 413:
        headers["connection"] = "close"  # what is left of the body is not read
    return Response(encode(body), status, headers, media_type="application/json")


def _id() -> str:
    return secrets.token_hex(8)


def respond(error: Exception) -> Response:
    """Turn any exception into the answer that its caller may see."""
    error_id = _id()
    if isinstance(error, ApiError):
        facts: Mapping[str, Any] = {"got": error.got, "want": error.want, "where": error.where}
        return error_response(
            error.status,
            error.code,
            error.message,
            facts,
            error_id=error_id,
            retry_after_s=error.retry_after_s,
        )
    row = answer_for(error)
    facts = {} if row.message is not None else _facts(error)
    retry_after_s = getattr(error, "retry_after_s", RETRY_AFTER_S) if row.retry else None
    if row.status >= 500:
        _log.error("request_failed", id=error_id, code=row.code, exc_info=error)
    return error_response(
        row.status,
        row.code,
        row.message or str(error),
        facts,
        error_id=error_id,
        retry_after_s=retry_after_s,
    )


def _said(value: object) -> str:
    """Tell what came, in the words of JSON where it has some."""
    plain = value is None or isinstance(value, (bool, int, float, list, dict))
    return encode(value).decode() if plain else str(value)


def _facts(error: Exception) -> Mapping[str, Any]:
    facts: Mapping[str, Any] = getattr(error, "facts", None) or vars(error)
    if isinstance(error, query_errors.QueryError):
        return {**facts, "where": PARAMETERS.get(error.where, error.where)}
    return facts


async def _on_exception(_: Request, error: Exception) -> Response:
    return respond(error)


async def _on_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = HTTP_CODES.get(error.status_code, "refused")
    response = error_response(error.status_code, code, str(error.detail), {}, error_id=_id())
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


async def _on_validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place, *path = [str(part) for part in first["loc"]]
    unknown = first["type"] == "extra_forbidden"
    facts = {
        "got": "nothing" if first["type"] == "missing" else _said(first.get("input")),
        "want": "no such parameter" if unknown else first["msg"],
        "where": f"{place} {'.'.join(path)}".strip(),
    }
    code = "unknown_parameter" if unknown else "invalid_parameter"
    message = f"cannot take parameter {'.'.join(path)!r}"
    return error_response(400, code, message, facts, error_id=_id())


def install(app: FastAPI) -> None:
    """Give the application one handler per row of the table, and for the framework's own errors.

    Parameters
    ----------
    app : FastAPI
        Changed in place.
    """
    kinds: tuple[type[Exception], ...] = (ApiError, *TABLE)
    for kind in kinds:
        if kind is not Exception:  # that one belongs to LastResort, which does not raise again
            app.add_exception_handler(kind, _on_exception)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_validation)


class LastResort:
    """ASGI middleware: what no handler knows becomes the one shape too, once, in log and answer.

    Parameters
    ----------
    app : ASGIApp
        What it wraps.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception as error:  # noqa: BLE001 - the last one who can answer
            response = respond(error)
            if not started and scope["type"] == "http":
                await response(scope, receive, send)
