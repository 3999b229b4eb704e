"""Which store answers here; a collector asks before it sends."""

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.parameters import no_parameters
from api.security import Reader, historian_of
from api.serialize import json_response, plain_json

router = APIRouter(tags=["server"])


@router.get("/v1/store", dependencies=[Depends(no_parameters)])
def store(request: Request, _: Reader) -> Response:
    """Answer the store's incarnation and its sizes."""
    return json_response(plain_json(historian_of(request).store()))
