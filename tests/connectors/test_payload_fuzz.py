"""Hostile messages through every convention: rows or a reject, never an exception, all counted."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.payload.kinds import KINDS
from connectors.payload.registry import CONVENTIONS
from connectors.payload.testing import RECEIVED_NS, new_mapper
from historian.events import EVENT_KINDS
from historian.ingest_events import normalise
from storage_engine.sample import EventBatch, SampleBatch

MILLISECOND = 1_000_000
STAMP = "2026-11-22T11:52:56.174Z"
_REVIEW = {
    "type": "end",
    "after": {"id": "1", "camera": "c", "start_time": 1.5e9, "end_time": 1.6e9},
}
_SENSOR = {"sensor": {"id": "c"}, "object": {"id": "1", "person": {}}, "@timestamp": STAMP}
_CFX = {"UniqueID": "1", "Source": "s", "TimeStamp": STAMP}
_UNITS = {"PrimaryIdentifier": "P", "TransactionID": "t", "Units": [{"UnitIdentifier": "B"}]}
_PROPERTY = {"UtcTime": STAMP, "Source": {"VideoSource": "1"}}
EXAMPLES = {
    "values": [("a/b", 21.4), ("a/b", [1, "x"])],
    "umh": [("umh/v1/e/s/_historian/g", {"timestamp_ms": 1795348376174, "p": {"x": 1}, "b": True})],
    "umh_core": [("umh/v1/e/s/_raw/g", {"timestamp_ms": 1795348376174, "value": 1})],
    "opcua_json": [
        (
            "o/json/data/p/g/w",
            {
                "MessageType": "ua-data",
                "Messages": [
                    {
                        "DataSetWriterId": 1,
                        "Timestamp": STAMP,
                        "Payload": {
                            "A": {"UaType": 8, "Value": "5", "Status": {"Code": 1}},
                            "B": [1],
                        },
                    }
                ],
            },
        ),
        (
            "o/json/metadata/p/g/w",
            {
                "MessageType": "ua-metadata",
                "MetaData": {"Fields": [{"Name": "A", "BuiltInType": 8}]},
            },
        ),
    ],
    "shelly": [
        (
            "s/events/rpc",
            {"method": "NotifyStatus", "params": {"ts": 1.5e9, "em:0": {"a": [1, 2]}}},
        ),
        ("s/status/em:0", {"id": 0, "a": None, "e": ["x"]}),
        ("s/online", True),
    ],
    "tasmota": [
        ("tele/m/SENSOR", {"Time": "2026-11-22T12:52:56", "ENERGY": {"Power": [1, 2]}}),
        ("stat/m/RESULT", {"POWER": "ON"}),
    ],
    "frigate": [
        ("frigate/events", {**_REVIEW, "type": "new"}),
        ("frigate/events", _REVIEW),
        ("frigate/reviews", _REVIEW),
        ("frigate/dock/person", 2),
    ],
    "deepstream": [
        ("d", {**_SENSOR, "event": {"type": "entry"}}),
        ("d", {**_SENSOR, "event": {"type": "exit"}}),
        ("d", {"sensorId": "c", "@timestamp": STAMP, "objects": ["1|1|2|3|4|person|#||0.5"]}),
    ],
    "onvif": [
        ("c/onvif-ej/R/M/&1", {**_PROPERTY, "Data": {"State": True}}),
        ("c/onvif-ej/R/M/&1", {**_PROPERTY, "Data": {"State": "false"}}),
        ("c/onvif-ej/R/L/&1", {**_PROPERTY, "Data": {"ObjectId": 5}}),
    ],
    "axis": [
        (
            "a/event",
            {"topic": "tns1:A/B", "timestamp": 1795348376174, "message": {"data": {"active": "1"}}},
        )
    ],
    "cfx": [
        ("c", {**_CFX, "MessageName": "CFX.Production.WorkStarted", "MessageBody": _UNITS}),
        (
            "c",
            [
                {
                    **_CFX,
                    "MessageName": "CFX.Production.WorkCompleted",
                    "MessageBody": {"TransactionID": "t"},
                }
            ],
        ),
        (
            "c",
            {
                **_CFX,
                "MessageName": "CFX.Production.TestAndInspection.UnitsTested",
                "MessageBody": {
                    "TestedUnits": [
                        {
                            "UnitIdentifier": "B",
                            "Tests": [
                                {"TestName": "T", "Measurements": [{"MeasuredValue": {"Value": 1}}]}
                            ],
                        }
                    ]
                },
            },
        ),
        (
            "c",
            {
                **_CFX,
                "MessageName": "CFX.Materials.Storage.MaterialsLoaded",
                "MessageBody": {"Materials": [{"MaterialPackage": {"UniqueIdentifier": "M"}}]},
            },
        ),
        (
            "c",
            {
                **_CFX,
                "MessageName": "CFX.ResourcePerformance.EnergyConsumed",
                "MessageBody": {"EndTime": STAMP, "EnergyUsed": 1},
            },
        ),
    ],
}
_NASTY = [
    None,
    True,
    -1,
    1 << 63,
    (1 << 64) - 1,
    1.5e308,
    "",
    "x" * 2_000,
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "NaN",
    "\x00",
    "\U0010ffff",
    [],
    {},
    [[[]]],
    {"": {"": None}},
]
_scalars = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text(max_size=8)
_anything = st.recursive(
    _scalars | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(_NASTY),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)


def mutated(draw, value):
    """The value with parts of it replaced, left out or doubled."""
    what = draw(st.integers(0, 14))
    if what == 0:
        return draw(_anything)
    if what == 1 and isinstance(value, list):
        return value * 2
    if isinstance(value, dict):
        out = draw(st.integers(0, 5)) == 0
        left = list(value)[1:] if out and value else list(value)
        return {key: mutated(draw, value[key]) for key in left}
    if isinstance(value, list):
        return [mutated(draw, each) for each in value]
    return value


@st.composite
def messages(draw, kind):
    """Messages of a convention, mostly damaged."""
    found = []
    for _ in range(draw(st.integers(1, 5))):
        topic, body = draw(st.sampled_from(EXAMPLES[kind]))
        payload = json.dumps(mutated(draw, body)).encode()
        if draw(st.integers(0, 9)) == 0:
            cut = draw(st.integers(0, len(payload)))
            payload = payload[:cut] + draw(st.binary(max_size=4))
        found.append((draw(st.sampled_from([topic, topic, topic, "", "/", "a/&/b"])), payload))
    return found


def taken(kind, sent):
    """Maps messages one by one; (rows, rejects, batches)."""
    mapper = new_mapper(
        {"topic": "#", "kind": kind, **({"open_max": 2} if kind in _PAIRING else {})}
    )
    refused, batches, rejects = 0, [], []
    for number, (topic, payload) in enumerate(sent):
        refused += not mapper.add(topic, payload, RECEIVED_NS + number * MILLISECOND)
        more, why = mapper.take()
        batches += more
        rejects += why
    assert "mapping_faults" not in mapper.counts, rejects
    return refused, rejects, batches


_PAIRING = {"frigate", "deepstream", "onvif", "axis"}


def test_every_convention_has_examples():
    """A new one is fuzzed from its first day."""
    assert set(CONVENTIONS) == set(EXAMPLES)


def test_kinds_are_those_of_the_historian():
    """A column out of place would quarantine every event of its kind."""
    assert {kind: EVENT_KINDS[kind] for kind in KINDS} == KINDS


@pytest.mark.parametrize("kind", sorted(CONVENTIONS))
def test_the_undamaged_examples_are_mapped(kind):
    """Otherwise the fuzz below would only try refusals."""
    refused, rejects, batches = taken(
        kind, [(topic, json.dumps(body).encode()) for topic, body in EXAMPLES[kind]]
    )

    assert [] == [reject.reason for reject in rejects if "{key}" not in reject.reason]
    assert refused <= 1
    assert batches


@pytest.mark.parametrize("kind", sorted(CONVENTIONS))
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_messages_become_rows_or_rejects(kind, data):
    """Whatever comes, each message is mapped or refused with a reason, and rows can be stored."""
    sent = data.draw(messages(kind))

    refused, rejects, batches = taken(kind, sent)

    assert refused == len(rejects)
    assert {(r.address, r.payload) for r in rejects} <= set(sent)
    assert all(0 < len(reject.reason) < 500 for reject in rejects)
    for batch in batches:
        assert isinstance(batch, SampleBatch | EventBatch)
        if isinstance(batch, EventBatch):
            normalise(batch)  # raises for what the historian would refuse


@pytest.mark.parametrize("kind", sorted(CONVENTIONS))
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_the_same_messages_map_the_same_way_again(kind, data):
    """A restart and a redelivery give the same ids and rows."""
    sent = data.draw(messages(kind))

    first, again = taken(kind, sent), taken(kind, sent)

    assert str(first) == str(again)


@pytest.mark.parametrize("kind", sorted(CONVENTIONS))
def test_a_message_nested_a_thousand_deep_is_refused(kind):
    """Deeper than Python's own repr and JSON writer go."""
    for topic, body in EXAMPLES[kind]:
        text = json.dumps(body)
        for deep in (b"[" * 1_000 + b"]" * 1_000, b'{"a":' * 1_000 + b"1" + b"}" * 1_000):
            for whole in (deep, text.replace("1795348376174", "@").encode().replace(b"@", deep)):
                taken(kind, [(topic, whole)])
            if isinstance(body, dict):
                for key in body:
                    damaged = json.dumps({**body, key: "@@"}).encode().replace(b'"@@"', deep)
                    refused, rejects, _ = taken(kind, [(topic, damaged)])
                    assert refused == len(rejects)


