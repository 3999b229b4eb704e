"""sparkplug/table, birth, values, structures: what each kind of metric becomes."""

import json
import math
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sink import SourceItem
from connectors.sparkplug.structures import encode_field, fields
from connectors.sparkplug.values import scalar
from storage_engine.sample import BAD, BAD_NO_DATA, UNCERTAIN_LAST_USABLE_VALUE, ValueType

sys.path.insert(0, str(Path(__file__).parent))
from sparkplug_edge import DOUBLE, INT32, STRING, Edge, T, add, fleet, metric, rows, values

TEMPLATE, DATA_SET = 19, 16


def born(*metrics, **rules):
    host = fleet(**rules)
    edge = Edge(host)
    edge.nbirth(metrics)
    return host, edge


@pytest.mark.parametrize(
    ("datatype", "value", "type_", "want"),
    [
        (1, -5, ValueType.INT64, -5),
        (2, -300, ValueType.INT64, -300),
        (3, -70_000, ValueType.INT64, -70_000),
        (4, (1 << 64) - 9, ValueType.INT64, -9),
        (5, 255, ValueType.INT64, 255),
        (6, 65_535, ValueType.INT64, 65_535),
        (7, (1 << 32) - 1, ValueType.INT64, (1 << 32) - 1),
        (8, (1 << 64) - 1, ValueType.UINT64, (1 << 64) - 1),
        (9, 0.1, ValueType.FLOAT32, struct.unpack("f", struct.pack("f", 0.1))[0]),
        (10, 0.1, ValueType.FLOAT64, 0.1),
        (11, True, ValueType.BOOL, True),
        (12, "Öl", ValueType.TEXT, "Öl"),
        (13, T, ValueType.INT64, T),
        (14, "long", ValueType.TEXT, "long"),
        (15, "1-2", ValueType.TEXT, "1-2"),
    ],
)
@pytest.mark.parametrize("alias", [None, 5])
def test_a_value_has_the_type_of_its_birth(datatype, value, type_, want, alias):
    """In the birth with its datatype, then without it; by alias or by name."""
    host, edge = born(metric("m", value, datatype, alias))
    again = metric(None if alias else "m", value, alias=alias, kind=kind_of(datatype))
    edge.send("NDATA", [again])
    batches = [b for b in host.told.samples.take() if "g/n:m" in b.addresses]
    (batch,) = batches
    mine = [batch.addresses[k] == "g/n:m" for k in batch.address_index.tolist()]
    found = [v for v, own in zip(batch.value.objects(), mine, strict=True) if own]
    assert (batch.value.type, found) == (type_, [want, want])


def kind_of(datatype):
    return {
        **dict.fromkeys((4, 8, 13), "long_value"), 9: "float_value", 10: "double_value",
        11: "boolean_value", **dict.fromkeys((12, 14, 15), "string_value"),
    }.get(datatype, "int_value")  # fmt: skip


@pytest.mark.parametrize("datatype", [17, 18])
def test_bytes_and_files_are_bytes(datatype):
    """As they came."""
    host, _ = born(metric("m", b"\0\xff", datatype, kind="bytes_value"))
    assert values(host.told, "g/n:m") == [("g/n:m", b"\0\xff")]


def test_null_has_no_value_and_says_so():
    """Bad, no data; with the time it has none."""
    host, edge = born(metric("m", None, DOUBLE, 1, is_null=True))
    edge.send("NDATA", [metric(alias=1, at=T + 4, is_null=True)])
    assert [row for row in rows(host.told) if row[0] == "g/n:m"] == [
        ("g/n:m", T, BAD_NO_DATA, None),
        ("g/n:m", T + 4, BAD_NO_DATA, None),
    ]


def test_transient_values_are_counted_and_not_stored():
    """The node says that they are not to be."""
    host, edge = born(metric("m", 1.0, DOUBLE, 1))
    rows(host.told)
    edge.send("NDATA", [metric(alias=1, value=2.0, kind="double_value", is_transient=True)])
    edge.send("NDATA", [metric(alias=1, value=3.0, kind="double_value")])
    assert values(host.told) == [("g/n:m", 3.0)]
    assert host.told.counts.transient == 1


