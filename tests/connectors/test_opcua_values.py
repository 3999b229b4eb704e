"""opcua: every type of value a real server can publish, and what no one can read."""

import asyncio
import json
import uuid
from datetime import UTC, datetime

import pytest
from asyncua import ua
from asyncua.common.structures104 import new_enum, new_struct, new_struct_field

from connectors.opcua.connector import OpcUaConnector
from connectors.opcua.general import decode_general
from connectors.opcua.testing import START_NS, URI, Plant, quick_settings, running
from connectors.testing import RecordingSink
from historian.clock import SystemClock
from historian.testing import free_port
from storage_engine.sample import SampleBatch, ValueType

T = ua.VariantType
AT = datetime(2020, 2, 2, 2, 2, 2, tzinfo=UTC)
AT_NS = int(AT.timestamp()) * 1_000_000_000
GUID = uuid.UUID("12345678-1234-5678-1234-567812345678")


def node(name):
    return f"nsu={URI};s={name}"


def typed(sink):
    """Address -> (type, values in order)."""
    found = {}
    for batch in sink.batches:
        if isinstance(batch, SampleBatch):
            for index, value in zip(batch.address_index, batch.value.objects(), strict=True):
                address = batch.addresses[index]
                found.setdefault(address, (batch.value.type, []))[1].append(value)
    return found


def collect(variables, rows, *, work=None, **more):
    """Serve variables, run a connector until so many rows came; (sink, status)."""

    async def play():
        plant = Plant(free_port())
        await plant.start(**variables)
        sink = RecordingSink()
        settings = quick_settings(plant.port, browse=[{"root": "/Line", **more}])
        connector = OpcUaConnector("line", settings, SystemClock())
        try:
            async with running(connector, sink) as task:
                if work is not None:
                    await work(plant, sink)
                waiting = asyncio.ensure_future(sink.wait_for_rows(rows))
                await asyncio.wait({waiting, task}, timeout=20, return_when="FIRST_COMPLETED")
                waiting.cancel()
                assert not task.done(), task.exception()
        finally:
            await plant.stop()
        return sink, connector.status

    return asyncio.run(play())


SCALARS = {
    "sbyte": (-5, T.SByte, ValueType.INT64, -5),
    "byte": (250, T.Byte, ValueType.INT64, 250),
    "int64": (-(1 << 62), T.Int64, ValueType.INT64, -(1 << 62)),
    "uint64": (1 << 63, T.UInt64, ValueType.UINT64, 1 << 63),
    "float": (0.5, T.Float, ValueType.FLOAT32, 0.5),
    "double": (1e300, T.Double, ValueType.FLOAT64, 1e300),
    "boolean": (True, T.Boolean, ValueType.BOOL, True),
    "string": ("grün", T.String, ValueType.SYMBOL, "grün"),
    "time": (AT.replace(tzinfo=None), T.DateTime, ValueType.INT64, AT_NS),
    "guid": (GUID, T.Guid, ValueType.SYMBOL, str(GUID)),
    "bytes": (b"\x00\xff", T.ByteString, ValueType.BYTES, b"\x00\xff"),
    "localized": (ua.LocalizedText("auf", "de"), T.LocalizedText, ValueType.SYMBOL, "auf"),
    "status": (ua.StatusCode(0x8001_0000), T.StatusCode, ValueType.INT64, 0x8001_0000),
    "node": (ua.NodeId("x", 2), T.NodeId, ValueType.SYMBOL, node("x")),
    "name": (ua.QualifiedName("n", 2), T.QualifiedName, ValueType.SYMBOL, "2:n"),
}


def test_every_scalar_type_becomes_a_series_of_its_own_type():
    """Those the fast decoder takes and those it does not, in one message."""
    variables = {name: (value, type_) for name, (value, type_, _, _) in SCALARS.items()}

    sink, _ = collect(variables, len(SCALARS))

    expected = {node(name): (type_, [value]) for name, (_, _, type_, value) in SCALARS.items()}
    assert expected == typed(sink)
    assert [] == sink.rejects


