"""Being a Sparkplug host: session, will and STATE; a test for each id of its kit."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from connectors.connector import ConfigError
from connectors.sink import Link
from connectors.sparkplug.connector import SparkplugConnector

sys.path.insert(0, str(Path(__file__).parent))
from sparkplug_broker import HOST_ID, STATE, Broker, StepClock, hosting

TOPIC = f"spBv1.0/STATE/{HOST_ID}"


async def life(five):
    """Connect; somebody says that we are gone; stop in an orderly way."""
    broker = Broker(five)
    async with broker.listening():
        async with hosting(broker):
            broker.say(STATE, b'{"online": false, "timestamp": 1}')
            await broker.until(lambda packets: len(packets) >= 4)
        await broker.until(lambda packets: packets[-1].kind == "DISCONNECT")
    return broker


@pytest.fixture(scope="module", params=[True, False], ids=["5", "3.1.1"])
def said(request):
    """All packets of a life."""
    return asyncio.run(life(request.param)).packets


def connect(said):
    assert said[0].kind == "CONNECT"
    return said[0]


def birth(said):
    return next(packet for packet in said if packet.kind == "PUBLISH")


def death(said):
    return [packet for packet in said if packet.kind == "PUBLISH"][-1]


def words(packet):
    return json.loads(packet.payload.decode("utf-8"))


def assert_says(packet, *, online):
    assert set(words(packet)) == {"online", "timestamp"}
    assert words(packet)["online"] is online
    assert type(words(packet)["timestamp"]) is int
    assert words(packet)["timestamp"] > 1_600_000_000_000


def test_intro_sparkplug_host_state(said):
    assert [words(p)["online"] for p in (connect(said).will, birth(said), death(said))] == [
        False, True, False,
    ]  # fmt: skip


def test_components_ph_state(said):
    assert {p.topic for p in said if p.kind == "PUBLISH"} == {TOPIC}
    assert connect(said).will.topic == TOPIC


def test_conformance_primary_host(said):
    for packet, online in ((connect(said).will, False), (birth(said), True)):
        assert packet.topic == TOPIC
        assert_says(packet, online=online)


def test_principles_birth_certificates_order(said):
    first = next(p for p in said if p.kind == "PUBLISH")
    assert (first.topic, words(first)["online"]) == (TOPIC, True)


def test_operational_behavior_host_application_host_id():
    """It is required, it is one level of a topic, and another host that has it too is told of."""
    for wrong in ({}, {"host_id": ""}, {"host_id": "a/b"}, {"host_id": "a+"}, {"host_id": "#"}):
        with pytest.raises(ConfigError, match="host_id"):
            SparkplugConnector("s", {"host": "h", **wrong}, StepClock())

    async def meet():
        broker = Broker(five=True)
        async with broker.listening(), hosting(broker) as (connector, sink, _):
            own = words(birth(broker.packets))["timestamp"]
            for timestamp in (own, 5, 5):
                broker.say(STATE, json.dumps({"online": True, "timestamp": timestamp}).encode())
            await asyncio.wait_for(sink.wait_for_state(Link.CONNECTED, 2), 20)
            return connector.status, sink.states

    status, states = asyncio.run(meet())
    assert status.extra["foreign_hosts"] == 1
    assert f"another host is online as {HOST_ID!r}" in states[-1].detail


def test_message_flow_phid_sparkplug_clean_session_311():
    assert connect(asyncio.run(life(five=False)).packets).clean


def test_message_flow_phid_sparkplug_clean_session_50():
    packet = connect(asyncio.run(life(five=True)).packets)
    assert (packet.clean, packet.expiry_s) == (True, 0)


def test_host_topic_phid_death_required(said):
    assert connect(said).will is not None


def test_operational_behavior_host_application_connect_will(said):
    assert connect(said).will.kind == "WILL"


def test_payloads_state_will_message(said):
    assert connect(said).will.topic == TOPIC


def test_host_topic_phid_death_topic(said):
    assert connect(said).will.topic == death(said).topic == TOPIC


def test_operational_behavior_host_application_connect_will_topic(said):
    assert connect(said).will.topic.split("/") == ["spBv1.0", "STATE", HOST_ID]


def test_host_topic_phid_death_payload(said):
    assert_says(connect(said).will, online=False)
    assert_says(death(said), online=False)


def test_payloads_state_will_message_payload(said):
    assert_says(connect(said).will, online=False)


def test_operational_behavior_host_application_connect_will_payload(said):
    assert_says(connect(said).will, online=False)
    assert words(connect(said).will)["timestamp"] == connect(said).sent_ms


def test_host_topic_phid_death_payload_timestamp_connect(said):
    """The clock steps at each look: nothing looked at it between the will and CONNECT."""
    assert words(connect(said).will)["timestamp"] == connect(said).sent_ms


def test_host_topic_phid_death_qos(said):
    assert (connect(said).will.qos, death(said).qos) == (1, 1)


def test_payloads_state_will_message_qos(said):
    assert connect(said).will.qos == 1


def test_operational_behavior_host_application_connect_will_qos(said):
    assert connect(said).will.qos == 1


def test_host_topic_phid_death_retain(said):
    assert connect(said).will.retain
    assert death(said).retain


def test_payloads_state_will_message_retain(said):
    assert connect(said).will.retain


def test_operational_behavior_host_application_connect_will_retained(said):
    assert connect(said).will.retain


def test_host_topic_phid_birth_sub_required(said):
    assert [packet.kind for packet in said[:2]] == ["CONNECT", "SUBSCRIBE"]
    assert {topic for topic, _ in said[1].filters} == {TOPIC, "spBv1.0/#"}


def test_payloads_state_subscribe(said):
    assert (TOPIC, 1) in said[1].filters


def test_message_flow_phid_sparkplug_subscription(said):
    filters = [topic for packet in said[: said.index(birth(said))] for topic, _ in packet.filters]
    assert set(filters) == {TOPIC, "spBv1.0/#"}


def test_host_topic_phid_birth_required(said):
    assert said[said.index(birth(said)) - 1].kind == "SUBSCRIBE"


def test_host_topic_phid_birth_message(said):
    assert [packet.kind for packet in said[:3]] == ["CONNECT", "SUBSCRIBE", "PUBLISH"]
    assert_says(said[2], online=True)


def test_message_flow_phid_sparkplug_state_publish(said):
    assert said[2].topic == TOPIC
    assert_says(said[2], online=True)


def test_operational_behavior_host_application_connect_birth():
    """Every time: after a line that was cut as well."""

    async def twice():
        broker = Broker(five=True)
        async with broker.listening():
            for _ in range(2):
                start = len(broker.packets)
                async with hosting(broker):
                    await broker.until(lambda packets, n=start: len(packets) >= n + 3)
                    broker.hang_up()
        return broker.packets

    packets = asyncio.run(twice())
    kinds = [packet.kind for packet in packets]
    assert [k for k, kind in enumerate(kinds) if kind == "CONNECT"] == [
        0,
        kinds.index("CONNECT", 1),
    ]
    for at in (0, kinds.index("CONNECT", 1)):
        assert_says(packets[at + 2], online=True)
        assert words(packets[at + 2]) == {**words(packets[at].will), "online": True}


def test_host_topic_phid_birth_topic(said):
    assert birth(said).topic == TOPIC


def test_operational_behavior_host_application_connect_birth_topic(said):
    assert birth(said).topic.split("/") == ["spBv1.0", "STATE", HOST_ID]


def test_payloads_state_birth(said):
    assert (birth(said).topic, birth(said).qos, birth(said).retain) == (TOPIC, 1, True)


def test_host_topic_phid_birth_payload(said):
    assert_says(birth(said), online=True)


def test_payloads_state_birth_payload(said):
    assert_says(birth(said), online=True)
    assert words(birth(said))["timestamp"] == words(connect(said).will)["timestamp"]


def test_operational_behavior_host_application_connect_birth_payload(said):
    assert words(birth(said)) == {**words(connect(said).will), "online": True}


def test_message_flow_phid_sparkplug_state_publish_payload(said):
    assert_says(birth(said), online=True)


def test_host_topic_phid_birth_payload_timestamp(said):
    assert words(birth(said))["timestamp"] == words(connect(said).will)["timestamp"]


def test_message_flow_phid_sparkplug_state_publish_payload_timestamp(said):
    assert words(birth(said))["timestamp"] == words(said[0].will)["timestamp"]


def test_host_topic_phid_birth_qos(said):
    assert birth(said).qos == 1


def test_operational_behavior_host_application_connect_birth_qos(said):
    assert birth(said).qos == 1


def test_host_topic_phid_birth_retain(said):
    assert birth(said).retain


def test_operational_behavior_host_application_connect_birth_retained(said):
    assert birth(said).retain


def test_message_flow_hid_sparkplug_state_message_delivered(said):
    """One offline STATE came while we were online: one birth more, as it was."""
    births = [p for p in said if p.kind == "PUBLISH" and words(p)["online"]]
    assert len(births) == 2
    assert births[0].payload == births[1].payload
    assert (births[1].qos, births[1].retain, births[1].topic) == (1, True, TOPIC)


def test_a_retained_state_of_the_time_before_us_is_no_news():
    """Nor is one that nobody can read; the message behind them is taken."""

    async def play():
        broker = Broker(five=True)
        async with broker.listening(), hosting(broker) as (connector, sink, _):
            broker.say(STATE, b'{"online": false, "timestamp": 1}', retain=True)
            for nonsense in (b"OFFLINE", b"[]", b'{"online": 0, "timestamp": 1}', b"\xff"):
                broker.say(STATE, nonsense)
            broker.say(STATE, b'{"online": true, "timestamp": 5}')
            await asyncio.wait_for(sink.wait_for_state(Link.CONNECTED, 2), 20)
            return connector.status.extra, len(broker.published())

    extra, published = asyncio.run(play())
    assert ("state_repaired" in extra, published) == (False, 1)


def test_operational_behavior_host_application_termination(said):
    assert [packet.kind for packet in said[-2:]] == ["PUBLISH", "DISCONNECT"]
    assert_says(said[-2], online=False)


def test_operational_behavior_host_application_death_topic(said):
    assert said[-2].topic == TOPIC


def test_operational_behavior_host_application_death_payload(said):
    assert_says(said[-2], online=False)


def test_operational_behavior_host_application_death_qos(said):
    assert said[-2].qos == 1


def test_operational_behavior_host_application_death_retained(said):
    assert said[-2].retain


def test_host_topic_phid_death_payload_timestamp_disconnect_clean(said):
    assert words(death(said))["timestamp"] == death(said).sent_ms
    assert words(death(said))["timestamp"] > words(connect(said).will)["timestamp"]


def test_host_topic_phid_death_payload_timestamp_disconnect_with_no_disconnect_packet(said):
    """The death goes before the goodbye and is acknowledged: without that one it is said too."""
    before = said[: [packet.kind for packet in said].index("DISCONNECT")]
    assert words(before[-1]) == {"online": False, "timestamp": before[-1].sent_ms}


def test_operational_behavior_host_application_disconnect_intentional(said):
    assert said[-1].kind == "DISCONNECT"


@pytest.fixture(scope="module")
def two():
    """The same host on two brokers: two sources."""

    async def play():
        first, second = Broker(five=True), Broker(five=False)
        second.clock.now += 5_000_000_000
        async with first.listening(), second.listening(), hosting(first), hosting(second):
            second.say(STATE, b'{"online": false, "timestamp": 1}')
            await second.until(lambda packets: len(packets) >= 4)
        return first.packets, second.packets

    return asyncio.run(play())


def test_operational_behavior_host_application_multi_server_timestamp(two):
    for packets in two:
        timestamps = {words(p)["timestamp"] for p in packets[:-2] if p.kind == "PUBLISH"}
        assert timestamps == {words(packets[0].will)["timestamp"]}
    assert words(two[0][0].will)["timestamp"] != words(two[1][0].will)["timestamp"]


def test_operational_behavior_primary_application_state_with_multiple_servers_state(two):
    for packets in two:
        assert [packet.kind for packet in packets[:3]] == ["CONNECT", "SUBSCRIBE", "PUBLISH"]
        assert_says(packets[2], online=True)


def test_operational_behavior_primary_application_state_with_multiple_servers_state_subs(two):
    """Nodes listen for it on each broker: the id is the same, and it is retained there."""
    assert [(packets[2].topic, packets[2].retain) for packets in two] == [(TOPIC, True)] * 2
