"""mqtt/: the broker hears of a message being ours only after it is durable; real mosquitto."""

import asyncio
import json
import sys
import tomllib
from pathlib import Path

import aiomqtt
import pytest

import connectors.mqtt
from connectors.connector import ConfigError, SourceUnavailable
from connectors.mqtt.connector import MqttConnector
from connectors.registry import CONNECTORS
from connectors.sink import Link
from connectors.testing import RecordingSink
from historian.clock import SystemClock
from historian.testing import free_port

sys.path.insert(0, str(Path(__file__).parent))
from mqtt_broker import Broker, needs_broker, running, settings, values


@needs_broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_was_not_durable_comes_again(tmp_path, protocol):
    """A connector that dies before put returned has acknowledged nothing of that."""

    async def play():
        async with Broker(tmp_path) as broker:
            given = settings(broker.port, protocol=protocol, client_id="c")
            first = RecordingSink()
            async with running(MqttConnector("m", given, SystemClock()), first):
                await broker.publish(range(5))
                await asyncio.wait_for(first.wait_for_rows(5), 20)
                first.gate.clear()
                await broker.publish(range(5, 15))
                await asyncio.sleep(0.2)
            second = RecordingSink()
            async with running(MqttConnector("m", given, SystemClock()), second):
                await asyncio.wait_for(second.wait_for_rows(10), 20)
        return first, second

    first, second = asyncio.run(play())

    assert [float(n) for n in range(5)] == values(first)
    assert [float(n) for n in range(5, 15)] == values(second)


@needs_broker
def test_many_messages_arrive_in_order_through_small_windows_and_a_full_sink(tmp_path):
    """Back-pressure by not acknowledging: the broker keeps the rest."""

    async def play():
        async with Broker(tmp_path) as broker:
            sink = RecordingSink()
            sink.refuse = 3
            given = settings(broker.port, receive_maximum=20)
            async with running(MqttConnector("m", given, SystemClock()), sink):
                await broker.publish(range(2_000))
                await asyncio.wait_for(sink.wait_for_rows(2_000), 60)
        return sink

    assert [float(n) for n in range(2_000)] == values(asyncio.run(play()))


@needs_broker
def test_a_restart_of_the_broker_loses_nothing(tmp_path):
    """The session is persistent on both sides."""

    async def play():
        sink = RecordingSink()
        async with Broker(tmp_path) as broker:
            connector = MqttConnector("m", settings(broker.port), SystemClock())
            async with running(connector, sink) as task:
                await broker.publish(range(3))
                await asyncio.wait_for(sink.wait_for_rows(3), 20)
                await broker.__aexit__()
                with pytest.raises(SourceUnavailable):
                    await asyncio.wait_for(task, 20)
            with pytest.raises(SourceUnavailable):
                await connector.run(sink)
            await broker.__aenter__()
            await broker.publish(range(3, 6))
            async with running(connector, sink):
                await asyncio.wait_for(sink.wait_for_rows(6), 20)
        return sink, connector

    sink, connector = asyncio.run(play())

    once = list(dict.fromkeys(values(sink)))  # what was not acknowledged in time comes again
    assert [float(n) for n in range(6)] == once
    assert (connector.status.reconnects, connector.status.gaps) == (1, 0)


@needs_broker
def test_a_killed_broker_gives_what_it_had_saved(tmp_path):
    """Nothing is closed: the line breaks, the session is found again, what waited in it comes."""

    async def play():
        sink = RecordingSink()
        async with Broker(tmp_path) as broker:
            connector = MqttConnector("m", settings(broker.port), SystemClock())
            async with running(connector, sink) as task:
                await broker.publish(range(3))
                await asyncio.wait_for(sink.wait_for_rows(3), 20)
                sink.gate.clear()  # taken and not durable: never acknowledged
                await broker.publish(range(3, 6))
                await asyncio.sleep(2.5)  # the broker saves once a second
                broker.process.kill()
                await broker.process.wait()
                sink.gate.set()
                with pytest.raises(SourceUnavailable):
                    await asyncio.wait_for(task, 20)
            await broker.__aenter__()
            async with running(connector, sink):
                await broker.publish(range(6, 9))
                await asyncio.wait_for(until_value(sink, 8.0), 20)
        return sink, connector

    sink, connector = asyncio.run(play())

    assert [float(n) for n in range(9)] == list(dict.fromkeys(values(sink)))
    assert connector.status.gaps == 0