def test_an_array_becomes_a_series_per_element_and_a_shorter_one_ends_the_others():
    async def work(plant, sink):
        await asyncio.wait_for(sink.wait_for_rows(4), 20)
        await plant.write("a", [4.5], T.Double, 1)
        await asyncio.wait_for(sink.wait_for_rows(7), 20)
        await plant.write("a", None, T.Null, 2, ua.StatusCodes.BadNotConnected)

    variables = {"a": ([1.5, 2.5, 3.5], T.Double), "x": (1, T.Int32)}
    sink, _ = collect(variables, 10, work=work)

    rows = [(a, t - START_NS, q, v) for a, t, q, v in sink.rows() if a != node("x")]
    bad, none = 0x808A_0000, 0x809B_0000
    second = 1_000_000_000
    assert [(f"{node('a')}[{i}]", v) for i, v in enumerate((1.5, 2.5, 3.5))] == [
        (a, v) for a, _, _, v in rows[:3]
    ]
    assert {
        (f"{node('a')}[0]", second, 0, 4.5),
        (f"{node('a')}[1]", second, none, None),
        (f"{node('a')}[2]", second, none, None),
    } == set(rows[3:6])
    assert {(f"{node('a')}[{i}]", 2 * second, bad, None) for i in range(3)} == set(rows[6:])


def test_an_array_becomes_one_text_where_the_rule_says_so():
    variables = {"a": ([1, 2, 3], T.UInt16), "t": (["x", None], T.String)}

    sink, _ = collect(variables, 2, arrays="json")

    assert {
        node("a"): (ValueType.SYMBOL, ["[1,2,3]"]),
        node("t"): (ValueType.SYMBOL, ['["x",null]']),
    } == typed(sink)


def test_a_matrix_keeps_its_shape_in_addresses_and_in_json():
    async def work(plant, _sink):
        value = ua.Variant([[1, 2], [3, 4]], T.Int32)
        await plant.server.write_attribute_value(plant.nodes["m"].nodeid, ua.DataValue(value))

    sink, _ = collect({"m": ([], T.Int32)}, 4, work=work)
    as_json, _ = collect({"m": ([], T.Int32)}, 1, work=work, arrays="json")

    addresses = [f"{node('m')}[{i}][{j}]" for i in range(2) for j in range(2)]
    assert dict(zip(addresses, (1, 2, 3, 4), strict=True)) == {
        a: values[-1] for a, (_, values) in typed(sink).items()
    }
    assert "[[1,2],[3,4]]" == typed(as_json)[node("m")][1][-1]


def test_a_value_of_too_many_elements_is_named_whole_and_its_neighbours_go_on():
    variables = {"a": (list(range(50)), T.Int32), "x": (1.5, T.Double)}

    sink, status = collect(variables, 1, elements_max=10)

    assert {node("x"): (ValueType.FLOAT64, [1.5])} == typed(sink)
    (reject,) = sink.rejects
    assert (node("a"), 1) == (reject.address, status.rejected)
    assert "more than 10 elements" in reject.reason
    assert list(range(50)) == json.loads(reject.payload)


