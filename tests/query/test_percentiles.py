"""Percentiles: exact where they fit, else estimated, and told which; also of filtered time."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.digest import SIZE, Digest
from query.engine import Query
from query.errors import BadRequest, UnknownTag
from query.ports import Tag
from query.request import AggregateRequest, QueryLimits
from query.testing import MemoryReader, MemoryResolver
from storage_engine.sample import BAD, ValueType

sys.path.insert(0, str(Path(__file__).parent))

F64 = ValueType.FLOAT64
S = 1_000_000_000
ON = Tag("on", (2,), ValueType.BOOL, stepped=True)
VALUES = np.random.default_rng(5).lognormal(size=5_000)


def _query(values, **limits):
    reader = MemoryReader()
    reader.add(1, F64, [(t * S, v) for t, v in enumerate(values)])
    reader.add(2, ValueType.BOOL, [(0, True), (len(values) // 3 * S, False)])
    tag = Tag("x", (1,), F64, stepped=False, eng_unit="bar")
    said = Tag("said", (3,), ValueType.SYMBOL, stepped=True)
    return Query(reader, MemoryResolver(tag, ON, said), lambda: 0, QueryLimits(**limits))


def test_small_intervals_are_exact_and_large_ones_are_told_as_estimates():
    names = ("Percentile(1)", "Percentile(50)", "Percentile(99.9)")
    asked = AggregateRequest("x", 0, 5_000 * S, 2_000 * S, names)

    exact, estimate = (
        _query(VALUES.tolist(), chunk_rows=rows).aggregate(asked) for rows in (2_000, 1_500)
    )

    for name in names:
        share = float(name[len("Percentile(") : -1])
        parts = [VALUES[i : i + 2_000] for i in (0, 2_000, 4_000)]
        want = [np.percentile(part, share) for part in parts]
        assert exact.columns[name].value == pytest.approx(want, rel=1e-12)
        assert exact.columns[name].estimated.tolist() == [False] * 3
        assert estimate.columns[name].estimated.tolist() == [True, True, False]
        for part, value in zip(parts, estimate.columns[name].value, strict=True):
            assert (part <= value).mean() * 100 == pytest.approx(share, abs=0.2)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=300),
    st.integers(1, 50),
    st.sampled_from([0.0, 10.0, 50.0, 99.0, 100.0]),
)
def test_a_digest_of_few_values_is_exact(values, size, share):
    digest = Digest()
    for i in range(0, len(values), size):
        digest.add(np.array(values[i : i + size]))

    assert digest.percentile(share) == pytest.approx(np.percentile(values, share), abs=1e-3)


@pytest.mark.parametrize("shape", ["rising", "falling", "random", "two values"])
def test_a_digest_of_many_values_keeps_to_its_bound(shape):
    """Rank of the answer within twice the width of a cluster, in any order of arrival."""
    count = 400_000
    values = np.arange(count) * 1.0
    if shape == "random":
        values = np.random.default_rng(1).normal(size=count)
    elif shape == "falling":
        values = values[::-1]
    elif shape == "two values":
        values = (values % 10 == 0) * 1.0
    digest = Digest()
    for i in range(0, count, 8_192):
        digest.add(values[i : i + 8_192].copy())

    for share in (0.0, 0.01, 1.0, 25.0, 50.0, 99.0, 99.99, 100.0):
        q, answer = share / 100, digest.percentile(share)
        width = 2 * np.pi / SIZE * np.sqrt(q * (1 - q)) + 2 / count
        below, upto = (values < answer).mean(), (values <= answer).mean()
        assert below - 2 * width <= q <= upto + 2 * width, (share, answer)


def test_percentiles_of_filtered_time_see_the_samples_inside_alone():
    found = _query(VALUES.tolist()).aggregate(
        AggregateRequest("x", 0, 5_000 * S, 1_000 * S, ("Percentile(90)",), where="{on}")
    )
    column = found.columns["Percentile(90)"]
    want = [np.percentile(VALUES[a:b], 90) for a, b in ((0, 1_000), (1_000, 1_666))]
    assert column.value[:2] == pytest.approx(want)
    assert column.valid.tolist() == [True, True, False, False, False]


def test_a_name_that_is_none_is_told_what_could_stand_there():
    query = _query([1.0, 2.0])
    for name, want in (
        ("Percentile", "Percentile"),
        ("Percentile(101)", "from 0 to 100"),
        ("Percentile(nan)", "from 0 to 100"),
        ("Percentile()", "from 0 to 100"),
        ("Average(1)", "Average"),
        ("ValueAtMaximum()", "another tag"),
    ):
        with pytest.raises(BadRequest, match=want) as caught:
            query.aggregate(AggregateRequest("x", 0, S, 0, (name,)))
        assert caught.value.where == "aggregates"
    with pytest.raises(BadRequest, match="numeric tag"):
        query.aggregate(AggregateRequest("said", 0, S, 0, ("Percentile(50)",)))
    with pytest.raises(UnknownTag, match="nobody"):
        query.aggregate(AggregateRequest("x", 0, S, 0, ("ValueAtMaximum(nobody)",)))


def test_the_value_of_another_tag_at_an_extreme():
    """What the other had by its own rule at that time; null where it had nothing."""
    reader = MemoryReader()
    reader.add(1, F64, [(0, 1.0), (5 * S, 9.0), (10 * S, 2.0), (15 * S, None, BAD), (25 * S, 3.0)])
    reader.add(2, ValueType.SYMBOL, [(2 * S, "mild"), (4 * S, "hard"), (30 * S, "off")])
    reader.add(3, F64, [(0, 0.0), (20 * S, 40.0)])
    tags = (
        Tag("force (N)", (1,), F64, stepped=False),
        Tag("recipe", (2,), ValueType.SYMBOL, stepped=True),
        Tag("angle(deg)", (3,), F64, stepped=False, eng_unit="deg"),
    )
    query = Query(reader, MemoryResolver(*tags), lambda: 0)
    names = ("ValueAtMaximum(recipe)", "ValueAtMinimum(recipe)", "ValueAtMaximum(angle(deg))")

    found = query.aggregate(AggregateRequest("force (N)", 0, 30 * S, 10 * S, names))

    highest, lowest, angle = (found.columns[name] for name in names)
    assert [highest.value[0], highest.value[1]] == ["hard", "hard"]
    assert highest.time_ns.tolist() == [5 * S, 10 * S, 25 * S]
    assert hex(highest.status[1]) == "0x40a40402"  # a bad force lies beside the largest
    assert lowest.valid.tolist() == [False, True, True]
    assert angle.value[:2].tolist() == [10.0, 20.0]
    assert (angle.valid.tolist(), angle.eng_unit) == ([True, True, False], "deg")
