"""Questions in a body: the same names as in a query string, as one JSON object."""

from typing import TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from api.body import read_body
from api.parameters import Parameters
from api.payload import decoded

P = TypeVar("P", bound=Parameters)


async def asked(request: Request, kind: type[P]) -> P:
    """Read and check a question.

    Parameters
    ----------
    request : Request
        Its body was not read yet.
    kind : type
        What it may hold.

    Raises
    ------
    ApiError
        ``invalid_json`` (400), and as ``read_body``.
    RequestValidationError
        For an unknown name or a wrong value.
    """
    budget = request.app.state.body_budget
    with budget.hold() as held:
        document = decoded(await read_body(request, held, budget.body_bytes_max))
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        told = [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
        raise RequestValidationError(told) from error