async def recipes(plant):
    """A server with an enumeration and structures, nested and with optional fields."""
    server = plant.server
    index = await server.get_namespace_index(URI)
    kind = await new_enum(server, index, "Kind", ["Weld", "Glue"])
    inner, _ = await new_struct(
        server,
        index,
        "Point",
        [new_struct_field("X", T.Double), new_struct_field("Y", T.Float)],
    )
    outer, _ = await new_struct(
        server,
        index,
        "Recipe",
        [
            new_struct_field("Name", T.String),
            new_struct_field("Kind", kind),
            new_struct_field("Start", inner),
            new_struct_field("Path", inner, array=True),
            new_struct_field("Note", T.String, optional=True),
            new_struct_field("Count", T.UInt64, optional=True),
            new_struct_field("At", ua.NodeId(ua.ObjectIds.UtcTime)),
            new_struct_field("Span", ua.NodeId(ua.ObjectIds.Range)),
            new_struct_field("Any", ua.NodeId(ua.ObjectIds.BaseDataType)),
        ],
    )
    await server.load_data_type_definitions()
    value = ua.Recipe(
        Name="A1",
        Kind=ua.Kind.Glue,
        Start=ua.Point(1.5, 2.5),
        Path=[ua.Point(3.0, 4.0), ua.Point(5.0, 6.0)],
        Note=None,
        Count=1 << 63,
        At=AT.replace(tzinfo=None),
        Span=ua.Range(-1.0, 1.0),
        Any=ua.Variant(7, T.Int16),
    )
    line = server.get_node(ua.NodeId("Line", index))
    name = ua.QualifiedName("recipe", index)
    plant.nodes["recipe"] = await line.add_variable(
        ua.NodeId("recipe", index), name, value, datatype=outer.nodeid
    )
    plant.nodes["kind"] = await line.add_variable(
        ua.NodeId("kind", index),
        ua.QualifiedName("kind", index),
        ua.Variant(1, T.Int32),
        datatype=kind.nodeid,
    )


def with_recipes(rows, work=None, **more):
    """Like collect, with structures."""

    async def play():
        plant = Plant(free_port())
        await plant.start(x=(1.5, T.Double))
        await recipes(plant)
        sink = RecordingSink()
        settings = quick_settings(plant.port, browse=[{"root": "/Line", **more}])
        connector = OpcUaConnector("line", settings, SystemClock())
        try:
            async with running(connector, sink) as task:
                waiting = asyncio.ensure_future(sink.wait_for_rows(rows))
                await asyncio.wait({waiting, task}, timeout=20, return_when="FIRST_COMPLETED")
                waiting.cancel()
                assert not task.done(), task.exception()
                if work is not None:
                    await work(plant, sink)
        finally:
            await plant.stop()
        return sink

    return asyncio.run(play())


FIELDS = {
    ".Name": (ValueType.SYMBOL, "A1"),
    ".Kind": (ValueType.INT64, 1),
    ".Start.X": (ValueType.FLOAT64, 1.5),
    ".Start.Y": (ValueType.FLOAT32, 2.5),
    ".Path[0].X": (ValueType.FLOAT64, 3.0),
    ".Path[0].Y": (ValueType.FLOAT32, 4.0),
    ".Path[1].X": (ValueType.FLOAT64, 5.0),
    ".Path[1].Y": (ValueType.FLOAT32, 6.0),
    ".Note": (ValueType.FLOAT64, None),
    ".Count": (ValueType.UINT64, 1 << 63),
    ".At": (ValueType.INT64, AT_NS),
    ".Span.Low": (ValueType.FLOAT64, -1.0),
    ".Span.High": (ValueType.FLOAT64, 1.0),
    ".Any": (ValueType.INT64, 7),
}


def test_a_structure_becomes_a_series_per_field_without_any_class_made_of_it():
    sink = with_recipes(len(FIELDS) + 2)

    found = {
        address.removeprefix(node("recipe")): (type_, values[0])
        for address, (type_, values) in typed(sink).items()
        if address.startswith(node("recipe"))
    }
    assert FIELDS == found
    assert [] == sink.rejects


def test_a_structure_becomes_one_text_where_the_rule_says_so():
    sink = with_recipes(3, structures="json")

    (type_, (text,)) = typed(sink)[node("recipe")]
    assert ValueType.SYMBOL is type_
    found = json.loads(text)
    assert {"X": 1.5, "Y": 2.5} == found["Start"]
    assert (1 << 63, None) == (found["Count"], found["Note"])


