"""Units: what was made, and all that is known of one of them."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.parameters import PassportParameters, UnitListParameters
from api.records import record_json
from api.security import Reader, historian_of
from api.serialize import json_response

router = APIRouter(tags=["trace"])


@router.get("/v1/units")
def units(
    request: Request, parameters: Annotated[UnitListParameters, Query()], _: Reader
) -> Response:
    """Answer units, the newest first."""
    genealogy = historian_of(request).genealogy
    found = genealogy.units(parameters.search, parameters.limit, kind=parameters.kind)
    answer = {
        "units": [_unit_json(unit, parameters.time) for unit in found],
        "watermark_lsn": genealogy.watermark_lsn,
    }
    return json_response(answer)


@router.get("/v1/units/{serial:path}")
def passport(
    request: Request, serial: str, parameters: Annotated[PassportParameters, Query()], _: Reader
) -> Response:
    """Answer the passport of a unit: everything measured, seen and consumed while it was made."""
    found = historian_of(request).passport.passport(serial, parameters.product)
    return json_response(record_json(found, parameters.time))


def _unit_json(unit: Any, form: Any) -> dict[str, Any]:
    told: dict[str, Any] = record_json(unit, form)
    return {**told.pop("key"), **told}
