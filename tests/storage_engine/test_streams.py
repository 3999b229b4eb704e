"""streams.py: ids are dense and stay; schemas only grow."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage_engine.errors import InvalidArgument, LimitExceeded
from storage_engine.frame import SlotKind
from storage_engine.manifest import read_streams, stream_table
from storage_engine.sample import Column, ValueType
from storage_engine.stream_info import creations
from storage_engine.streams import (
    EVENTS_TYPE,
    Duplicates,
    StreamTable,
    get_stream,
    plan_set,
    stream_from_json,
)

FLOAT = (Column("value", ValueType.FLOAT64),)
TEXT = (Column("value", ValueType.TEXT),)
TWO = (Column("a", ValueType.TEXT), Column("b", ValueType.INT64))


def table():
    made = StreamTable()
    for number, (kind, columns) in enumerate([(SlotKind.SERIES, FLOAT), (SlotKind.EVENTS, TWO)]):
        info, new = made.plan(bytes([number]) * 16, kind, columns, "default", streams_max=2)
        assert new
        made.put(info)
    return made


def test_ids_are_dense_and_types_stand_in_a_table():
    """Mapping a frame is one lookup per row."""
    made = table()

    assert [1, 2] == sorted(made.by_id)
    assert [0, 1, EVENTS_TYPE, 0] == made.types[:4].tolist()
    assert 3 == made.id_end


def test_a_record_replayed_behind_a_newer_one_changes_nothing():
    """Replay may meet the creation after the growth was taken from the manifest."""
    made = table()
    old = made.by_id[2]
    grown = made.plan_grow(2, (*TWO, Column("c", ValueType.BOOL)))
    made.put(grown)
    made.put(stream_from_json(old.to_json()))

    assert grown == made.by_id[2]
    assert grown == stream_from_json(grown.to_json())


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        (SlotKind.SERIES, TWO),
        (SlotKind.SERIES, ()),
        (SlotKind.EVENTS, (TWO[0], TWO[0])),
        (SlotKind.EVENTS, (Column("", ValueType.TEXT),)),
    ],
)
def test_schemas_that_no_stream_can_have_are_refused(kind, columns):
    """Before anything is logged."""
    with pytest.raises(InvalidArgument, match="cannot create stream"):
        StreamTable().plan(b"x" * 16, kind, columns, "default", streams_max=2)


def test_growth_keeps_the_old_columns_and_series_never_grow():
    """A new type of a tag is a new series."""
    made = table()
    for stream_id, columns in ((2, TWO[::-1]), (2, TWO[:1]), (1, (*FLOAT, TWO[0]))):
        with pytest.raises(InvalidArgument, match="cannot grow stream"):
            made.plan_grow(stream_id, columns)


def test_streams_are_bounded_and_unknown_ids_are_named():
    """Nothing grows without a bound."""
    made = table()
    with pytest.raises(LimitExceeded, match="got 2 streams, want < 2"):
        made.plan(b"z" * 16, SlotKind.SERIES, FLOAT, "default", streams_max=2)
    with pytest.raises(InvalidArgument, match="got id 77"):
        get_stream(made.by_id, 77)


def test_many_streams_are_planned_as_one_is():
    """Known ones and repeated ones are not new; their records are those of streams made alone."""
    made = table()
    uuids = [bytes([number]) * 16 for number in (7, 0, 7, 8)]

    first, new = made.plan_new(uuids, SlotKind.SERIES, FLOAT, "slow", streams_max=4)
    assert first is not None
    made.put_new(first, new)

    assert [uuids[0], uuids[3]] == new
    assert [3, 1, 3, 4] == [made.by_uuid.get(uuid) for uuid in uuids]
    assert [stream_from_json(body) for body in creations(first, new)] == [
        made.by_id[3],
        made.by_id[4],
    ]
    assert (None, []) == made.plan_new(uuids, SlotKind.SERIES, FLOAT, "slow", streams_max=4)
    with pytest.raises(LimitExceeded, match="and 1 more"):
        made.plan_new([b"z" * 16], SlotKind.SERIES, FLOAT, "slow", streams_max=4)
    with pytest.raises(InvalidArgument, match="3 bytes"):
        made.plan_new([b"zzz"], SlotKind.SERIES, FLOAT, "slow", streams_max=9)


operations = st.lists(
    st.one_of(
        st.tuples(st.just("new"), st.integers(0, 40), st.sampled_from([FLOAT, TEXT])),
        st.tuples(st.just("many"), st.integers(0, 40), st.sampled_from([FLOAT, TEXT])),
        st.tuples(st.just("set"), st.integers(1, 30), st.sampled_from(["a", "b"])),
        st.tuples(st.just("look"), st.just(0), st.just(0)),
        st.tuples(st.just("sort"), st.just(0), st.just(0)),
        st.tuples(st.just("reload"), st.just(0), st.just(0)),
    ),
    max_size=30,
)


@given(operations)
def test_columns_hold_what_a_dictionary_would(told):
    """Snapshots stay as they were; uuids with the same first half are told apart."""
    made, plain, seen = StreamTable(), {}, []

    def uuid_of(number):
        return bytes(8) + bytes([number]) * 8 if number % 2 else bytes([number]) * 16

    for what, number, held in told:
        if what == "new" and uuid_of(number) not in {info.uuid for info in plain.values()}:
            planned = made.plan(uuid_of(number), SlotKind.SERIES, held, "default", streams_max=999)
            made.put(planned[0])
            plain[planned[0].id] = planned[0]
        if what == "many":
            uuids = [uuid_of(other) for other in range(number, number + 4)]
            first, new = made.plan_new(uuids, SlotKind.SERIES, held, "many", streams_max=999)
            if first is not None:
                made.put_new(first, new)
                more = enumerate(new, first.id)
                plain |= {i: replace(first, id=i, uuid=uuid) for i, uuid in more}
        if what == "set" and number in plain:
            changed = plan_set(plain[number], held, Duplicates(number % 3))
            made.put(changed)
            plain[number] = changed
        if what == "look":
            seen.append((made.by_id.snapshot(), dict(plain)))
        if what == "sort":
            made.by_uuid.rebuild()
        if what == "reload":
            again = StreamTable()
            again.load(made.by_id.table(), at="here")
            assert again.id_end == made.id_end
            made = again
    for columns, expected in [*seen, (made.by_id, plain)]:
        assert dict(columns) == expected
        assert list(columns) == sorted(expected)
        assert len(columns) == len(expected)
        assert stream_table(list(columns.values())).keys() == columns.table().keys()
        assert read_streams(columns.table(), at="x") == [expected[i] for i in sorted(expected)]
        names, codes = columns.classes(99)
        assert [names[codes[i]] for i in columns] == [columns[i].retention_class for i in columns]
    assert {made.by_uuid.get(info.uuid) for info in plain.values()} == set(plain)
    assert made.by_uuid.get(b"?" * 16) is None
