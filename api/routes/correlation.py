"""Correlation of two tags."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.forms import form_of
from api.parameters import single_parameters
from api.parameters_states import CorrelationParameters
from api.security import Reader, historian_of, known_lsn_of, window_of
from api.serialize import damage_facts, table_response, tag_facts, window_facts
from api.table import Table
from api.times import parse_duration
from query.request import CorrelationRequest
from storage_engine.sample import ColumnData, ValueType

router = APIRouter(tags=["read"])
_NUMBERS = (
    "r", "slope", "intercept", "covariance", "x_mean", "y_mean", "x_deviation", "y_deviation",
)  # fmt: skip


@router.get("/v1/correlation", dependencies=[Depends(single_parameters)])
def correlation(
    request: Request, parameters: Annotated[CorrelationParameters, Query()], _: Reader
) -> Response:
    """Answer one row per interval and shift."""
    form, window_ns = form_of(request), window_of(request, parameters)
    interval, step = parameters.interval, parameters.step()
    result = historian_of(request).query.correlation(
        CorrelationRequest(
            parameters.x,
            parameters.y,
            *window_ns,
            every_ns=parse_duration(parameters.every, "every"),
            interval_ns=0 if interval is None or step else parse_duration(interval, "interval"),
            shifts_ns=tuple(_shift(text) for text in parameters.shift),
            step=step,
            zone=parameters.zone or "UTC",
            calendar=parameters.calendar,
            treat_uncertain_as_bad=parameters.uncertain == "bad",
            hold_last=parameters.hold_last,
            gaps=parameters.gaps,
            known_at_lsn=known_lsn_of(request, parameters),
        )
    )
    times_as = parameters.time
    facts: dict[str, Any] = {
        "x": tag_facts(result.x),
        "y": tag_facts(result.y),
        **window_facts(*window_ns, times_as),
        **damage_facts(result.damage, times_as),
    }
    columns: dict[str, Any] = {"shift_ns": result.shift_ns, "pairs": result.count}
    for name in _NUMBERS:
        value = getattr(result, name)
        columns[name] = ColumnData(ValueType.FLOAT64, value, value == value)  # noqa: PLR0124 - NaN
    columns["best"] = result.best
    times = {"start": result.start_ns, "end": result.end_ns}
    return table_response(Table(facts, times, columns), form, times_as)


def _shift(text: str) -> int:
    negative = text.startswith("-")
    length = 0 if text == "0" else parse_duration(text.removeprefix("-"), "shift")
    return -length if negative else length
