"""streams.py: ids are dense and stay; schemas only grow."""

import pytest

from storage_engine.errors import InvalidArgument, LimitExceeded
from storage_engine.frame import SlotKind
from storage_engine.sample import Column, ValueType
from storage_engine.streams import EVENTS_TYPE, StreamTable, get_stream, stream_from_json

FLOAT = (Column("value", ValueType.FLOAT64),)
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
