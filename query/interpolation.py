"""Values between samples, stepped and sloped, with the status that says how they were found."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from query.facts.rules import Rules, usable
from query.series import Signal
from query.status import INTERPOLATED, UNCERTAIN_DATA_SUB_NORMAL
from storage_engine.sample import (
    BAD_NO_DATA,
    DTYPES,
    GOOD,
    UNCERTAIN,
    AnyArray,
    Int64Array,
    UInt32Array,
    ValueType,
)

Float64Array = npt.NDArray[np.float64]
# Whole numbers that a double can say without leaving the type.
_WHOLE = {
    ValueType.INT64: (-(2.0**63), float(np.nextafter(2.0**63, 0.0))),
    ValueType.UINT64: (0.0, float(np.nextafter(2.0**64, 0.0))),
}


@dataclass(frozen=True, slots=True)
class Interpolated:
    """Interpolated bounding values, one row per time.

    Attributes
    ----------
    row : int64, shape (n,)
        The usable sample at or before the time; -1 when there is none.
    number : float64, shape (n,)
        The value; 0 where there is none.
    status : uint32, shape (n,)
        Good, Uncertain_DataSubNormal or Bad_NoData, with the info bit for interpolated rows; at
        the time of a usable sample its bare severity.
    """

    row: Int64Array
    number: Float64Array
    status: UInt32Array


def interpolate(signal: Signal, time_ns: Int64Array, rules: Rules) -> Interpolated:
    """Interpolate at times from the usable samples on both sides.

    Parameters
    ----------
    signal : Signal
        Must hold, for each time, the nearest usable samples on both sides and at least one
        sample of each run of bad ones next to it.
    time_ns : int64, shape (n,)
        Any order.
    rules : Rules
        Stepped or sloped, what is usable, how to go on after the last usable sample.

    Notes
    -----
    Uncertain where a sample used is uncertain, where one was skipped, and after the last sample.

    References
    ----------
    OPC 10000-13, Interpolated Bounding Values; Interpolative.
    """
    place = np.flatnonzero(usable(signal, rules))
    status = np.full(len(time_ns), BAD_NO_DATA, dtype=np.uint32)
    if len(place) == 0:
        return Interpolated(np.full(len(time_ns), -1), np.zeros(len(time_ns)), status)
    times, values = signal.timestamp_ns[place], signal.number[place]
    level, last = signal.severity[place], len(place) - 1
    found = np.searchsorted(times, time_ns, side="right") - 1
    left, right = np.maximum(found, 0), np.minimum(found + 1, last)
    exact = times[left] == time_ns
    if rules.stepped:
        seen = np.searchsorted(signal.timestamp_ns, time_ns, side="right") - 1
        doubt = (level[left] > 0) | (place[left] != seen) | (time_ns >= rules.data_end_ns)
        number = values[left]
    else:
        span = np.where(right > left, times[right] - times[left], 1)
        slope = (values[right] - values[left]) / span
        if rules.use_sloped_extrapolation and last > 0:
            tail = (values[-1] - values[-2]) / (times[-1] - times[-2])
            slope = np.where(left == last, tail, slope)
        number = values[left] + slope * (time_ns - times[left])
        doubt = (level[left] > 0) | (level[right] > 0) | (place[right] - place[left] != 1)
    code = np.where(doubt, UNCERTAIN_DATA_SUB_NORMAL, GOOD) | INTERPOLATED
    raw = np.where(level[left] > 0, UNCERTAIN, GOOD)
    status = np.where(found < 0, BAD_NO_DATA, np.where(exact, raw, code)).astype(np.uint32)
    row = np.where(found < 0, -1, place[left])
    return Interpolated(row, np.where(found < 0, 0.0, number), status)


def as_type(number: AnyArray, type_: ValueType) -> AnyArray:
    """Computed numbers in the tag's own type; whole numbers are rounded to the nearest there is."""
    bounds = _WHOLE.get(type_)
    if bounds is not None:
        number = np.clip(np.rint(number.astype(np.float64)), *bounds)
    return number.astype(DTYPES[type_])