def test_historical_values_are_of_their_own_time_and_leave_death_as_it_is():
    """What a node kept while it was offline: after the stale sample, in the past."""
    host, edge = born(metric("m", 1.0, DOUBLE, 1))
    edge.ndeath()
    rows(host.told)
    edge.nbirth([metric("m", 5.0, DOUBLE, 1)], at=T + 100)
    late = [
        metric(alias=1, value=2.0 + k, at=T + k, kind="double_value", is_historical=True)
        for k in range(3)
    ]
    edge.send("NDATA", late, at=T + 200)
    found = [(ms, q, v) for a, ms, q, v in rows(host.told) if a == "g/n:m"]
    assert found == [(T + 100, 0, 5.0), (T, 0, 2.0), (T + 1, 0, 3.0), (T + 2, 0, 4.0)]
    assert host.told.counts.historical == 3


@pytest.mark.parametrize(
    ("code", "want"), [(0, BAD), (192, 0), (500, UNCERTAIN_LAST_USABLE_VALUE), (7, None)]
)
def test_property_quality_becomes_a_status(code, want):
    """0 bad, 192 good, 500 stale; nobody knows another."""
    host, edge = born(metric("m", 1.0, DOUBLE, 1))
    rows(host.told)
    whole = edge.payload([metric(alias=1, value=2.0, kind="double_value")])
    whole.metrics[0].properties.keys.append("Quality")
    whole.metrics[0].properties.values.add(type=INT32, int_value=code)
    edge.give("NDATA", whole.SerializeToString())
    assert rows(host.told) == ([] if want is None else [("g/n:m", T, want, 2.0)])
    assert ["want 0, 192 or 500" in r.reason for r in host.told.rejects] == [True] * (want is None)


def test_a_bad_template_has_no_good_members():
    """The worse of both."""
    host, edge = with_templates()
    rows(host.told)
    members = [metric("speed", 8, kind="int_value"), metric("speed", 9, kind="int_value")]
    whole = template(edge, "NDATA", None, "motor", members, alias=4)
    for properties, code in (
        (whole.metrics[0].properties, 0),
        (whole.metrics[0].template_value.metrics[0].properties, 192),
    ):
        properties.keys.append("Quality")
        properties.values.add(type=INT32, int_value=code)
    edge.give("NDATA", whole.SerializeToString())
    assert [(q, v) for _, _, q, v in rows(host.told)] == [(BAD, 8), (BAD, 9)]


def test_properties_of_a_birth_are_metadata():
    """engUnit, engLow and engHigh by convention; others as facts."""
    host = fleet()
    edge = Edge(host)
    whole = edge.payload([metric("m", 1.0, DOUBLE, 1)])
    properties = whole.metrics[0].properties
    for key, more in (
        ("engUnit", {"type": STRING, "string_value": "bar"}),
        ("engLow", {"type": INT32, "int_value": (1 << 32) - 5}),
        ("engHigh", {"type": DOUBLE, "double_value": 7.5}),
        ("maker", {"type": STRING, "string_value": "ACME"}),
        ("nothing", {"type": STRING, "is_null": True}),
    ):
        properties.keys.append(key)
        properties.values.add(**more)
    properties.keys.append("inner")
    inner = properties.values.add(type=20).propertyset_value
    inner.keys.append("a")
    inner.values.add(type=11, boolean_value=True)
    whole.metrics[0].metadata.description = "pressure"
    edge.give("NBIRTH", whole.SerializeToString())
    assert host.told.items == [
        SourceItem(
            "g/n:m", "m", "pressure", "bar", -5.0, 7.5,
            {"datatype": "Double", "maker": "ACME", "nothing": "null", "inner": '{"a":true}'},
        )
    ]  # fmt: skip


def template(edge, kind, name, ref, members, *, alias=None):
    """A message with one template in it; members are metrics, or (name, ref, members)."""
    whole = edge.payload([metric(name, alias=alias)])
    if kind not in {"NDATA", "DDATA"}:
        whole.metrics[0].datatype = TEMPLATE
    fill(whole.metrics[0].template_value, ref, members)
    return whole


def fill(inside, ref, members):
    if ref:
        inside.template_ref = ref
    for member in members:
        if isinstance(member, tuple):
            added = inside.metrics.add(name=member[0], datatype=TEMPLATE)
            fill(added.template_value, member[1], member[2])
        else:
            add(inside.metrics, member)


def with_templates(**rules):
    host = fleet(**rules)
    edge = Edge(host)
    whole = edge.payload([])
    for name, members in (
        ("axis", [metric("pos", 0.0, DOUBLE)]),
        ("motor", [metric("speed", 0, INT32), ("x", "axis", [])]),
    ):
        definition = whole.metrics.add(name=name, datatype=TEMPLATE)
        definition.template_value.is_definition = True
        fill(definition.template_value, "", members)
    instance = whole.metrics.add(name="left", alias=4, datatype=TEMPLATE)
    fill(instance.template_value, "motor", [
        metric("speed", 7, INT32), ("x", "axis", [metric("pos", 1.5, DOUBLE)]),
    ])  # fmt: skip
    edge.give("NBIRTH", whole.SerializeToString())
    return host, edge


