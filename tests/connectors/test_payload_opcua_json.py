"""OPC UA PubSub JSON: network messages, data sets, fields, in the encodings of 1.04 and 1.05."""

import pytest

from connectors.payload.testing import RECEIVED_NS, map_messages, new_mapper, send
from storage_engine.sample import BAD_NO_DATA, ValueType

PUBSUB = {"topic": "opcua/json/#", "kind": "opcua_json"}
TOPIC = "opcua/json/data/plc1/fast/press"
AT = 1_795_348_376_174_000_000
STAMP = "2026-11-22T11:52:56.174Z"


def data_set(payload, **more):
    """A data set message with its own header."""
    return {
        "DataSetWriterId": 62541,
        "DataSetWriterName": "press",
        "SequenceNumber": 4711,
        "MetaDataVersion": {"MajorVersion": 1, "MinorVersion": 2},
        "Timestamp": STAMP,
        "MessageType": "ua-keyframe",
        "Payload": payload,
        **more,
    }


def network(messages, **more):
    """A network message."""
    return {
        "MessageId": "32235546-05d9-4fd7-97df-ea3ff3408574",
        "MessageType": "ua-data",
        "PublisherId": "plc1",
        "WriterGroupName": "fast",
        "Messages": messages,
        **more,
    }


@pytest.mark.parametrize(
    "body",
    [
        network([data_set({"Temp": 21.4})]),
        network(data_set({"Temp": 21.4})),  # single message header
        data_set({"Temp": 21.4}),
        [data_set({"Temp": 21.4})],
        {"Timestamp": STAMP, "Payload": {"Temp": 21.4}},
    ],
)
def test_a_data_set_maps_the_same_under_every_header(body):
    """The topic says who sent it, because headers may be left out."""
    mapped = map_messages(PUBSUB, (TOPIC, body))

    assert [("plc1/fast/press/Temp", AT, 0, 21.4)] == mapped.sink.rows()


def test_without_any_header_the_payload_is_the_whole_body():
    """Fields alone, at the time of receipt."""
    mapped = map_messages(PUBSUB, (TOPIC, {"Temp": 21.4, "Run": True}))

    assert [
        ("plc1/fast/press/Temp", RECEIVED_NS, 0, 21.4),
        ("plc1/fast/press/Run", RECEIVED_NS, 0, True),
    ] == sorted(mapped.sink.rows(), reverse=True)


def test_on_a_topic_of_ones_own_the_headers_say_who_sent_it():
    """1.04 writes the writer's id as text; a topic without the standard's form says nothing."""
    old = network([data_set({"Temp": 1.5}, DataSetWriterId="7")])
    del old["Messages"][0]["DataSetWriterName"]

    mapped = map_messages({**PUBSUB, "topic": "#"}, ("cell/plc", old), ("cell/plc", {"Temp": 2.5}))

    assert {"plc1/fast/7/Temp": 1.5, "cell/plc/Temp": 2.5} == mapped.values


@pytest.mark.parametrize(
    ("raw", "value", "quality", "at", "type_"),
    [
        (21.4, 21.4, 0, AT, ValueType.FLOAT64),
        # 1.05.04: variant and data value
        ({"UaType": 11, "Value": 21.4}, 21.4, 0, AT, ValueType.FLOAT64),
        ({"UaType": 6, "Value": -5}, -5, 0, AT, ValueType.INT64),
        ({"UaType": 9, "Value": "18446744073709551615"}, (1 << 64) - 1, 0, AT, ValueType.UINT64),
        ({"UaType": 11, "Value": "NaN"}, None, BAD_NO_DATA, AT, ValueType.FLOAT64),
        (
            {"UaType": 11, "Value": 1.5, "Status": {"Code": 0x40920000, "Symbol": "Uncertain"}},
            1.5,
            0x40920000,
            AT,
            ValueType.FLOAT64,
        ),
        (
            {"UaType": 1, "Value": True, "SourceTimestamp": "2026-11-22T11:52:56.1739999Z"},
            True,
            0,
            AT - 100,
            ValueType.BOOL,
        ),
        ({"Status": {"Code": 0x80310000}}, None, 0x80310000, AT, ValueType.FLOAT64),
        # before: reversible and not
        ({"Type": 8, "Body": "-12"}, -12, 0, AT, ValueType.INT64),
        (
            {"Value": {"Type": 11, "Body": 21.4}, "Status": 1073741824, "SourceTimestamp": STAMP},
            21.4,
            0x40000000,
            AT,
            ValueType.FLOAT64,
        ),
        ({"Value": "RUN", "Status": {"Code": 0}}, "RUN", 0, AT, ValueType.SYMBOL),
        # the least DateTime means: none
        ({"Value": 2, "SourceTimestamp": "0001-01-01T00:00:00Z"}, 2.0, 0, AT, ValueType.FLOAT64),
    ],
)
def test_a_field_is_raw_a_variant_or_a_data_value(raw, value, quality, at, type_):
    """Both encodings of Part 6, with status and time where the field has its own."""
    mapped = map_messages(PUBSUB, (TOPIC, network([data_set({"F": raw})])))

    assert [("plc1/fast/press/F", at, quality, value)] == mapped.sink.rows()
    assert [type_] == [batch.value.type for batch in mapped.sink.batches]


