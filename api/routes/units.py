"""Units: what was made, and all that is known of one of them."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.parameters import PassportParameters, UnitListParameters
from api.records import record_json, unit_json
from api.security import Reader, historian_of
from api.serialize import json_response
from historian.config import HistorianConfig
from historian.genealogy.records import Unit

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
        ends = _end_stations(historian.config)
        found = [u for u in found if _is_finished(u, ends) == parameters.finished]
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


def _end_stations(config: HistorianConfig) -> set[str]:
    """Last station of each line that measures something; a place for rework ends no line."""
    return set({s.line: s.name for s in config.stations if s.tags}.values())


def _is_finished(unit: Unit, ends: set[str]) -> bool:
    """Whether a unit has left the last station of its line; without lines, any station."""
    gone = unit.open_station is None and unit.visit_count > 0
    return gone and (not ends or unit.last_station in ends)
