"""mqtt/: a broker that speaks an older version of the protocol; amqtt in this process."""

import asyncio

import aiomqtt
import pytest
from amqtt.broker import Broker as Amqtt

from connectors.connector import SourceUnavailable
from connectors.mqtt.connector import MqttConnector
from connectors.sink import Link
from connectors.testing import RecordingSink
from historian.clock import SystemClock
from historian.testing import free_port


def test_a_broker_of_mqtt_3_that_refuses_a_topic_is_served_all_the_same():
    """`auto` finds the version by itself; a missing right on one topic is no reason to be deaf."""
    port = free_port()
    plugins = {
        "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True},
        "amqtt.plugins.topic_checking.TopicTabooPlugin": {},
    }
    listeners = {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}

    async def play():
        broker = Amqtt({"listeners": listeners, "plugins": plugins})
        await broker.start()
        sink = RecordingSink()
        given = {
            "host": "127.0.0.1",
            "port": port,
            "connect_timeout_s": 1.0,
            "subscriptions": [{"topic": "top-secret"}, {"topic": "plant/#"}],
            "mappings": [{"topic": "plant/#", "kind": "samples", "value": "v"}],
        }
        connector = MqttConnector("m", given, SystemClock())
        try:
            with pytest.raises(SourceUnavailable):
                await connector.run(sink)
            task = asyncio.create_task(connector.run(sink))
            await asyncio.wait_for(sink.wait_for_state(Link.CONNECTED), 20)
            async with aiomqtt.Client("127.0.0.1", port) as client:
                await client.publish("plant/x", b'{"v": 1}', qos=1)
            await asyncio.wait_for(sink.wait_for_rows(1), 20)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        finally:
            await broker.shutdown()
        return sink

    sink = asyncio.run(play())

    assert [1.0] == [value for _, _, _, value in sink.rows()]
    assert ["top-secret"] == [reject.address for reject in sink.rejects]
    assert "3.1.1" in next(s for s in sink.states if s.link is Link.CONNECTED).detail
