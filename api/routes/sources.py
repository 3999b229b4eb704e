"""Lines to what collectors read: which are up, and until when each was collected."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.parameters import SourceParameters
from api.security import Reader, historian_of
from api.serialize import json_response, plain_json
from api.sources_json import source_json

router = APIRouter(tags=["read"])


@router.get("/v1/sources")
def sources(
    request: Request, parameters: Annotated[SourceParameters, Query()], _: Reader
) -> Response:
    """Answer every source that a collector told of, with its line, times and counters."""
    found = historian_of(request).sources.every()
    listed = [source_json(status, parameters.time) for status in found]
    return json_response(plain_json({"count": len(listed), "sources": listed}))