def test_templates_are_flattened_and_may_come_in_part():
    """instance/member; the definition is no value."""
    host, edge = with_templates()
    assert sorted(values(host.told)) == [("g/n:left/speed", 7), ("g/n:left/x/pos", 1.5)]
    part = template(edge, "NDATA", None, "motor", [metric("speed", 8, kind="int_value")], alias=4)
    edge.give("NDATA", part.SerializeToString())
    assert rows(host.told) == [("g/n:left/speed", T, 0, 8)]
    assert host.told.rejects == []
    assert {item.address for item in host.told.items} == {"g/n:left/speed", "g/n:left/x/pos"}


def test_devices_use_the_templates_of_their_node():
    """Definitions are in its birth only; members that an instance leaves out are known too."""
    host, edge = with_templates()
    rows(host.told)
    speed = metric("speed", 1, kind="int_value")  # its type is in the definition
    whole = template(edge, "DBIRTH", "right", "motor", [speed], alias=9)
    edge.give("DBIRTH", whole.SerializeToString(), "d")
    more = [("x", "axis", [metric("pos", 2.5, kind="double_value")])]
    edge.give(
        "DDATA", template(edge, "DDATA", None, "motor", more, alias=9).SerializeToString(), "d"
    )
    assert values(host.told) == [("g/n/d:right/speed", 1), ("g/n/d:right/x/pos", 2.5)]


@pytest.mark.parametrize("ref", ["nobody", "loop", "wide"])
def test_templates_that_cannot_be_are_rejected(ref):
    """Unknown, of themselves, or of more members than anybody has."""
    host = fleet()
    edge = Edge(host)
    whole = edge.payload([])
    wide = [(f"w{k}", f"{k + 1}", 9) for k in range(20)]
    for name, inner, times in (("loop", "loop", 1), ("wide", "0", 1), *(
        (str(k), str(k + 1), times) for k, (_, _, times) in enumerate(wide)
    )):  # fmt: skip
        definition = whole.metrics.add(name=name, datatype=TEMPLATE)
        definition.template_value.is_definition = True
        fill(definition.template_value, "", [(f"m{j}", inner, []) for j in range(times)])
    instance = whole.metrics.add(name="it", datatype=TEMPLATE)
    fill(instance.template_value, ref, [])
    edge.give("NBIRTH", whole.SerializeToString())
    assert [r.address for r in host.told.rejects if r.address == "g/n:it"] == ["g/n:it"]


def data_set(whole, rows_, types=(INT32, STRING)):
    inside = whole.metrics[0].dataset_value
    inside.num_of_columns = 2
    inside.columns.extend(["id", "name"])
    inside.types.extend(types)
    for number, text in rows_:
        row = inside.rows.add()
        row.elements.add(int_value=number % (1 << 32))
        row.elements.add(string_value=text)


def test_a_data_set_is_json():
    """Columns and rows, with their types."""
    host, edge = born(metric("m", "x", STRING))
    whole = edge.payload([metric("table", datatype=DATA_SET)])
    data_set(whole, [(-1, "a"), (2, "ü")])
    edge.give("NBIRTH", whole.SerializeToString())
    ((_, text),) = values(host.told, "g/n:table")
    assert json.loads(text) == {"columns": ["id", "name"], "rows": [[-1, "a"], [2, "ü"]]}
    bad = edge.payload([metric("table")])
    data_set(bad, [(1, "a")], types=(INT32,))
    edge.give("NDATA", bad.SerializeToString())
    assert ["want as many" in reject.reason for reject in host.told.rejects] == [True]


ARRAYS = [
    (22, struct.pack("<3b", -1, 0, 5), [-1, 0, 5]),
    (25, struct.pack("<2q", -(1 << 62), 1), [-(1 << 62), 1]),
    (29, struct.pack("<1Q", (1 << 64) - 1), [(1 << 64) - 1]),
    (30, struct.pack("<2f", 0.5, -2), [0.5, -2.0]),
    (31, struct.pack("<2d", 0.1, 1e300), [0.1, 1e300]),
    (32, b"\x0a\0\0\0\x80\x40", [True, *[False] * 8, True]),
    (33, b"ab\0\0\xc3\xbc\0", ["ab", "", "ü"]),
    (34, struct.pack("<1Q", T), [T]),
]


