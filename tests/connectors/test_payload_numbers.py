"""payload/: numbers side by side in one message take a short way, to the same rows."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.payload.addresses import LastAddresses
from connectors.payload.config import read_mappings
from connectors.payload.mapping import Mapper
from connectors.settings import Table
from connectors.testing import RecordingSink
from storage_engine.sample import BAD_NO_DATA

SECOND = 1_000_000_000
TOPIC = "plant/press/meter/E1"
SAMPLES = {"topic": "plant/+/meter/+", "kind": "samples", "time": {"path": "ts", "unit": "s"}}


def mappings_of(**more):
    return read_mappings(Table({"m": [{**SAMPLES, **more}]}, "t").tables("m"))


def taken(mapper):
    """Rows and rejects of everything that was added."""
    sink = RecordingSink()
    batches, rejects = mapper.take()
    sink.batches += batches
    return sink.rows(), rejects


_LEAF = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**53), 2**53),
    st.booleans(),
    st.text(max_size=5),
    st.none(),
)


@given(st.lists(st.dictionaries(st.text(max_size=3), _LEAF, max_size=6), min_size=1, max_size=4))
def test_numbers_side_by_side_map_as_each_alone(messages):
    """However many, with whatever between them, and whatever the topic's last message had."""
    mapper = Mapper(mappings_of(value="v", address="{topic[3]}/{key}"))
    wanted = []
    for second, values in enumerate(messages):
        mapper.add(TOPIC, json.dumps({"ts": second, "v": values}).encode(), 0)
        for key, value in values.items():
            status = BAD_NO_DATA if value is None else 0
            wanted.append((f"E1/{key}", second * SECOND, status, value))
    rows, rejects = taken(mapper)

    assert rejects == ()
    assert sorted(rows, key=repr) == sorted(
        ((a, t, q, float(v) if type(v) is int else v) for a, t, q, v in wanted), key=repr
    )


@pytest.mark.parametrize("value", [2**53 + 1, 10**400, [1.0, 2.0]])
def test_a_number_that_a_double_cannot_hold_is_refused_beside_others(value):
    """Never rounded silently."""
    mapper = Mapper(mappings_of(value="v"))
    mapper.add(TOPIC, json.dumps({"ts": 1, "v": {"a": 1.5, "b": value}}).encode(), 0)
    rows, rejects = taken(mapper)

    assert rows == []
    assert len(rejects) == 1


def test_addresses_are_remembered_within_a_bound():
    """A hostile source shows other keys in every message."""
    last = LastAddresses(addresses_max=10)
    (mapping,) = mappings_of()
    for n in range(100):
        keys = tuple(f"{n}.{k}" for k in range(n % 7))
        assert last.of(mapping, f"topic{n % 5}", keys, str.upper) == keys
        assert sum(len(held[1]) for held in last._held.values()) <= max(10, len(keys))
