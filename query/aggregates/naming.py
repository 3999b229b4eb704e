"""Names of aggregates: plain ones, and those with an argument, ``Percentile(95)``."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from query.aggregates import elsewhere, percentiles
from query.aggregates.evidence import Aggregate
from query.aggregates.registry import AGGREGATES
from query.errors import BadRequest

_CALL = re.compile(r"(\w+)\((.*)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Family:
    """Aggregates that differ by an argument.

    Attributes
    ----------
    make : callable
        Text of the argument -> aggregate; None for an argument that is none.
    argument : str
        What it is, for errors.
    """

    make: Callable[[str], Aggregate | None]
    argument: str


# Name before the bracket -> what the argument makes of it; one line each.
FAMILIES: dict[str, Family] = {
    "Percentile": Family(percentiles.percentile, "a number from 0 to 100"),
    "ValueAtMinimum": Family(elsewhere.value_at_minimum, "the name of another tag"),
    "ValueAtMaximum": Family(elsewhere.value_at_maximum, "the name of another tag"),
}


@lru_cache(maxsize=1024)
def aggregate_named(name: str) -> Aggregate:
    """Give the aggregate of a name.

    Raises
    ------
    BadRequest
        For a name that is none, and an argument that does not fit.
    """
    plain = AGGREGATES.get(name)
    if plain is not None:
        return plain
    called = _CALL.fullmatch(name)
    family = FAMILIES.get(called[1]) if called else None
    if called is None or family is None:
        known = [*AGGREGATES, *(f"{one}(..)" for one in FAMILIES)]
        raise BadRequest("aggregate", got=repr(name), want=", ".join(known), where="aggregates")
    made = family.make(called[2])
    if made is None:
        what = f"aggregate {called[1]}"
        raise BadRequest(what, got=repr(called[2]), want=family.argument, where="aggregates")
    return made