CONFIGURED = [
    {"kind": "samples", "time": {"path": "ts", "unit": "s"}, "quality": {"path": "q", "codes": {}}},
    {"kind": "samples", "value": "v", "type": "int64", "items": "list", "address": "{key}"},
    {
        "kind": "event",
        "event": "vision_event",
        "time": {"path": "ts", "unit": "iso"},
        "columns": {"camera": "symbol", "confidence": "float64", "attributes": "text"},
        "rest": "attributes",
    },
    {"kind": "events", "event_path": "kind", "items": "list", "columns": {"unit": "text"}},
]
_configured = st.fixed_dictionaries(
    {},
    optional={
        "ts": _anything | st.just(1.5e9) | st.just(STAMP),
        "q": _anything,
        "v": _anything,
        "kind": _anything | st.just("unit_created"),
        "list": _anything | st.lists(_anything, max_size=3),
        "camera": _anything,
        "unit": _anything,
        "rest": _anything,
    },
)


@pytest.mark.parametrize("mapping", CONFIGURED)
@settings(max_examples=150, deadline=None)
@given(sent=st.lists(_configured | _anything, min_size=1, max_size=4))
def test_configured_mappings_stand_as_much(mapping, sent):
    """The same holds for JSON mapped by paths, also a thousand levels deep."""
    mapper = new_mapper({"topic": "#", **mapping})
    payloads = [json.dumps(body).encode() for body in sent]
    deep = b"[" * 1_000 + b"]" * 1_000
    payloads += [
        b'{"%s":%s}' % (key.encode(), deep) for key in ("ts", "q", "v", "list", "kind", "x")
    ]

    mapped = [mapper.add("a/b", payload, RECEIVED_NS) for payload in payloads]

    _, rejects = mapper.take()
    assert len(rejects) == mapped.count(False)
    assert "mapping_faults" not in mapper.counts
