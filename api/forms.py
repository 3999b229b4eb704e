"""Which form an answer of columns takes: the registry, and how a caller chooses."""

from collections.abc import Mapping
from typing import Literal, get_args

from starlette.requests import Request

from api.arrow import ARROW_TYPE
from api.csv_table import CSV_TYPE
from api.errors import ApiError

JSON_TYPE = "application/json"
ROWS_TYPE = "application/vnd.historian.rows+json"
NDJSON_TYPE = "application/x-ndjson"
Form = Literal["json", "rows", "ndjson", "csv", "arrow"]
FORMS: Mapping[Form, str] = {
    "json": JSON_TYPE,
    "csv": CSV_TYPE,
    "arrow": ARROW_TYPE,
    "rows": ROWS_TYPE,
    "ndjson": NDJSON_TYPE,
}


def form_of(request: Request) -> Form:
    """Form the caller wants: parameter ``form`` of the address, else header Accept, else JSON.

    Among forms of equal weight (``q``) the one that the header names itself goes before one that
    only a wildcard covers, and the first named before the next.

    Raises
    ------
    ApiError
        ``invalid_parameter`` (400) for a form that is none, ``not_acceptable`` (406) when the
        header accepts none of them.
    """
    named = request.query_params.get("form")
    if named is not None:
        for form in get_args(Form):
            if form == named:
                chosen: Form = form
                return chosen
        raise ApiError(
            400,
            "invalid_parameter",
            "cannot answer in that form",
            got=named[:64],
            want=", ".join(FORMS),
            where="form",
        )
    accept = ",".join(request.headers.getlist("accept")).lower() or "*/*"
    ranked = [(_weight(accept, media), form) for form, media in FORMS.items()]
    best, form = max(ranked, key=lambda one: one[0])  # the first of equals: JSON
    if best[0] > 0:
        return form
    raise ApiError(
        406,
        "not_acceptable",
        "cannot answer in that form",
        got=accept,
        want=" or ".join(FORMS.values()),
        where="header Accept",
    )


def _weight(accept: str, media: str) -> tuple[float, int, int]:
    """Weight of one media type, how exactly it is named, and how early: more is better."""
    ranges = (media, f"{media.split('/', maxsplit=1)[0]}/*", "*/*")
    found: tuple[int, float, int] | None = None
    for place, part in enumerate(accept.split(",")):
        name, *rest = (piece.strip() for piece in part.split(";"))
        if name in ranges:
            exact = -ranges.index(name)
            if found is None or exact > found[0]:
                found = (exact, _quality(rest), -place)
    return (0.0, 0, 0) if found is None else (found[1], found[0], found[2] if not found[0] else 0)


def _quality(options: list[str]) -> float:
    """``q`` of a media range, 1 where it has none, 0 where it cannot be read."""
    for option in options:
        name, _, text = option.partition("=")
        if name.strip() == "q":
            try:
                value = float(text)
            except ValueError:
                return 0.0
            return value if 0 <= value <= 1 else 0.0
    return 1.0