def test_structures_and_arrays_are_taken_apart():
    """A tag per member and per element."""
    body = network([data_set({"Pos": {"X": 1, "Y": 2.5}, "Zones": [10, 20]})])

    assert {
        "plc1/fast/press/Pos.X": 1.0,
        "plc1/fast/press/Pos.Y": 2.5,
        "plc1/fast/press/Zones[0]": 10.0,
        "plc1/fast/press/Zones[1]": 20.0,
    } == map_messages(PUBSUB, (TOPIC, body)).values


def test_the_status_of_the_data_set_is_that_of_its_fields_at_least():
    """A bad data set has no good fields."""
    fields = {"A": 1, "B": {"Value": 2, "Status": {"Code": 0x80310000}}}

    mapped = map_messages(PUBSUB, (TOPIC, network([data_set(fields, Status={"Code": 0x40000000})])))

    assert {0x40000000, 0x80310000} == {quality for _, _, quality, _ in mapped.sink.rows()}


METADATA = {
    "MessageId": "1",
    "MessageType": "ua-metadata",
    "PublisherId": "plc1",
    "WriterGroupName": "fast",
    "DataSetWriterName": "press",
    "DataSetWriterId": 62541,
    "MetaData": {
        "Name": "press",
        "Fields": [
            {"Name": "Count", "BuiltInType": 8, "Description": {"Text": "Strokes"}},
            {"Name": "Temp", "BuiltInType": 11},
        ],
        "ConfigurationVersion": {"MajorVersion": 1, "MinorVersion": 2},
    },
}


def test_metadata_tells_the_types_that_json_has_not():
    """Integers of 64 bits are text, and a float may be the word NaN."""
    mapper = new_mapper(PUBSUB)

    meta = send(mapper, [("opcua/json/metadata/plc1/fast/press", METADATA)])
    data = send(
        mapper, [(TOPIC, network([data_set({"Count": "9007199254740993", "Temp": "NaN"})]))]
    )

    assert [("plc1/fast/press/Count", "Strokes"), ("plc1/fast/press/Temp", "")] == [
        (item.address, item.description) for item in meta.items
    ]
    assert {"plc1/fast/press/Count": 9007199254740993, "plc1/fast/press/Temp": None} == data.values


def test_metadata_is_bounded(monkeypatch):
    """A publisher that invents writers takes no memory; the oldest are forgotten."""
    monkeypatch.setattr("connectors.payload.conventions.opcua_json._FIELDS_MAX", 4)
    mapper = new_mapper(PUBSUB)
    send(mapper, [(f"opcua/json/metadata/plc1/fast/w{n}", METADATA) for n in range(5)])
    fields = network([data_set({"Count": "5"})])

    new = send(mapper, [("opcua/json/data/plc1/fast/w4", fields)])
    old = send(mapper, [("opcua/json/data/plc1/fast/w0", fields)])

    assert {"plc1/fast/w4/Count": 5} == new.values
    assert {"plc1/fast/w0/Count": "5"} == old.values


def test_messages_without_data_are_counted():
    """Keep-alives and descriptions of the publisher are neither rows nor rejects."""
    mapped = map_messages(
        PUBSUB,
        (TOPIC, network([{"DataSetWriterId": 1, "MessageType": "ua-keepalive"}])),
        ("opcua/json/connection/plc1", {"MessageType": "ua-connection", "PublisherId": "plc1"}),
        (
            "opcua/json/status/plc1",
            {"MessageType": "ua-status", "PublisherId": "plc1", "Status": 2},
        ),
    )

    assert {"pubsub_keepalives": 1, "pubsub_not_data": 1} == mapped.counts
    assert {"plc1/online": True} == mapped.values
    assert mapped.rejects == ()


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (network("x"), "want an object"),
        (network([data_set({"F": {"Value": 1, "Status": "bad"}})]), "32-bit"),
        (network([data_set({"F": {"Value": 1, "SourceTimestamp": 5}})]), "cannot read time"),
        (network([data_set({"F": {"UaType": 8, "Value": "x"}})]), "built-in type 8"),
        (network([data_set({"F": 1}, MessageType="ua-event")]), "ua-event"),
        (network([data_set([1])]), "object of fields"),
        ({**METADATA, "MetaData": {"Fields": [1]}}, "Fields"),
        ({"MessageType": "ua-status", "PublisherId": "p", "Status": "up"}, "Status"),
    ],
)
def test_what_does_not_fit_is_refused_whole(body, word):
    """No half of a network message is stored."""
    mapped = map_messages(PUBSUB, (TOPIC, body))

    assert word in mapped.rejects[0].reason
    assert mapped.sink.rows() == []
