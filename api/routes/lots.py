"""Where a lot went: forward from material to units."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.parameters import TimeParameters
from api.records import where_used_json
from api.security import Reader, historian_of
from api.serialize import json_response

router = APIRouter(tags=["trace"])


@router.get("/v1/lots/{lot:path}/where-used")
def where_used(
    request: Request, lot: str, parameters: Annotated[TimeParameters, Query()], _: Reader
) -> Response:
    """Answer every unit that the lot went, or may have gone, into, with the class of evidence."""
    found = historian_of(request).genealogy.where_used(lot)
    return json_response(where_used_json(found, parameters.time))
