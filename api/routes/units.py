"""Units: what was made, and all that is known of one of them."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.parameters import PassportParameters, UnitListParameters
from api.records import record_json, unit_json
from api.security import Reader, historian_of
from api.serialize import json_response
from historian.genealogy.finished import end_stations, is_finished

# So many of the newest units are looked through for finished ones.
LOOKED_THROUGH_MAX = 5_000
router = APIRouter(tags=["trace"])


@router.get("/v1/units")
def units(
    request: Request, parameters: Annotated[UnitListParameters, Query()], _: Reader
) -> Response:
    """Answer units, the newest first."""
    historian = historian_of(request)
    genealogy = historian.genealogy
    looked = LOOKED_THROUGH_MAX if parameters.finished else parameters.limit
    found = genealogy.units(parameters.search, looked, kind=parameters.kind)
    if parameters.finished is not None:
        ends = end_stations(historian.config.stations)
        found = [u for u in found if is_finished(u, ends) == parameters.finished]
    answer = {
        "units": [unit_json(u, parameters.time) for u in found[: parameters.limit]],
        "watermark_lsn": genealogy.watermark_lsn,
    }
    return json_response(answer)


@router.get("/v1/units/{serial:path}")
def passport(
    request: Request, serial: str, parameters: Annotated[PassportParameters, Query()], _: Reader
) -> Response:
    """Answer the passport of a unit: everything measured, seen and consumed while it was made."""
    found = historian_of(request).passport.passport(serial, parameters.product)
    told: dict[str, Any] = record_json(found, parameters.time)
    return json_response(told)
