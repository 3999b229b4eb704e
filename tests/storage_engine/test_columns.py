"""revisions.py: the rule of revisions, and the law by which a part of it may come first."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from storage_engine.columns import Rows, join_rows, null_column, sort_by_time
from storage_engine.revisions import drop_certain, one_per_time, revisions
from storage_engine.sample import ColumnData, ValueType
from storage_engine.testing import column_of


def rows_of(facts, value_type=ValueType.FLOAT64):
    """Rows from (time, lsn, observed, quality, value)."""
    return Rows(
        np.array([f[0] for f in facts], np.int64),
        np.array([f[1] * 2 + f[2] for f in facts], np.uint64),
        np.array([f[3] for f in facts], np.uint32),
        None,
        (column_of(value_type, [f[4] for f in facts]),),
    )


def facts_of(rows):
    return list(
        zip(
            rows.timestamp_ns.tolist(),
            rows.stamp.tolist(),
            rows.quality.tolist(),
            [repr(value) for value in rows.data[0].objects()],
            strict=True,
        )
    )


facts = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.just(0),
        st.booleans(),
        st.sampled_from([0, 1]),
        st.sampled_from([0.0, -0.0, 1.0, float("nan"), None]),
    ),
    max_size=14,
)


def numbered(entries):
    return [(t, lsn, o, q, v) for lsn, (t, _, o, q, v) in enumerate(entries, 1)]


def test_the_rule_keeps_corrections_and_drops_redeliveries():
    """Decision 0003, word for word."""
    rows = rows_of([(5, 1, 1, 0, 1.0), (5, 2, 1, 0, 2.0), (5, 3, 1, 0, 1.0), (5, 4, 0, 0, 1.0)])

    kept = revisions(rows)

    assert [1, 2, 4] == (kept.stamp // 2).tolist()
    assert [1.0] == one_per_time(kept).data[0].objects()


def test_floats_are_equal_by_bits_and_quality_counts():
    """-0.0 is not 0.0, a NaN equals itself, another quality is another row."""
    values = [(5, 0, 0.0), (5, 0, -0.0), (6, 0, np.nan), (6, 0, np.nan)]
    values += [(7, 0, 1.0), (7, 1, 1.0), (8, 0, None), (8, 0, None)]
    rows = rows_of([(t, lsn, 0, q, v) for lsn, (t, q, v) in enumerate(values, 1)])

    assert [1, 2, 3, 5, 6, 7] == (revisions(rows).stamp // 2).tolist()


@given(facts, st.integers(0, 14))
@example([(0, 0, 1, 0, 1.0), (0, 0, 1, 0, 0.0), (0, 0, 1, 0, 1.0), (0, 0, 0, 0, 1.0)], 2)
def test_a_flush_may_apply_its_part_of_the_rule_first(entries, cut):
    """reduce(older + part(newer)) = reduce(older + newer)."""
    entries = numbered(entries)
    whole = sort_by_time(rows_of(entries))
    newer = sort_by_time(rows_of(entries[cut:]))

    part = newer.take(drop_certain(newer, np.zeros(len(newer), np.uint32)))

    joined = sort_by_time(join_rows([rows_of(entries[:cut]), part]))
    assert facts_of(revisions(whole)) == facts_of(revisions(joined))


@given(facts)
def test_the_rule_is_idempotent(entries):
    """What is kept stays kept."""
    once = revisions(sort_by_time(rows_of(numbered(entries))))

    assert facts_of(once) == facts_of(revisions(once))


@given(facts, st.integers(0, 14))
def test_the_rule_of_a_prefix_is_the_prefix_of_the_rule(entries, known):
    """So a question as known at an lsn needs no history of the rule."""
    entries = numbered(entries)
    all_kept = revisions(sort_by_time(rows_of(entries)))
    prefix = revisions(sort_by_time(rows_of(entries[:known])))

    assert facts_of(all_kept.take(all_kept.stamp // 2 <= known)) == facts_of(prefix)


def test_neighbours_of_different_streams_are_not_compared():
    """Blocks are shared; streams are not."""
    rows = rows_of([(5, 1, 0, 0, 1.0), (5, 2, 0, 0, 1.0)])

    assert [True, True] == drop_certain(rows, np.array([1, 2], np.uint32)).tolist()
    assert [True, False] == drop_certain(rows, np.array([1, 1], np.uint32)).tolist()


def test_rows_in_order_are_not_copied():
    """The usual read pays nothing for order and revisions."""
    rows = rows_of([(t, t, 1, 0, 1.0) for t in range(1, 9)])

    assert rows is sort_by_time(rows)
    assert rows is revisions(rows)
    assert rows is one_per_time(rows)


def test_missing_columns_join_as_null():
    """Schemas grow at the end."""
    one = Rows(
        np.array([1]),
        np.array([2], np.uint64),
        None,
        np.zeros(1, "V16"),
        (ColumnData(ValueType.INT64, np.array([7])),),
    )
    two = Rows(
        np.array([2]),
        np.array([4], np.uint64),
        None,
        np.zeros(1, "V16"),
        (*one.data, column_of(ValueType.TEXT, ["x"])),
    )

    joined = join_rows([one, two])

    assert [[7, 7], [None, "x"]] == [column.objects() for column in joined.data]
    assert [None] == null_column(ValueType.BYTES, 1).objects()