def test_an_enumeration_is_a_number_with_its_texts_in_the_catalog():
    sink = with_recipes(len(FIELDS) + 2)

    (item,) = [item for item in sink.items if item.address == node("kind")]
    assert {"0": "Weld", "1": "Glue"} == json.loads(item.facts["states"])
    assert "Kind" == item.facts["data_type"]
    assert (ValueType.INT64, [1]) == typed(sink)[node("kind")]


def test_trap_11_a_structure_that_nobody_can_read_is_kept_aside_and_the_session_goes_on():
    """A stock client drops the whole message; or the session ends, and the message comes again."""
    body = b"\x07\x00\x00\x00broken"

    async def work(plant, sink):
        index = await plant.server.get_namespace_index(URI)
        for type_id in (ua.NodeId(99, index), ua.NodeId(886, 0)):  # unknown; a Range cut short
            value = ua.Variant(ua.ExtensionObject(type_id, body), T.ExtensionObject)
            node_id = plant.nodes["recipe"].nodeid
            await plant.server.write_attribute_value(node_id, ua.DataValue(value))
            await plant.write("x", 2.5, T.Double, 1)
            await asyncio.wait_for(
                sink.wait_for_rejects(1 if index and type_id.NamespaceIndex else 2), 20
            )
        before = sink.row_count
        await plant.write("x", 3.5, T.Double, 2)
        await asyncio.wait_for(sink.wait_for_rows(before + 1), 20)

    sink = with_recipes(len(FIELDS) + 2, work)

    assert [node("recipe")] * 2 == [reject.address for reject in sink.rejects]
    assert all(body in reject.payload for reject in sink.rejects)
    assert f"nsu={URI};i=99" in sink.rejects[0].reason
    assert "Range" in sink.rejects[1].reason
    assert 3.5 == typed(sink)[node("x")][1][-1]
    assert 1 == sum(state.link.value == "connected" for state in sink.states)


class NoStructures:
    """A session whose server defines none."""

    def unpack(self, tree):
        return tree


def test_trap_11_bytes_that_are_no_value_cost_themselves_and_are_named():
    """Header and sequence are read, so the message can be acknowledged and does not come again."""
    message = ua.NotificationMessage(SequenceNumber=7)
    good = ua.DataChangeNotification()
    value = ua.DataValue(ua.Variant([1, 2], T.Int32))
    good.MonitoredItems = [ua.MonitoredItemNotification(ClientHandle=3, Value=value)]
    message.NotificationData = [good]
    response = ua.PublishResponse()
    response.Parameters.SubscriptionId = 5
    response.Parameters.NotificationMessage = message
    whole = ua.ua_binary.struct_to_binary(response)
    place = whole.index(b"\x86\x02\x00\x00\x00\x01\x00\x00\x00\x02")
    spoiled = whole[:place] + b"\x9f" + whole[place + 1 :]

    fine = decode_general(whole, NoStructures())
    found = decode_general(spoiled, NoStructures())

    assert (5, 7, True, 1, 0) == (
        fine.subscription,
        fine.sequence,
        fine.data,
        len(fine.wide),
        len(fine.broken),
    )
    assert (5, 7, True, 0) == (
        found.subscription,
        found.sequence,
        found.data,
        len(found.wide),
    )
    (broken,) = found.broken
    assert "built-in type 31" in broken.reason
    for size in range(len(whole)):  # cut anywhere: named, or not even a header
        try:
            cut = decode_general(whole[:size], NoStructures())
        except ValueError:
            continue
        assert bool(cut.broken) != bool(cut.wide)
        assert cut.data


@pytest.mark.parametrize("depth", [10, 1_000])
def test_trap_11_variants_within_variants_end_somewhere(depth):
    from connectors.opcua.variants import Bytes, variant

    data = b"\x18" * depth + b"\x06\x01\x00\x00\x00"
    if depth < 32:
        assert 1 == variant(Bytes(data)).value
    else:
        with pytest.raises(ValueError, match="nested"):
            variant(Bytes(data))
