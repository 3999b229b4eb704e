"""For machines that watch machines: alive, ready, metrics."""

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.parameters import no_parameters
from api.security import Reader, historian_of
from api.serialize import json_response, plain_json

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
router = APIRouter(tags=["server"], dependencies=[Depends(no_parameters)])


@router.get("/health")
async def health() -> Response:
    """Answer that the process is alive; nothing else, because it asks for no token."""
    return json_response({"status": "alive"})


@router.get("/ready")
def ready(request: Request) -> Response:
    """Answer whether writes are taken now: 200, or 503 with the reasons."""
    readiness = historian_of(request).ready()
    # What follows a colon may name files; whoever has a token reads it at /v1/health.
    answer = {"ready": readiness.ok, "reasons": [r.split(":")[0] for r in readiness.reasons]}
    return json_response(answer, 200 if readiness.ok else 503)


@router.get("/v1/health")
def health_in_detail(request: Request, _: Reader) -> Response:
    """Answer the state of every part, for operators."""
    return json_response(plain_json(historian_of(request).health()))


@router.get("/metrics")
def metrics(request: Request, _: Reader) -> Response:
    """Answer the metrics in Prometheus' text format."""
    text = historian_of(request).metrics_text()
    return Response(text, 200, {"cache-control": "no-store"}, METRICS_TYPE)
