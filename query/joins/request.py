"""What may be asked of joins. Times are int64 nanoseconds UTC."""

from dataclasses import dataclass
from typing import Literal

from storage_engine.sample import Int64Array

Direction = Literal["backward", "forward", "nearest"]


@dataclass(frozen=True, slots=True)
class JoinTag:
    """A tag of a join.

    Attributes
    ----------
    tag : str
        Its name.
    shift_ns : int
        Added to times of the question to find the sample: transport delay from where the unit
        was to where the tag measures, plus how far the tag's clock is ahead.
    low, high : float
        Band of which the time inside is told, both included; in ``eng_unit`` where that is given.
    eng_unit : str or None
        Unit of measure that values are told in; None: the tag's own.
    """

    tag: str
    shift_ns: int = 0
    low: float = float("-inf")
    high: float = float("inf")
    eng_unit: str | None = None


@dataclass(frozen=True, slots=True)
class JoinWindowsRequest:
    """What tags did during windows.

    Attributes
    ----------
    tags : tuple of JoinTag
        Numeric tags.
    start_ns, end_ns : int64, shape (n,)
        Windows [start, end), start < end; they may overlap and come in any order.
    treat_uncertain_as_bad : bool
        Uncertain samples are not usable.
    stepped : bool or None
        Overrides the tags' own interpolation.
    hold_last : bool
        The newest sample holds until now; else it covers one nanosecond.
    known_at_lsn : int or None
        Answer as known when this log sequence number was the newest.
    gaps : bool
        After a tag's longest hold, and where nobody collected it, the value is not known.
    """

    tags: tuple[JoinTag, ...]
    start_ns: Int64Array
    end_ns: Int64Array
    treat_uncertain_as_bad: bool = True
    stepped: bool | None = None
    hold_last: bool = False
    known_at_lsn: int | None = None
    gaps: bool = True


@dataclass(frozen=True, slots=True)
class JoinTimesRequest:
    """The samples of tags that belong to times: an as-of join.

    Attributes
    ----------
    tags : tuple of JoinTag
        Of any type; bands mean nothing here.
    time_ns : int64, shape (n,)
        In any order, repeats allowed.
    direction : {"backward", "forward", "nearest"}
        The newest sample at or before a time, the oldest at or after it, or the nearer of both;
        the earlier one where both are as near.
    strict : bool
        A sample at the very time does not count.
    max_age_ns : int or None
        One that is farther from the time does not count.
    usable : bool
        Bad and null samples do not count, nor uncertain ones with ``treat_uncertain_as_bad``.
    treat_uncertain_as_bad : bool
    known_at_lsn : int or None
    """

    tags: tuple[JoinTag, ...]
    time_ns: Int64Array
    direction: Direction = "backward"
    strict: bool = False
    max_age_ns: int | None = None
    usable: bool = False
    treat_uncertain_as_bad: bool = True
    known_at_lsn: int | None = None