async def until_value(sink, wanted):
    """Return when a value has come."""
    while wanted not in values(sink):
        await sink.wait_for_rows(sink.row_count + 1)


@needs_broker
def test_a_lost_session_is_named(tmp_path):
    """A broker that forgot us may have forgotten messages."""

    async def play():
        sink = RecordingSink()
        async with Broker(tmp_path) as broker:
            given = settings(broker.port, session_expiry_s=0, protocol="5")
            connector = MqttConnector("m", given, SystemClock())
            async with running(connector, sink):
                pass
            task = asyncio.create_task(connector.run(sink))
            await asyncio.wait_for(sink.wait_for_state(Link.CONNECTED, 2), 20)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return sink, connector

    sink, connector = asyncio.run(play())

    assert connector.status.gaps == 1
    assert "lost our session" in sink.states[-1].detail


@needs_broker
def test_malformed_payloads_are_rejected_and_neighbours_stored(tmp_path):
    """One bad device must not cost the others, and its message must not come for ever."""

    async def play():
        async with Broker(tmp_path) as broker:
            sink = RecordingSink()
            connector = MqttConnector("m", settings(broker.port), SystemClock())
            async with running(connector, sink):
                async with aiomqtt.Client("127.0.0.1", broker.port) as client:
                    for payload in (b"{", b"", b"\xff", b'{"ts": 1}'):
                        await client.publish("plant/bad", payload, qos=1)
                await asyncio.wait_for(sink.wait_for_rejects(4), 20)
                await broker.publish([1])
                # It was put after those before it were acknowledged; it may come again itself.
                await asyncio.wait_for(sink.wait_for_rows(1), 20)
            again = RecordingSink()
            async with running(connector, again):
                await broker.publish([2])
                await asyncio.wait_for(again.wait_for_rows(1), 20)
                if values(again) == [1.0]:
                    await asyncio.wait_for(again.wait_for_rows(2), 20)
        return sink, again, connector

    sink, again, connector = asyncio.run(play())

    assert [b"{", b"", b"\xff", b'{"ts": 1}'] == [reject.payload for reject in sink.rejects]
    assert {"plant/bad"} == {reject.address for reject in sink.rejects}
    assert again.rejects == []
    assert [1.0] == values(sink)
    assert values(again)[-1] == 2.0
    assert connector.status.rejected == 4


@needs_broker
def test_conventions_and_places_go_from_the_broker_to_the_sink(tmp_path):
    """Hostile messages between good ones: rows, assets, rejects and counts, none missing."""
    mappings = [{"topic": "plant/+/onvif-ej/#", "kind": "onvif"}, {"topic": "#", "kind": "values"}]
    trees = [{"topic": "plant/+/#", "levels": ["site", "line"]}]
    stamp = {"UtcTime": "2026-11-22T11:52:56Z", "Source": {"VideoSource": "1"}}
    camera = "plant/cam/onvif-ej/VideoSource/MotionAlarm/&1"

    async def play():
        async with Broker(tmp_path) as broker:
            sink = RecordingSink()
            more = {"mappings": mappings, "trees": trees}
            connector = MqttConnector("m", settings(broker.port, **more), SystemClock())
            async with running(connector, sink):
                async with aiomqtt.Client("127.0.0.1", broker.port) as client:
                    for state in (True, False):
                        await client.publish(camera, b"[" * 1_000 + b"]" * 1_000, qos=1)
                        body = json.dumps({**stamp, "Data": {"State": state}})
                        await client.publish(camera, body, qos=1)
                    await client.publish("plant/l1/\xe4", b"\xff\x00", qos=1)
                    await client.publish("plant/l1/speed", b"21.5", qos=1)
                await asyncio.wait_for(sink.wait_for_rejects(3), 20)
                await asyncio.wait_for(sink.wait_for_rows(4), 20)
                await asyncio.wait_for(sink.wait_for_items(2), 20)
        return sink, connector.status

    sink, status = asyncio.run(play())

    assert [True, False, 21.5] == values(sink)
    assert 1 == len(sink.events("vision_event"))
    assert {"plant/cam", "plant/l1"} == {item.facts["asset"] for item in sink.items}
    assert (4, 3) == (status.received, status.rejected)
    assert status.extra["vision_updates"] == 1.0


