"""payload.py: columnar JSON becomes columns in bulk, and every refusal names its place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.encoding import encode
from api.errors import ApiError
from api.payload import parse_samples
from storage_engine.sample import ValueType

TYPES = {
    "f": ValueType.FLOAT64,
    "f32": ValueType.FLOAT32,
    "i": ValueType.INT64,
    "b": ValueType.BOOL,
    "s": ValueType.SYMBOL,
}


def parsed(document, rows_max=1000):
    return parse_samples(encode(document), TYPES.get, rows_max)


def refusal(document, rows_max=1000):
    with pytest.raises(ApiError) as refused:
        parsed(document, rows_max)
    return refused.value


ENTRY = st.fixed_dictionaries(
    {
        "rows": st.lists(
            st.tuples(
                st.integers(-(10**15), 10**15),
                st.one_of(st.none(), st.integers(-1000, 1000), st.floats(-1e6, 1e6), st.booleans()),
                st.sampled_from([0, 0x40000000, 0x80000000, 2**32 - 1]),
            ),
            max_size=5,
        ),
        "own_time": st.booleans(),
    }
)


@given(st.dictionaries(st.sampled_from(["f", "i", "b", "s", "unknown"]), ENTRY, max_size=5))
def test_rows_come_out_as_they_went_in(entries):
    """Bulk conversion over all series gives what each series alone would give."""
    series = []
    for tag, entry in entries.items():
        times, values, qualities = (
            (list(c) for c in zip(*entry["rows"], strict=True)) if entry["rows"] else ([], [], [])
        )
        series.append({"tag": tag, "time": times, "value": values, "quality": qualities})

    found = {}
    for part in parsed({"time_unit": "us", "series": series}):
        rows = range(len(part.timestamp_ns)) if part.rows is None else part.rows.tolist()
        columns = (part.timestamp_ns.tolist(), part.value.objects(), part.quality.tolist())
        for row, *cells in zip(rows, *columns, strict=True):
            found[part.tag, row] = tuple(cells)

    wanted = {
        (tag, row): (t * 1000, value, quality)
        for tag, entry in entries.items()
        for row, (t, value, quality) in enumerate(entry["rows"])
    }
    assert wanted == found


def test_a_time_for_the_whole_body_is_shared():
    """A scan of many tags states its times once."""
    a, b, c = parsed(
        {
            "time_unit": "s",
            "time": [1, 2],
            "series": [
                {"tag": "f", "value": [0.5, 1.5]},
                {"tag": "s", "value": ["RUN", "STOP"]},
                {"tag": "i", "value": [7], "time": [9]},
            ],
        }
    )

    assert [10**9, 2 * 10**9] == a.timestamp_ns.tolist() == b.timestamp_ns.tolist()
    assert [9 * 10**9] == c.timestamp_ns.tolist()


def test_one_quality_may_stand_for_all_rows():
    """And none at all means good."""
    a, b = parsed(
        {
            "time_unit": "s",
            "time": [1, 2],
            "series": [
                {"tag": "f", "value": [1, 2], "quality": 2**31},
                {"tag": "i", "value": [1, 2]},
            ],
        }
    )

    assert [2**31, 2**31] == a.quality.tolist()
    assert [0, 0] == b.quality.tolist()
    assert np.uint32 == a.quality.dtype


def test_a_wrong_row_is_parted_from_its_neighbours():
    """It goes to ingest in its own type, which rejects and counts it; the rest is stored."""
    good, bad = parsed(
        {"time_unit": "s", "time": [1, 2, 3], "series": [{"tag": "f", "value": [1.0, "x", 3.0]}]}
    )

    assert ([0, 2], [1.0, 3.0]) == (good.rows.tolist(), good.value.objects())
    assert ([1], ["x"], [2 * 10**9]) == (
        bad.rows.tolist(),
        bad.value.objects(),
        bad.timestamp_ns.tolist(),
    )


def test_a_32_bit_tag_is_given_the_number_that_was_sent():
    """Ingest rounds, and rejects what overflows; the parser must not make an infinity of 1e300."""
    [part] = parsed({"time_unit": "s", "time": [1], "series": [{"tag": "f32", "value": [1e300]}]})

    assert (ValueType.FLOAT64, [1e300]) == (part.value.type, part.value.objects())


@pytest.mark.parametrize(
    ("document", "code", "where"),
    [
        ([], "invalid_body", "body"),
        ({"serie": []}, "invalid_body", "body"),
        ({}, "invalid_body", "series"),
        ({"series": {}}, "invalid_body", "series"),
        ({"series": [1]}, "invalid_body", "series[0]"),
        ({"series": [{"tag": "", "value": [], "time": []}]}, "invalid_body", "series[0].tag"),
        ({"series": [{"tag": 5, "value": [], "time": []}]}, "invalid_body", "series[0].tag"),
        ({"series": [{"tag": "f", "value": []}]}, "invalid_body", "series[0].time"),
        ({"series": [{"tag": "f", "value": [1], "time": []}]}, "invalid_body", "series[0].time"),
        ({"series": [], "time_unit": "m"}, "invalid_body", "time_unit"),
        ({"series": [], "time": 5}, "invalid_body", "time"),
        (
            {"series": [{"tag": "f", "value": [], "time": [], "unit": "K"}]},
            "invalid_body",
            "series[0]",
        ),
        (
            {
                "time_unit": "s",
                "series": [{"tag": "f", "value": [1], "time": [1], "quality": [-1]}],
            },
            "invalid_body",
            "series[0].quality[0]",
        ),
        (
            {
                "time_unit": "s",
                "series": [{"tag": "f", "value": [1], "time": [1], "quality": True}],
            },
            "invalid_body",
            "series[0].quality",
        ),
        (
            {"time_unit": "s", "series": [{"tag": "f", "value": [1], "time": [1], "quality": []}]},
            "invalid_body",
            "series[0].quality",
        ),
        (
            {"time_unit": "s", "time": [1], "series": [{"tag": "f", "value": [[1]]}]},
            "invalid_value",
            "series[0].value[0]",
        ),
        (
            {
                "time_unit": "s",
                "series": [
                    {"tag": "f", "value": [1], "time": [1]},
                    {"tag": "i", "value": [1], "time": ["x"]},
                ],
            },
            "invalid_time",
            "series[1].time[0]",
        ),
        (
            {
                "time_unit": "s",
                "time": [1],
                "series": [{"tag": "f", "value": [1]}, {"tag": "f", "value": [2]}],
            },
            "invalid_body",
            "series[1].tag",
        ),
    ],
)
def test_another_shape_is_refused_with_its_place(document, code, where):
    """An integrator finds the mistake without asking us."""
    refused = refusal(document)

    assert (400, code, where) == (refused.status, refused.code, refused.where)


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b'{"series":[NaN]}', b"\xff", b"[" * 5000])
def test_what_is_no_json_is_refused(body):
    """Bare NaN is no JSON; deep nesting ends in a refusal, not in a crash."""
    with pytest.raises(ApiError) as refused:
        parse_samples(body, TYPES.get, 10)

    assert "invalid_json" == refused.value.code


def test_too_many_rows_are_refused_before_conversion():
    """A bound of the configuration."""
    refused = refusal(
        {"time_unit": "s", "time": [1, 2], "series": [{"tag": "f", "value": [1, 2]}]}, rows_max=1
    )

    assert (413, "too_many_rows") == (refused.status, refused.code)
