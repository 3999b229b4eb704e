"""opcua/general: whatever bytes come, a message is read, named as broken, or refused as none."""

from types import SimpleNamespace

from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.opcua.general import decode_general
from connectors.opcua.items import Registry
from connectors.opcua.rows import ChangeRows
from connectors.opcua.structures import Structures, _Definition, _Field
from connectors.opcua.variants import Bytes, Packed, data_value

T = ua.VariantType
ENCODING = ua.NodeId(5001, 1)


def structures():
    """Definitions of a server with a structure, one with optional fields, and a union."""
    found = Structures(SimpleNamespace(namespaces=["", "urn:s"]))
    point = (_Field("X", 11, "i=11", -1, False), _Field("Y", 10, "i=10", -1, True))
    fields = (
        _Field("Name", 12, "i=12", -1, False),
        _Field("Path", 0, "nsu=urn:s;i=1", 1, False),
        _Field("Grid", 11, "i=11", 2, False),
        _Field("Either", 0, "nsu=urn:s;i=2", -1, False),
        _Field("Span", 0, "i=884", -1, False),
        _Field("Any", 24, "i=24", -1, False),
        _Field("Self", 0, "nsu=urn:s;i=3", 1, False),
    )
    found._by_type = {
        "nsu=urn:s;i=1": _Definition(1, point),
        "nsu=urn:s;i=2": _Definition(2, point),
        "nsu=urn:s;i=3": _Definition(0, fields),
    }
    found._by_encoding = {"nsu=urn:s;i=5001": found._by_type["nsu=urn:s;i=3"]}
    return found


def message():
    """A message with everything in it."""
    body = b"".join(
        (
            b"\x01\x00\x00\x00n",
            b"\x02\x00\x00\x00" + b"\x00" * 12 + b"\x01" + b"\x00" * 15,
            b"\x02\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00" + b"\x01" * 32,
            b"\x02\x00\x00\x00" + b"\x02" * 4,
            b"\x03" * 16,
            b"\x06\x07\x00\x00\x00",
            b"\xff\xff\xff\xff",
        )
    )
    values = [
        ua.Variant([1, 2, 3], T.Int32),
        ua.Variant([[1.0, 2.0], [3.0, 4.0]], T.Double),
        ua.Variant(ua.ExtensionObject(ENCODING, body), T.ExtensionObject),
        ua.Variant([ua.Range(1.0, 2.0), ua.EUInformation()], T.ExtensionObject),
        ua.Variant(ua.NodeId("x", 1), T.NodeId),
        ua.Variant([ua.Variant("a", T.String), ua.Variant(1, T.Byte)], T.Variant),
        ua.Variant(ua.QualifiedName("n", 1), T.QualifiedName),
        ua.Variant(1.5, T.Double),
    ]
    data = ua.DataChangeNotification()
    data.MonitoredItems = [
        ua.MonitoredItemNotification(ClientHandle=handle, Value=ua.DataValue(value))
        for handle, value in enumerate(values)
    ]
    events = ua.EventNotificationList()
    fields = ua.EventFieldList(ClientHandle=9, EventFields=values[:5])
    events.Events = [fields]
    whole = ua.PublishResponse()
    whole.Parameters.SubscriptionId = 5
    whole.Parameters.NotificationMessage = ua.NotificationMessage(
        SequenceNumber=7, NotificationData=[data, events]
    )
    return struct_to_binary(whole)


WHOLE = message()


def read(body):
    """Decode and make rows; the message, None when it is none."""
    try:
        found = decode_general(body, structures())
    except ValueError:
        return None
    registry = Registry()
    for handle in range(8):
        registry.add(f"a{handle}")
    rows = ChangeRows(registry)
    rows.add(found, 1)
    rows.take()
    return found


def test_the_message_is_read_whole_before_it_is_spoiled():
    found = read(WHOLE)

    assert (5, 3, 1) == (len(found.wide), len(found.changes), len(found.events))
    assert [] == found.broken == found.problems
    tree = next(wide.tree for wide in found.wide if isinstance(wide.tree, dict))
    assert 1.5 != tree["Path"][0]["X"].value
    assert (2, 2) == (len(tree["Grid"]), len(tree["Grid"][0]))
    assert ["Name", "Path", "Grid", "Either", "Span", "Any", "Self"] == list(tree)


@settings(max_examples=1_500, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=6)
)
def test_bytes_changed_anywhere_never_do_more_than_break_their_part(changes):
    body = bytearray(WHOLE)
    for place, value in changes:
        body[place] = value

    read(bytes(body))


def test_a_message_cut_anywhere_is_named_broken_or_is_none():
    for size in range(len(WHOLE)):
        found = read(WHOLE[:size])
        assert found is None or found.data


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_as_a_value_or_a_structure_are_read_or_refused(data):
    for attempt in (
        lambda: data_value(Bytes(data)),
        lambda: structures().unpack(Packed("ns=1;i=5001", data)),
        lambda: structures().unpack(Packed("i=886", data)),
        lambda: structures().unpack(Packed("i=889", data)),
    ):
        try:
            attempt()
        except ValueError:
            continue