@pytest.mark.parametrize(("datatype", "raw", "want"), ARRAYS)
def test_an_array_is_json_or_a_series_for_each_element(datatype, raw, want):
    """By configuration."""
    one = metric("m", raw, datatype, kind="bytes_value")
    ((_, text),) = values(born(one)[0].told, "g/n:m")
    assert json.loads(text) == want
    found = values(born(one, arrays="elements")[0].told, "g/n:m")
    assert found == [(f"g/n:m[{k}]", value) for k, value in enumerate(want)]


def test_elements_that_an_array_no_longer_has_are_without_value():
    """And stale with the others at a death."""
    host, edge = born(metric("m", b"\1\2", 22, 1, kind="bytes_value"), arrays="elements")
    rows(host.told)
    edge.send("NDATA", [metric(alias=1, value=b"\3", kind="bytes_value")])
    assert rows(host.told) == [("g/n:m[0]", T, 0, 3), ("g/n:m[1]", T, BAD_NO_DATA, None)]
    edge.ndeath()
    assert {a for a, _, q, _ in rows(host.told) if q} >= {"g/n:m[0]", "g/n:m[1]"}


@pytest.mark.parametrize(
    ("datatype", "raw"),
    [(24, b"abc"), (33, b"ab"), (32, b"\x09\0\0\0\x80"), (32, b""), (22, "text")],
)
def test_an_array_that_does_not_come_out_even_is_rejected(datatype, raw):
    """Never cut to fit."""
    kind = "string_value" if isinstance(raw, str) else "bytes_value"
    host, _ = born(metric("m", raw, datatype, kind=kind))
    assert [r.address for r in host.told.rejects] == ["g/n:m"]


@pytest.mark.parametrize(
    "one",
    [
        metric("m", 300, 1),
        metric("m", 1.0, INT32, kind="double_value"),
        metric("m", None, DOUBLE),
        metric("m", 1.0, DOUBLE, at=(1 << 63) // 1_000_000 + 1),
        metric("m", 1, 77, kind="int_value"),
        metric("m", 1, None, kind="int_value"),
        metric("", 1, INT32),
    ],
)
def test_a_metric_that_cannot_be_is_rejected_alone(one):
    """Its neighbours are stored."""
    host, _ = born(one, metric("good", 1, INT32))
    assert len(host.told.rejects) == 1
    assert values(host.told, "g/n:good") == [("g/n:good", 1)]
    assert values(host.told, "g/n:m") == []


def test_a_name_given_twice_is_rejected_once():
    """The first keeps it."""
    host, _ = born(metric("m", 1, INT32), metric("m", 2, INT32))
    assert ["twice" in reject.reason for reject in host.told.rejects] == [True]
    assert values(host.told, "g/n:m") == [("g/n:m", 1)]


def test_samples_of_a_series_stay_in_order_whatever_path_they_took():
    """Plain, with properties, null, and after a death: as they came."""
    host, edge = born(metric("m", 0.0, DOUBLE, 1), metric("k", 0.0, DOUBLE, 2))
    rows(host.told)
    for k in range(1, 5):
        edge.send("NDATA", [metric(alias=1, value=float(k), at=T, kind="double_value")])
        edge.send("NDATA", [metric(alias=1, at=T, is_null=True)])
    edge.ndeath()
    found = [v for a, _, _, v in rows(host.told) if a == "g/n:m"]
    assert found == [1.0, None, 2.0, None, 3.0, None, 4.0, None, None]


@given(st.floats())
def test_doubles_keep_their_bits(value):
    """NaN and infinities among them."""
    bits = int.from_bytes(struct.pack("<d", value), "little")
    found = scalar(10, 13, bits)
    assert found == value or (math.isnan(found) and math.isnan(value))


@given(st.binary(max_size=60))
def test_structures_of_any_bytes_are_read_or_refused(raw):
    """Never another error."""
    try:
        list(fields(raw))
    except ValueError as error:
        assert "want" in str(error)  # noqa: PT017


@given(st.lists(st.tuples(st.integers(1, 1000), st.integers(0, (1 << 64) - 1) | st.binary())))
def test_fields_are_read_as_they_were_written(written):
    """Numbers and bytes."""
    raw = b"".join(encode_field(number, value) for number, value in written)
    assert [(number, value) for number, _, value in fields(raw)] == written
