"""times.py: every form of a time becomes the same nanosecond, or a refusal that names the place."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import ApiError
from api.times import iso_to_ns, parse_duration, parse_time, parse_times, times_json

NOW_NS = 1_800_000_000_123_456_789
EPOCH, EARLIEST, LATEST = (
    dt.datetime.fromisoformat(f"{year}-01-01") for year in (1970, 1700, 2200)
)
WHOLE_RANGE = st.integers(-9_200_000_000 * 10**9, 9_200_000_000 * 10**9)


@given(WHOLE_RANGE)
def test_iso_text_gives_back_the_nanosecond(time_ns):
    """What is answered can be sent again unchanged."""
    [text] = times_json(np.array([time_ns]), "iso")

    assert time_ns == iso_to_ns(text)
    assert [time_ns] == parse_times([text], "iso", "time").tolist()


@given(WHOLE_RANGE, st.integers(-18 * 60, 18 * 60))
def test_an_offset_is_subtracted(time_ns, minutes):
    """Plants write local times with an offset."""
    zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    [local] = times_json(np.array([time_ns]), "iso")

    assert time_ns - minutes * 60 * 10**9 == iso_to_ns(local[:-1] + zone)
    assert iso_to_ns(local[:-1] + zone) == parse_times([local[:-1] + zone], "iso", "t")[0]


@given(st.datetimes(EARLIEST, LATEST))
def test_iso_agrees_with_the_standard_library(moment):
    """An independent reader of the same text."""
    delta = moment - EPOCH
    wanted = (delta // dt.timedelta(microseconds=1)) * 1000

    assert wanted == iso_to_ns(moment.isoformat() + "Z")


@pytest.mark.parametrize(
    "text",
    [
        "now()",
        "2026-03-01T08:00:00",
        "2026-13-01T08:00:00Z",
        "2026-02-30T08:00:00Z",
        "1500-01-01T00:00:00Z",
        "9999-01-01T00:00:00Z",
        "2026-03-01T24:00:00Z",
        "2026-03-01T08:00:00+25:00",
        "tomorrow",
        "NaT",
        "12.5",
        "",
        "٣",
    ],
)
def test_what_is_no_time_is_refused(text):
    """A time without a zone means nothing in a plant of two countries."""
    with pytest.raises(ApiError) as refused:
        parse_time(text, NOW_NS, "start")

    assert ("invalid_time", "start") == (refused.value.code, refused.value.where)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("now", NOW_NS),
        ("now-10m", NOW_NS - 600 * 10**9),
        ("now 1h", NOW_NS + 3600 * 10**9),
        ("now+1.5s", NOW_NS + 1_500_000_000),
        ("1700000000000000001", 1700000000000000001),
        ("-5", -5),
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T01:00:01 01:00", 10**9),
    ],
)
def test_a_query_time_may_be_relative_digits_or_iso(text, wanted):
    """A plus that URL decoding took away still counts as one."""
    assert wanted == parse_time(text, NOW_NS, "start")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("10s", 10**10), ("1.5h", 5400 * 10**9), ("250ms", 250_000_000), ("7", 7), ("1ns", 1)],
)
def test_durations(text, wanted):
    """Exact, without a detour through floats."""
    assert wanted == parse_duration(text, "interval")


@pytest.mark.parametrize("text", ["0", "-1s", "1 s", "h", "9999999999999w", "1e3", ""])
def test_a_duration_is_positive_and_has_a_unit(text):
    """Zero intervals never end."""
    with pytest.raises(ApiError):
        parse_duration(text, "interval")


@given(st.integers(-(2**31), 2**31), st.sampled_from(["ns", "us", "ms", "s"]))
def test_integer_units_are_exact(value, unit):
    """As numbers and as strings of digits."""
    wanted = value * {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}[unit]

    assert [wanted] == parse_times([value], unit, "time").tolist()
    assert [wanted] == parse_times([str(value)], unit, "time").tolist()


def test_fractions_of_seconds_do_not_lose_the_second():
    """A double of seconds holds about 200 ns at today's times; the whole second stays exact."""
    [found] = parse_times([1_700_000_000.5], "s", "time").tolist()

    assert 1_700_000_000_500_000_000 == found


@pytest.mark.parametrize(
    ("values", "unit", "where"),
    [
        ([1, 2.5], "ns", "time[1]"),
        ([1, True], "ns", "time[1]"),
        ([1, None], "s", "time[1]"),
        ([0, 2**63], "ns", "time[1]"),
        ([0, 2**62], "s", "time[1]"),
        ([0, 1e300], "s", "time[1]"),
        ([0, "1e3"], "s", "time[1]"),
        (["2026-01-01T00:00:00Z", "2026-01-32T00:00:00Z"], "iso", "time[1]"),
        (["2026-01-01T00:00:00Z", 5], "iso", "time[1]"),
        (["2026-01-01T00:00:00Z", "2500-01-01T00:00:00Z"], "iso", "time[1]"),
    ],
)
def test_a_wrong_time_in_a_column_is_named(values, unit, where):
    """An integrator finds the row at once."""
    with pytest.raises(ApiError) as refused:
        parse_times(values, unit, "time")

    assert where == refused.value.where