@needs_broker
def test_retained_messages_without_a_time_are_not_new_samples(tmp_path):
    """They come at every connect; stamped with the time of receipt they would be new each time."""

    async def play():
        async with Broker(tmp_path) as broker:
            await broker.publish([7], retain=True)
            timed, untimed = RecordingSink(), RecordingSink()
            given = settings(broker.port, client_id="timed")
            async with running(MqttConnector("m", given, SystemClock()), timed):
                await asyncio.wait_for(timed.wait_for_rows(1), 20)
            plain = [{"topic": "plant/#", "kind": "samples", "value": "v"}]
            given = settings(broker.port, client_id="untimed", mappings=plain)
            connector = MqttConnector("m", given, SystemClock())
            async with running(connector, untimed):
                await broker.publish([8])
                await asyncio.wait_for(untimed.wait_for_rows(1), 20)
        return timed, untimed, connector

    timed, untimed, connector = asyncio.run(play())

    assert [7.0] == values(timed)
    assert [8.0] == values(untimed)
    assert connector.status.extra["retained_skipped"] == 1


def test_nobody_listening_is_unavailable_not_a_fault():
    """The host tries again later."""
    connector = MqttConnector("m", settings(free_port()), SystemClock())
    sink = RecordingSink()

    with pytest.raises(SourceUnavailable):
        asyncio.run(connector.run(sink))

    assert [Link.CONNECTING, Link.DISCONNECTED] == [state.link for state in sink.states]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"hots": "x"}, "hots"),
        ({"port": 0}, "port"),
        ({"subscriptions": []}, "subscriptions"),
        ({"subscriptions": [{"topic": "a", "qos": 2}]}, "qos"),
        ({"password_env": "NOT_SET_ANYWHERE"}, "password_env"),
        ({"protocol": "4"}, "protocol"),
        ({"client_id": ""}, "client_id"),
    ],
)
def test_wrong_settings_are_refused_by_name(wrong, word):
    """A person must find the line to mend."""
    with pytest.raises(ConfigError, match=word):
        MqttConnector("m", {**settings(1883), **wrong}, SystemClock())


@pytest.mark.parametrize("kind", ["mqtt", "opcua"])
def test_the_sample_files_are_valid_configurations(kind, monkeypatch):
    """They are the documentation of the settings."""
    path = Path(connectors.mqtt.__file__).parents[1] / kind / "sample.toml"
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    for value in [v for k, v in table.items() if k.endswith("_env")]:
        monkeypatch.setenv(value, "secret")

    connector = CONNECTORS[kind]("sample", table, SystemClock())

    assert connector.status.link is Link.CONNECTING


@needs_broker
def test_two_connectors_share_the_messages_of_a_topic(tmp_path):
    """MQTT 5, 4.8.2: each message goes to one of them, and none is lost."""

    async def play():
        async with Broker(tmp_path) as broker:
            shared = [{"topic": "$share/historian/plant/#"}]
            one, two = RecordingSink(), RecordingSink()
            given = [settings(broker.port, client_id=n, subscriptions=shared) for n in ("a", "b")]
            connectors = [MqttConnector("m", each, SystemClock()) for each in given]
            async with running(connectors[0], one), running(connectors[1], two):
                await broker.publish(range(50))
                while len(values(one)) + len(values(two)) < 50:  # noqa: ASYNC110 - of two
                    await asyncio.sleep(0.01)
        return values(one), values(two)

    one, two = asyncio.run(asyncio.wait_for(play(), 60))

    assert sorted(one + two) == [float(n) for n in range(50)]
    assert one
    assert two


@needs_broker
def test_a_message_beyond_the_bound_is_told_of_once(tmp_path):
    """Acknowledged, with its size, bound and beginning: neither a wall nor a silent loss."""

    async def play():
        async with Broker(tmp_path) as broker:
            sink = RecordingSink()
            given = settings(broker.port, message_bytes_max=1024)
            async with running(MqttConnector("m", given, SystemClock()), sink):
                async with aiomqtt.Client("127.0.0.1", broker.port) as client:
                    await client.publish("plant/x", b"[" + b"1," * 100_000, qos=1)
                await broker.publish([1])
                await asyncio.wait_for(sink.wait_for_rows(1), 20)
                await asyncio.wait_for(sink.wait_for_rejects(1), 20)
        return sink

    sink = asyncio.run(play())

    (reject,) = sink.rejects
    assert "got 200001 bytes, want at most 1024" in reject.reason
    assert reject.payload == b"[" + b"1," * 2047 + b"1"
    assert [1.0] == values(sink)
