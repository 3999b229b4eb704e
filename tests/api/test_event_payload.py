"""event_payload.py: columnar JSON becomes one event batch; ids are the same for the same event."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.encoding import decode, encode
from api.errors import ApiError
from api.event_payload import HOUSE_KINDS, parse_events
from historian.events import EVENT_KINDS
from storage_engine.sample import ValueType, source_event_id

AT = "2026-03-01T08:00:00Z"
SAMPLE = {
    ValueType.BOOL: True,
    ValueType.FLOAT64: 1.5,
    ValueType.INT64: 7,
    ValueType.SYMBOL: "A",
    ValueType.TEXT: "text",
}


def parsed(kind, document, rows_max=100):
    return parse_events(kind, encode(document), rows_max)


@pytest.mark.parametrize("kind", sorted(EVENT_KINDS.keys() - HOUSE_KINDS))
def test_every_kind_of_the_plant_can_be_written_with_all_its_columns(kind):
    """A new kind needs no line here."""
    columns = {c.name: [SAMPLE[c.type], None] for c in EVENT_KINDS[kind]}
    columns["attributes"] = [{"b": [1, {"c": None}], "a": 1}, None]

    batch = parsed(kind, {"time": [AT, AT], "columns": columns})

    assert [c.name for c in EVENT_KINDS[kind]] == [c.name for c in batch.columns]
    for column, data in zip(batch.columns, batch.data, strict=True):
        first = '{"a":1,"b":[1,{"c":null}]}' if column.name == "attributes" else SAMPLE[column.type]
        assert [first, None] == data.objects()
        assert column.type == data.type
    assert 2 == len(set(batch.event_id.tolist()))


def test_a_sequence_gives_the_id_of_its_source():
    """The same rule as for events from a broker, so both ways in meet."""
    batch = parsed(
        "unit_arrived",
        {"time": [AT, AT], "source": "mes", "sequence": [1, "x"], "columns": {"unit": ["a", "b"]}},
    )

    wanted = [source_event_id("mes", 1), source_event_id("mes", "x")]
    assert wanted == [i.tobytes() for i in batch.event_id]
    assert ["mes", "mes"] == batch.data[-1].objects()


@given(st.permutations(["unit", "station", "nest"]), st.booleans())
def test_the_content_is_the_id_when_nothing_else_is_given(order, with_null):
    """Neither the order of columns nor an explicit null makes another event of it."""
    values = {"unit": ["a"], "station": ["S"], "nest": ["1"]}
    columns = {name: values[name] for name in order}
    if with_null:
        columns["carrier"] = [None]
    first = parsed("unit_arrived", {"time": [AT], "columns": values})
    second = parsed("unit_arrived", {"time": [AT], "columns": columns})

    assert first.event_id.tolist() == second.event_id.tolist()


@pytest.mark.parametrize(
    "change",
    [
        {"time": ["2026-03-01T08:00:00.000000001Z"]},
        {"columns": {"unit": ["b"]}},
        {"source": "other"},
    ],
)
def test_other_content_is_another_event(change):
    """Time, columns and source all count."""
    base = {"time": [AT], "columns": {"unit": ["a"]}}
    one, two = parsed("unit_arrived", base), parsed("unit_arrived", {**base, **change})

    assert one.event_id.tolist() != two.event_id.tolist()


def deep(levels):
    value = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("kind", "document", "status", "where"),
    [
        ("unit_arived", {}, 404, "path"),
        ("quarantine", {}, 403, "path"),
        ("unit_arrived", {"time": [AT]}, 400, "columns"),
        ("unit_arrived", {"columns": {}}, 400, "time"),
        ("unit_arrived", {"time": [AT], "columns": {"units": ["a"]}}, 400, "columns"),
        ("unit_arrived", {"time": [AT], "columns": {"unit": []}}, 400, "columns.unit"),
        ("unit_arrived", {"time": [AT], "columns": {"unit": [5]}}, 400, "columns.unit[0]"),
        ("test_result", {"time": [AT], "columns": {"value": ["5"]}}, 400, "columns.value[0]"),
        ("unit_arrived", {"time": [AT], "id": ["zz"], "columns": {}}, 400, "id[0]"),
        ("unit_arrived", {"time": [AT], "id": [], "columns": {}}, 400, "id"),
        ("unit_arrived", {"time": [AT], "sequence": [1], "columns": {}}, 400, "source"),
        (
            "unit_arrived",
            {"time": [AT], "source": "a", "sequence": [1.5], "columns": {}},
            400,
            "sequence[0]",
        ),
        (
            "unit_arrived",
            {"time": [AT], "columns": {"attributes": ["{}"]}},
            400,
            "columns.attributes[0]",
        ),
        (
            "unit_arrived",
            {"time": [AT], "columns": {"attributes": [deep(40)]}},
            400,
            "columns.attributes[0]",
        ),
        ("unit_arrived", {"time": [AT] * 101, "columns": {}}, 413, "time"),
        (
            "unit_arrived",
            {"time": [AT], "columns": {"unit": ["x" * 70_000]}},
            400,
            "columns.unit[0]",
        ),
    ],
)
def test_another_shape_is_refused_with_its_place(kind, document, status, where):
    """An event is taken whole or not at all."""
    with pytest.raises(ApiError) as refused:
        parsed(kind, document)

    assert (status, where) == (refused.value.status, refused.value.where)


def test_a_misspelt_kind_is_told_the_right_one():
    """The nearest known name."""
    with pytest.raises(ApiError) as refused:
        parsed("unit_arived", {})

    assert "unit_arrived?" == refused.value.want


def test_attributes_go_in_and_come_out_as_json():
    """They are stored as text with sorted keys, so that equal objects are equal bytes."""
    batch = parsed("unit_arrived", {"time": [AT], "columns": {"attributes": [{"z": 1, "a": "ü"}]}})

    assert {"a": "ü", "z": 1} == decode(batch.data[0].value[0].encode())
