"""opcua/notification.py: our decoder says what asyncua says, and leaves aside what is not plain."""

import uuid
from datetime import datetime, timedelta

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.opcua.generic import notification_of
from connectors.opcua.items import ChangeRows, Registry
from connectors.opcua.notification import Change, Unusual, decode_publish, ticks_to_ns
from storage_engine.sample import ValueType

T = ua.VariantType
MOMENT = datetime(2016, 10, 1, 2, 3, 4, 567_890)  # noqa: DTZ001 - as asyncua wants it


def integers(bits, *, signed):
    low = -(1 << (bits - 1)) if signed else 0
    return st.integers(low, low + (1 << bits) - 1)


VARIANTS = st.one_of(
    st.builds(ua.Variant, st.booleans(), st.just(T.Boolean)),
    *(
        st.builds(ua.Variant, integers(bits, signed=signed), st.just(type_))
        for bits, signed, type_ in (
            (8, True, T.SByte),
            (8, False, T.Byte),
            (16, True, T.Int16),
            (16, False, T.UInt16),
            (32, True, T.Int32),
            (32, False, T.UInt32),
            (64, True, T.Int64),
            (64, False, T.UInt64),
        )
    ),
    st.builds(ua.Variant, st.floats(width=32, allow_nan=False), st.just(T.Float)),
    st.builds(ua.Variant, st.floats(allow_nan=False), st.just(T.Double)),
    st.builds(ua.Variant, st.text() | st.none(), st.just(T.String)),
    st.builds(ua.Variant, st.binary(), st.just(T.ByteString)),
    st.builds(ua.Variant, st.uuids(), st.just(T.Guid)),
    st.builds(ua.Variant, st.just(MOMENT), st.just(T.DateTime)),
    st.builds(
        ua.Variant, st.builds(ua.LocalizedText, st.text() | st.none()), st.just(T.LocalizedText)
    ),
    st.builds(
        ua.Variant, st.sampled_from([0, 0x80310000]).map(ua.StatusCode), st.just(T.StatusCode)
    ),
    st.just(ua.Variant(None, T.Null)),
)
TIMES = st.none() | st.integers(0, 10**9).map(lambda s: MOMENT + timedelta(microseconds=s))
VALUES = st.builds(
    ua.DataValue,
    VARIANTS,
    st.sampled_from([0, 0x40000000, 0x80310000, 0x480]).map(ua.StatusCode),
    TIMES,
    TIMES,
)


def response(values, statuses=(), acknowledged=()):
    answer = ua.PublishResponse()
    answer.ResponseHeader.Timestamp = MOMENT
    parameters = answer.Parameters
    parameters.SubscriptionId = 77
    parameters.AvailableSequenceNumbers = [1, 2, 3]
    parameters.NotificationMessage.SequenceNumber = 9
    parameters.NotificationMessage.PublishTime = MOMENT
    parameters.Results = [ua.StatusCode(code) for code in acknowledged]
    data = parameters.NotificationMessage.NotificationData
    if values:
        items = [ua.MonitoredItemNotification(n, value) for n, value in enumerate(values)]
        data.append(ua.DataChangeNotification(items))
    data += [ua.StatusChangeNotification(ua.StatusCode(code)) for code in statuses]
    return struct_to_binary(answer)


@settings(deadline=None)
@given(st.lists(VALUES, max_size=5), st.lists(st.sampled_from([0, 0x800A0000]), max_size=2))
def test_both_decoders_agree(values, statuses):
    """The general decoder of the library is the reference."""
    body = response(values, statuses, acknowledged=[0, 0x80790000])
    reference = struct_from_binary(ua.PublishResponse, Buffer(body))

    expected = notification_of(77, reference.Parameters.NotificationMessage)

    assert expected == decode_publish(body)


def test_times_keep_their_hundred_nanoseconds():
    """The library's datetime would lose the last digit."""
    assert (
        ticks_to_ns(116_444_736_000_000_000 + 16_000_000_000_000_001) == 1_600_000_000_000_000_100
    )
    assert ticks_to_ns(0) is None
    assert ticks_to_ns(2**63 - 1) is None


@pytest.mark.parametrize(
    "variant",
    [
        ua.Variant([1.0, 2.0], T.Double),
        ua.Variant(ua.QualifiedName("a", 1), T.QualifiedName),
        ua.Variant(ua.NodeId("a", 1), T.NodeId),
        ua.Variant(ua.EUInformation(), T.ExtensionObject),
    ],
)
def test_what_is_no_scalar_goes_the_general_way_and_is_named(variant):
    """Arrays and structures are not samples; their neighbours in the message are."""
    values = [ua.DataValue(variant), ua.DataValue(ua.Variant(1.5, T.Double))]
    body = response(values)
    with pytest.raises(Unusual):
        decode_publish(body)
    message = struct_from_binary(ua.PublishResponse, Buffer(body)).Parameters.NotificationMessage
    registry = Registry()
    for name in ("array", "number"):
        registry.add(name)
    rows = ChangeRows(registry)

    rows.add(notification_of(77, message).changes, 5)

    (batch,), (reject,) = rows.take()
    assert batch.addresses == ("number",)
    assert reject.address == "array"
    assert "want a scalar" in reject.reason


@given(st.binary(max_size=300))
def test_any_bytes_are_left_aside(data):
    """A broken message must not end the connector here; the general decoder names it."""
    with pytest.raises(Unusual):
        decode_publish(data)


@given(st.data())
def test_a_cut_message_is_left_aside(data):
    """Every length in a message may lie."""
    body = response(
        [ua.DataValue(ua.Variant("text", T.String)), ua.DataValue(ua.Variant(1, T.Int32))]
    )
    cut = data.draw(st.integers(0, len(body) - 20))

    with pytest.raises(Unusual):
        decode_publish(body[:cut])


def test_null_values_stay_in_the_series_of_their_item():
    """A Bad sample without a value belongs to the numbers that it interrupts."""
    registry = Registry()
    declared, seen, unknown = (registry.add(name) for name in ("declared", "seen", "unknown"))
    declared.type = ValueType.SYMBOL
    rows = ChangeRows(registry)
    rows.add([Change(seen.handle, ValueType.INT64, 3, 0, 1, None)], 9)
    bad = 0x80310000
    rows.add([Change(item.handle, None, None, bad, 2, None) for item in registry.items], 9)

    batches, _ = rows.take()

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
    assert unknown.type is None


def test_source_time_first_then_server_time_then_receipt():
    """The nearest clock to the process wins."""
    registry = Registry()
    registry.add("x")
    rows = ChangeRows(registry)
    for source_ns, server_ns in ((1, 2), (None, 2), (None, None)):
        rows.add([Change(0, ValueType.INT64, 0, 0, source_ns, server_ns)], 3)

    (batch,), _ = rows.take()

    assert [1, 2, 3] == batch.timestamp_ns.tolist()


def test_overflow_is_counted_and_kept_in_the_status():
    """The server says that its queue dropped values: a named loss."""
    registry = Registry()
    registry.add("x")
    rows = ChangeRows(registry)
    rows.add([Change(0, ValueType.INT64, 0, 0x480, 1, None)], 3)

    (batch,), _ = rows.take()

    assert rows.overflows == 1
    assert [0x480] == batch.quality.tolist()


def test_a_guid_reads_like_one():
    """As everybody writes it."""
    value = uuid.UUID("12345678-1234-5678-1234-567812345678")
    (change,) = decode_publish(response([ua.DataValue(ua.Variant(value, T.Guid))])).changes

    assert str(value) == change.value
