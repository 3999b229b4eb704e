"""What query strings may hold.

An unknown parameter is refused: a typing error must not widen a question.
"""

import re
from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from api.errors import ApiError
from api.forms import Form
from api.table import TimeForm
from api.times import Calendars, parse_time
from query.request import PlotMethod

NAME_LENGTH_MAX = 512
_CALENDAR = re.compile(r"\s*\d+(mo|q|y)\s*", re.ASCII)
Name = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH_MAX)]
ManyNames = Annotated[list[Name], Field(min_length=1, max_length=20_000)]
ZoneName = Annotated[str, Field(min_length=1, max_length=64)]
EngUnit = Annotated[str, Field(min_length=1, max_length=64)]
TimeText = Annotated[str, Field(min_length=1, max_length=64)]


class Parameters(BaseModel):
    """Root of all query strings: nothing but the declared names."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FormParameters(Parameters):
    """Of reads in several forms; ``api.forms`` reads it from the address. A body has none."""

    form: Form | None = None


class ListParameters(Parameters):
    """A page of a list."""

    search: Annotated[str, Field(max_length=NAME_LENGTH_MAX)] = ""
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100


class TagListParameters(ListParameters):
    """A page of tags; ``after`` is the last name of the page before."""

    after: Annotated[str, Field(max_length=NAME_LENGTH_MAX)] = ""


class TagCsvParameters(Parameters):
    """How a CSV of tags is taken."""

    dry_run: bool = False
    proceed: bool = False
    take_names: bool = False


class OneTagParameters(Parameters):
    """One tag; ``at`` is a time at which it had the name."""

    at: TimeText | None = None


class SourceParameters(Parameters):
    """How times of sources are written."""

    time: TimeForm = "ns"


class LatestParameters(FormParameters):
    """Newest samples of the named tags."""

    tag: Annotated[list[Name], Field(min_length=1, max_length=1_000)]
    time: TimeForm = "ns"
    eng_unit: EngUnit | None = None


class ManyLatestParameters(LatestParameters):
    """The same in a body, which holds more names than an address."""

    tag: ManyNames
    form: None = None


class WindowParameters(Parameters):
    """A half-open window [start, end); ``zone`` and ``calendar`` are those of spoken times."""

    start: TimeText
    end: TimeText = "now"
    time: TimeForm = "ns"
    zone: ZoneName | None = None
    calendar: Name | None = None

    def window_ns(self, now_ns: int, calendars: Calendars) -> tuple[int, int]:
        """Bounds in nanoseconds UTC, relative ones against the same now."""
        zone = self.zone or "UTC"
        start_ns = parse_time(
            self.start, now_ns, "start", zone=zone, shifts=(calendars, self.calendar)
        )
        end_ns = parse_time(self.end, now_ns, "end", zone=zone, shifts=(calendars, self.calendar))
        return start_ns, end_ns


class KnownParameters(Parameters):
    """An answer perhaps as known at an earlier moment: a time, or an lsn."""

    known_at: TimeText | None = None
    known_at_lsn: Annotated[int, Field(ge=0, lt=2**63)] | None = None

    def known_lsn(self, now_ns: int, lsn_at: Callable[[int], int]) -> int | None:
        """Lsn that the answer is to be as known at; None for all that is known.

        Parameters
        ----------
        now_ns : int
        lsn_at : callable
            Record time in nanoseconds -> last lsn recorded by then.

        Raises
        ------
        ApiError
            ``invalid_parameter`` (400) when both are given, or the time cannot be read.
        """
        if self.known_at is None:
            return self.known_at_lsn
        if self.known_at_lsn is not None:
            raise ApiError(
                400,
                "invalid_parameter",
                "cannot answer as known at two moments",
                got="known_at and known_at_lsn",
                want="one of them",
                where="known_at",
            )
        return lsn_at(parse_time(self.known_at, now_ns, "known_at"))


class KnownWindowParameters(WindowParameters, KnownParameters):
    """A window, perhaps as known at an earlier moment."""


class RawParameters(KnownWindowParameters, FormParameters):
    """Stored samples of one tag; ``hold_last`` is about the tags of ``where``."""

    tag: Name
    bounds: Literal["none", "outside", "interpolated"] = "none"
    max_count: Annotated[int, Field(ge=1)] | None = None
    backward: bool = False
    revisions: Literal["newest", "all"] = "newest"
    continuation: Annotated[str, Field(max_length=512)] | None = None
    uncertain: Literal["bad", "good"] = "bad"
    where: str | None = None
    hold_last: bool = False
    eng_unit: EngUnit | None = None


class ManyRawParameters(RawParameters):
    """The same of many tags, in a body; what goes on is asked for tag by tag."""

    tag: ManyNames  # type: ignore[assignment]
    form: None = None
    continuation: None = None


class IntervalParameters(WindowParameters):
    """A window that is cut into intervals; no interval means the whole window."""

    interval: TimeText | None = None

    def step(self) -> str:
        """Interval that follows the calendar; empty where it is a length.

        ``shift``, months, quarters and years always do, anything else where a zone is given.
        """
        text = self.interval or ""
        return text if text == "shift" or self.zone or _CALENDAR.fullmatch(text) else ""


class AggregateParameters(IntervalParameters, KnownParameters, FormParameters):
    """Aggregates of one tag per interval."""

    tag: Name
    aggregate: Annotated[list[Name], Field(min_length=1, max_length=64)]
    uncertain: Literal["bad", "good"] = "bad"
    percent_data_bad: Annotated[float, Field(ge=0, le=100)] = 100.0
    percent_data_good: Annotated[float, Field(ge=0, le=100)] = 100.0
    sloped_extrapolation: bool = False
    stepped: bool | None = None
    hold_last: bool = False
    gaps: bool = True
    where: str | None = None
    eng_unit: EngUnit | None = None
    moving: TimeText | None = None


class ManyAggregateParameters(AggregateParameters):
    """The same of many tags, in a body."""

    tag: ManyNames  # type: ignore[assignment]
    form: None = None


class SpansParameters(KnownWindowParameters, FormParameters):
    """When a filter is true; its length is bounded where it is read."""

    where: str
    min_length: TimeText | None = None
    uncertain: Literal["bad", "good"] = "bad"
    hold_last: bool = False
    gaps: bool = True


class ValueParameters(FormParameters):
    """Values between samples, of several tags."""

    tag: Annotated[list[Name], Field(min_length=1, max_length=1_000)]
    bounds: Literal["interpolated", "simple"] = "interpolated"
    uncertain: Literal["bad", "good"] = "bad"
    sloped_extrapolation: bool = False
    stepped: bool | None = None
    hold_last: bool = False
    gaps: bool = True
    where: str | None = None
    time: TimeForm = "ns"
    eng_unit: EngUnit | None = None


class AtTimesParameters(ValueParameters, KnownParameters):
    """Values at given times; ``zone`` and ``calendar`` are those of spoken times."""

    at: Annotated[list[TimeText], Field(min_length=1, max_length=10_000)]
    zone: ZoneName | None = None
    calendar: Name | None = None

    def times_ns(self, now_ns: int, calendars: Calendars) -> tuple[int, ...]:
        """Times in nanoseconds UTC, relative ones against the same now."""
        zone, shifts = self.zone or "UTC", (calendars, self.calendar)
        return tuple(parse_time(text, now_ns, "at", zone=zone, shifts=shifts) for text in self.at)


class ManyAtTimesParameters(AtTimesParameters):
    """The same in a body."""

    tag: ManyNames
    form: None = None


class InterpolatedParameters(IntervalParameters, KnownParameters, ValueParameters):
    """Values at the beginnings of intervals."""

    interval: TimeText


class ManyInterpolatedParameters(InterpolatedParameters):
    """The same in a body."""

    tag: ManyNames
    form: None = None


class EnergyParameters(IntervalParameters, FormParameters):
    """Energy of a meter."""


class PlotParameters(KnownWindowParameters, FormParameters):
    """Few real samples of one tag for a drawing; ``uncertain`` and on are about ``where``."""

    tag: Name
    pixels: Annotated[int, Field(ge=1, le=16_384)] = 1_000
    method: PlotMethod = "pi"
    eng_unit: EngUnit | None = None
    uncertain: Literal["bad", "good"] = "bad"
    where: str | None = None
    hold_last: bool = False


class ManyPlotParameters(PlotParameters):
    """The same of many tags, in a body."""

    tag: ManyNames  # type: ignore[assignment]
    form: None = None


class EventListParameters(KnownWindowParameters, FormParameters):
    """A window of recorded events, newest first."""

    limit: Annotated[int, Field(ge=1, le=10_000)] = 1_000


class QuarantineParameters(WindowParameters):
    """A window of the quarantine; an MQTT topic filter, a part of the reason."""

    start: TimeText = "now-1d"
    source: str = ""
    topic: str = ""
    reason: str = ""
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1_000


class ChangeListParameters(KnownWindowParameters):
    """Changes recorded in a window, perhaps those of one tag or kind of event."""

    tag: Name | None = None
    kind: Name | None = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1_000


class TagParameters(Parameters):
    """One tag."""

    tag: Name


class TimeParameters(Parameters):
    """How times are written."""

    time: TimeForm = "ns"


class PlanParameters(TimeParameters):
    """A run of retention that is only planned."""

    force: bool = False


class UnitListParameters(ListParameters):
    """Units, the newest first; ``kind`` is panel, board ... as ``unit_created`` says."""

    finished: bool | None = None
    kind: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    time: TimeForm = "ns"


class PassportParameters(TimeParameters):
    """One unit; ``product`` tells apart units of several products with one serial."""

    product: Annotated[str, Field(min_length=1, max_length=NAME_LENGTH_MAX)] | None = None


def no_parameters(request: Request) -> None:
    """Refuse any parameter on a path that takes none.

    Raises
    ------
    ApiError
        ``unknown_parameter`` (400).
    """
    name = next(iter(request.query_params), None)
    if name is not None:
        raise ApiError(
            400,
            "unknown_parameter",
            f"cannot take parameter {name[:64]!r}",
            got=request.query_params[name][:64],
            want="no parameters in the address",
            where=f"query {name[:64]}",
        )


_REPEATED = ("aggregate", "shift")


def single_parameters(request: Request) -> None:
    """Refuse a parameter given twice that takes one value: the others would be lost silently.

    Raises
    ------
    ApiError
        ``invalid_parameter`` (400).
    """
    _refuse_twice(request, _REPEATED)


def parameters_of_tags(request: Request) -> None:
    """As :func:`single_parameters`, for reads of several tags and times in one address."""
    _refuse_twice(request, ("tag", "at"))


def _refuse_twice(request: Request, lists: tuple[str, ...]) -> None:
    names = [name for name, _ in request.query_params.multi_items() if name not in lists]
    for name in names:
        if names.count(name) > 1:
            raise ApiError(
                400,
                "invalid_parameter",
                f"cannot take parameter {name[:64]!r} more than once",
                got=f"{names.count(name)} values",
                want="one value; many tags are asked for by POST" if name == "tag" else "one value",
                where=f"query {name[:64]}",
            )
