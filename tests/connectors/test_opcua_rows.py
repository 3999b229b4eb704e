"""opcua/rows.py: changes of many notifications become one batch a type; losses are counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.opcua import publish
from connectors.opcua.items import Registry
from connectors.opcua.notification import Change, Notification, changes_of
from connectors.opcua.rows import ChangeRows
from storage_engine.sample import ValueType


def message(changes):
    return Notification(77, 1, data=True, changes=changes_of(changes))


def test_rows_of_all_types_keep_order_value_and_null():
    """Columns from many messages: one batch a type, each in order of arrival."""
    registry = Registry()
    for name in ("f", "i", "s"):
        registry.add(name)
    rows = ChangeRows(registry)
    rows.add(
        message(
            [
                Change(0, ValueType.FLOAT64, 1.5, 0, 10, None),
                Change(2, ValueType.SYMBOL, "on", 0, 11, None),
                Change(1, ValueType.INT64, -7, 0x40000000, 12, None),
                Change(2, None, None, 0x80310000, 13, None),
                Change(3, ValueType.INT64, 1, 0, 14, None),
            ]
        ),
        9,
    )
    rows.add(message([Change(0, ValueType.FLOAT64, 2.5, 0, 15, None)]), 9)
    rows.add(message([Change(2, ValueType.SYMBOL, "off", 0, 16, None)]), 9)
    assert rows.count == 6

    batches, (reject,), _ = rows.take()

    found = {
        batch.value.type: (
            batch.address_index.tolist(),
            batch.timestamp_ns.tolist(),
            batch.quality.tolist(),
            batch.value.objects(),
        )
        for batch in batches
    }
    assert found == {
        ValueType.FLOAT64: ([0, 0], [10, 15], [0, 0], [1.5, 2.5]),
        ValueType.INT64: ([1], [12], [0x40000000], [-7]),
        ValueType.SYMBOL: ([2, 2, 2], [11, 13, 16], [0, 0x80310000, 0], ["on", None, "off"]),
    }
    assert reject.address == "handle 3"
    assert rows.newest_ns == 16
    assert rows.take() == ((), (), ())


def test_null_values_stay_in_the_series_of_their_item():
    """A Bad sample without a value belongs to the numbers that it interrupts."""
    registry = Registry()
    declared, seen, unknown = (registry.add(name) for name in ("declared", "seen", "unknown"))
    registry.declare(declared, ValueType.SYMBOL)
    rows = ChangeRows(registry)
    rows.add(message([Change(seen.handle, ValueType.INT64, 3, 0, 1, None)]), 9)
    bad = 0x80310000
    rows.add(message([Change(one.handle, None, None, bad, 2, None) for one in registry.items]), 9)

    batches, *_ = rows.take()

    found = {
        (batch.addresses[index], batch.value.type)
        for batch in batches
        for index in batch.address_index.tolist()
    }
    assert {
        ("declared", ValueType.SYMBOL),
        ("seen", ValueType.INT64),
        ("unknown", ValueType.FLOAT64),
    } == found
    assert registry.types[unknown.handle] == 0


def test_source_time_first_then_server_time_then_receipt():
    """The nearest clock to the process wins."""
    registry = Registry()
    registry.add("x")
    rows = ChangeRows(registry)
    for source_ns, server_ns in ((1, 2), (None, 2), (None, None)):
        rows.add(message([Change(0, ValueType.INT64, 0, 0, source_ns, server_ns)]), 3)

    (batch,), *_ = rows.take()

    assert [1, 2, 3] == batch.timestamp_ns.tolist()


def test_an_overflow_is_a_gap_from_the_value_before_and_kept_in_the_status():
    """The server says that its queue dropped values: named with the item and both times."""
    registry = Registry()
    registry.add("w")
    registry.add("x")
    rows = ChangeRows(registry)
    first = [Change(1, ValueType.INT64, 0, 0x480, 5, None), Change(0, ValueType.INT64, 0, 0, 6, 0)]
    rows.add(message(first), 3)
    rows.add(message([Change(1, ValueType.INT64, k, 0x480 * k, 10 + k, None) for k in (0, 1)]), 3)
    rows.add(message([Change(1, ValueType.INT64, 7, 0x480, 20, None)]), 3)

    (batch,), _, gaps = rows.take()

    assert [0x480, 0, 0, 0x480, 0x480] == batch.quality.tolist()
    assert [(g.address, g.start_ns, g.end_ns) for g in gaps] == [
        ("x", 5, 5),
        ("x", 10, 11),
        ("x", 11, 20),
    ]
    assert [6, 20] == registry.last_ns.tolist()


def test_a_node_that_is_gone_is_told_once():
    """And monitored again when it is back."""
    registry = Registry()
    registry.add("x").live = True
    rows = ChangeRows(registry)
    for _ in range(2):
        rows.add(message([Change(0, None, None, 0x80340000, 1, None)]), 3)

    _, (reject,), _ = rows.take()

    assert "0x80340000: the node is gone" in reject.reason
    assert (registry.items[0].missing, registry.items[0].live) == (True, False)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([None, *ValueType])), max_size=30))
def test_types_are_learned_in_order(changes):
    """A null is of the type its item had last, also within one message."""
    handles = np.array([h for h, _ in changes], np.uint32)
    kinds = np.array([t or 0 for _, t in changes], np.uint8)
    n = len(changes)
    columns = (
        handles, kinds, np.zeros(n, np.uint64), np.zeros(n, np.uint32), np.zeros(n, np.int64),
        np.zeros(n, np.int64), np.zeros(n, np.uint8),
    )  # fmt: skip
    types = np.zeros(3, np.uint8)
    known = [0, 0, 0]
    expected = []
    for handle, type_ in changes:
        if handle < 3:
            known[handle] = type_ or known[handle]
        expected.append(known[handle] or ValueType.FLOAT64 if handle < 3 else 0)

    series, valid, _, _, rows, nulls, *_ = publish.settle(columns, types, np.zeros(3, np.int64), 5)

    assert expected == series.tolist()
    assert [t is not None for _, t in changes] == valid.tolist()
    assert known == types.tolist()
    assert [expected.count(k) for k in range(9)] == rows
    assert sum(nulls) == sum(t is None and h < 3 for h, t in changes)


def test_columns_that_do_not_fit_each_other_are_refused():
    """The door looks before the kernel does."""
    columns = list(changes_of([Change(0, ValueType.INT64, 1, 0, 1, None)]).columns)
    columns[4] = np.zeros(0, np.int64)
    with pytest.raises(ValueError, match="different lengths"):
        publish.settle(tuple(columns), np.zeros(1, np.uint8), np.zeros(1, np.int64), 0)
    columns = changes_of([]).columns
    with pytest.raises(ValueError, match="different lengths"):
        publish.settle(columns, np.zeros(1, np.uint8), np.zeros(2, np.int64), 0)
