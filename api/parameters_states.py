"""Parameters of reads beyond values and aggregates: time in states, correlation."""

from typing import Annotated, Literal

from pydantic import Field

from api.parameters import (
    FormParameters,
    IntervalParameters,
    KnownParameters,
    ManyNames,
    Name,
    TimeText,
)


class StatesParameters(IntervalParameters, KnownParameters, FormParameters):
    """Time in each state of one tag per interval."""

    tag: Name
    uncertain: Literal["bad", "good"] = "bad"
    stepped: bool | None = None
    hold_last: bool = False
    gaps: bool = True


class ManyStatesParameters(StatesParameters):
    """The same of many tags, in a body."""

    tag: ManyNames  # type: ignore[assignment]
    form: None = None


class CorrelationParameters(IntervalParameters, KnownParameters, FormParameters):
    """Correlation of two tags per interval and shift."""

    x: Name
    y: Name
    every: TimeText
    shift: Annotated[
        list[TimeText], Field(min_length=1, max_length=10_000, default_factory=lambda: ["0"])
    ]
    uncertain: Literal["bad", "good"] = "bad"
    hold_last: bool = False
    gaps: bool = True
