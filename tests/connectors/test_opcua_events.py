"""opcua/events: alarms and other events of a real server, each once, with what they say."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from asyncua import ua
from asyncua.common.methods import uamethod

from connectors.connector import SourceUnavailable
from connectors.opcua.alarms import _filter
from connectors.opcua.connector import OpcUaConnector
from connectors.opcua.event_rules import EventRule
from connectors.opcua.events import ALARM, SOURCE_EVENT
from connectors.opcua.testing import URI, Cable, Plant, collecting, quick_settings, running
from connectors.testing import RecordingSink
from historian.clock import SystemClock
from historian.events import EVENT_KINDS
from historian.testing import free_port

T = ua.VariantType
AT = datetime(2021, 3, 4, 5, 6, 7, tzinfo=UTC)
AT_NS = int(AT.timestamp()) * 1_000_000_000


class Press:
    """A plant whose press raises an alarm and tells of other things."""

    def __init__(self):
        self.plant = Plant(free_port())
        self.refreshes = []
        self.refreshed = asyncio.Semaphore(0)
        self.retained = []

    async def start(self):
        await self.plant.start(x=(1.5, T.Double))
        server = self.server = self.plant.server
        self.index = await server.get_namespace_index(URI)
        self.source = server.get_node(ua.NodeId("Line", self.index))
        self.alarms = await server.get_event_generator(
            ua.ObjectIds.AlarmConditionType, ua.ObjectIds.Server
        )
        self.others = await server.get_event_generator(
            ua.ObjectIds.BaseEventType, ua.ObjectIds.Server
        )

        @uamethod
        async def refresh(_parent, subscription):
            self.refreshes.append(subscription)
            self.refreshed.release()
            for event in self.retained:
                await self._send(event)

        server.link_method(server.get_node(ua.NodeId(3875)), refresh)

    async def _send(self, event):
        await self.server.iserver.isession.subscription_service.trigger_event(event)

    async def alarm(self, event_id, seconds=0.0, generator=None, **states):
        """Send a state of the press's alarm."""
        event = (generator or self.alarms).event
        event.EventId = event_id
        event.Time = event.ReceiveTime = AT.replace(tzinfo=None) + timedelta(seconds=seconds)
        event.SourceNode, event.SourceName = self.source.nodeid, "press"
        event.Message, event.Severity = ua.LocalizedText("too hot"), 800
        event.add_property("NodeId", ua.NodeId("hot", self.index), T.NodeId)
        event.ConditionName = "hot"
        event.BranchId = ua.NodeId()
        event.Retain = states.pop("retain", True)
        for name, value in {"Active": True, "Acked": False, "Confirmed": False, **states}.items():
            event.add_property(f"{name}State/Id", value, T.Boolean)
        event.add_property(
            "ActiveState/EffectiveDisplayName", ua.LocalizedText("Active"), T.LocalizedText
        )
        await self._send(event)

    async def tell(self, event_id, message, severity=100):
        """Send an event that is no condition."""
        event = self.others.event
        event.EventId = event_id
        event.Time = event.ReceiveTime = AT.replace(tzinfo=None)
        event.SourceNode, event.SourceName = self.source.nodeid, "press"
        event.Message, event.Severity = ua.LocalizedText(message), severity
        await self._send(event)


def with_press(work, *rules, **more):
    """Run work(press, sink) beside a running connector; the sink and the connector."""

    async def play():
        press = Press()
        await press.start()
        sink = RecordingSink()
        settings = quick_settings(press.plant.port, events=list(rules) or [{}], **more)
        connector = OpcUaConnector("line", settings, SystemClock())
        try:
            async with running(connector, sink) as task:
                asked = asyncio.ensure_future(press.refreshed.acquire())
                await asyncio.wait({asked, task}, timeout=20, return_when="FIRST_COMPLETED")
                assert not task.done(), task.exception()
                await work(press, sink)
        finally:
            await press.plant.stop()
        return sink, connector, press

    return asyncio.run(play())


def test_an_alarm_arrives_with_its_source_condition_severity_and_states():
    async def work(press, sink):
        await press.alarm(b"\x01", 0)
        await press.alarm(b"\x02", 1, Active=False, Acked=True, retain=False)
        await asyncio.wait_for(sink.wait_for_rows(2), 20)

    sink, connector, _ = with_press(work)

    first, second = sink.events("alarm")
    assert {
        "event_type": "AlarmConditionType",
        "node": f"nsu={URI};s=Line",
        "source_name": "press",
        "message": "too hot",
        "severity": 800,
        "receive_ns": AT_NS,
        "condition": f"nsu={URI};s=hot",
        "condition_name": "hot",
        "branch": None,
        "retain": True,
        "acked": False,
        "confirmed": False,
        "active": True,
        "state": "Active",
        "source": "line",
        "timestamp_ns": AT_NS,
    }.items() <= first.items()
    assert (False, True, False) == (second["active"], second["acked"], second["retain"])
    assert AT_NS + 1_000_000_000 == second["timestamp_ns"]
    assert first["event_id"] != second["event_id"]
    assert 2 == connector.status.received


def test_an_event_that_is_no_condition_goes_into_its_own_stream():
    async def work(press, sink):
        await press.tell(b"\x01", "door opened")
        await asyncio.wait_for(sink.wait_for_rows(1), 20)

    sink, _, _ = with_press(work)

    (event,) = sink.events("source_event")
    assert ("BaseEventType", "door opened", 100) == (
        event["event_type"],
        event["message"],
        event["severity"],
    )
    assert [] == sink.events("alarm")


def test_columns_are_those_of_the_kinds_that_the_historian_knows():
    """A batch with another column would be refused whole."""
    for kind, columns in (("alarm", ALARM), ("source_event", SOURCE_EVENT)):
        known = {column.name: column.type for column in EVENT_KINDS[kind]}
        assert {column.name: column.type for column in columns}.items() <= known.items()


def test_an_event_that_comes_twice_is_one_event():
    """Two notifiers of one event, and a server that repeats itself."""

    async def work(press, sink):
        await press.alarm(b"\x01")
        await press.alarm(b"\x01")
        await press.tell(b"\x02", "end")
        await asyncio.wait_for(sink.wait_for_rows(2), 20)

    sink, _, _ = with_press(work, {}, {"severity_min": 1})

    assert 1 == len(sink.events("alarm"))
    assert 1 == len(sink.events("source_event"))


def test_conditions_are_asked_for_after_every_connection_and_stored_once():
    """The change while nobody listened arrives by the refresh, what is known is no second event."""

    async def play():
        press = Press()
        await press.start()
        cable = Cable(free_port(), press.plant.port)
        await cable.start()
        sink = RecordingSink()
        settings = quick_settings(cable.port, events=[{}])
        connector = OpcUaConnector("line", settings, SystemClock())
        try:
            async with running(connector, sink):
                await asyncio.wait_for(press.refreshed.acquire(), 20)
                await press.alarm(b"\x01")
                await asyncio.wait_for(sink.wait_for_rows(1), 20)
            press.retained = [press.alarms.event]  # the same EventId again
            async with collecting(connector, sink, SystemClock()):
                await asyncio.wait_for(press.refreshed.acquire(), 20)
                await press.tell(b"\x02", "later")
                await asyncio.wait_for(sink.wait_for_rows(2), 20)
        finally:
            cable.close()
            await press.plant.stop()
        return sink, press

    sink, press = asyncio.run(play())

    assert 1 == len(sink.events("alarm"))
    assert len(press.refreshes) >= 2
    assert ["later"] == [event["message"] for event in sink.events("source_event")]


def test_a_cut_line_asks_for_conditions_again_when_its_session_is_resumed():
    """What changed behind the end of the server's queue is told by the refresh alone."""

    async def play():
        press = Press()
        await press.start()
        cable = Cable(free_port(), press.plant.port)
        await cable.start()
        sink = RecordingSink()
        settings = quick_settings(cable.port, events=[{}])
        connector = OpcUaConnector("line", settings, SystemClock())
        try:
            task = asyncio.create_task(connector.run(sink))
            await asyncio.wait_for(press.refreshed.acquire(), 20)
            await press.alarm(b"\x01")
            await asyncio.wait_for(sink.wait_for_rows(1), 20)
            cable.cut()
            with pytest.raises(SourceUnavailable):
                await asyncio.wait_for(task, 20)
            await press.alarm(b"\x02", 1, Active=False)
            press.retained = [press.alarms.event]
            async with running(connector, sink):
                await asyncio.wait_for(press.refreshed.acquire(), 20)
                await press.tell(b"\x03", "later")
                await asyncio.wait_for(sink.wait_for_rows(3), 20)
        finally:
            cable.close()
            await press.plant.stop()
        return sink, connector

    sink, connector = asyncio.run(play())

    assert [True, False] == [event["active"] for event in sink.events("alarm")]
    assert 1 == len(sink.events("source_event"))
    assert "session resumed" in {state.detail for state in sink.states}
    assert 0 == connector.status.gaps


def test_rules_choose_by_type_and_severity_at_the_server():
    async def work(press, sink):
        await press.tell(b"\x01", "quiet", 100)
        await press.tell(b"\x02", "loud", 600)
        await press.alarm(b"\x03")
        await asyncio.wait_for(sink.wait_for_rows(1), 20)
        await press.tell(b"\x04", "loud again", 900)
        await asyncio.wait_for(sink.wait_for_rows(2), 20)

    sink, _, _ = with_press(work, {"types": ["i=2041"], "severity_min": 500})

    assert ["loud", "loud again"] == [e["message"] for e in sink.events("source_event")]
    assert [] == sink.events("alarm")


def test_an_overflow_of_the_servers_queue_is_a_gap():
    async def work(press, sink):
        await press.tell(b"\x01", "before")
        overflow = await press.server.get_event_generator(
            ua.ObjectIds.EventQueueOverflowEventType, ua.ObjectIds.Server
        )
        overflow.event.EventId = b"\x02"
        overflow.event.Time = AT.replace(tzinfo=None) + timedelta(seconds=5)
        overflow.event.ReceiveTime = overflow.event.Time
        overflow.event.Message, overflow.event.Severity = ua.LocalizedText("full"), 1
        await press._send(overflow.event)
        await asyncio.wait_for(sink.wait_for_gaps(1), 20)

    sink, connector, _ = with_press(work)

    (gap,) = sink.gaps
    assert (AT_NS, AT_NS + 5_000_000_000, "i=2253") == (gap.start_ns, gap.end_ns, gap.address)
    assert "overflow" in gap.reason
    assert 1 == connector.status.gaps


def test_further_fields_come_as_attributes():
    async def work(press, sink):
        kind = await press.server.create_custom_event_type(
            press.index, "Jam", ua.ObjectIds.BaseEventType, [("Lane", T.Int32)]
        )
        generator = await press.server.get_event_generator(kind, ua.ObjectIds.Server)
        generator.event.Lane = 3
        await generator.trigger(message="jam")
        await asyncio.wait_for(sink.wait_for_rows(1), 20)

    sink, _, _ = with_press(work, {"fields": ["Lane"], "namespace": URI})

    (event,) = sink.events("source_event")
    assert ("Jam", '{"Lane": 3}') == (event["event_type"], event["attributes"])


def test_a_node_that_is_no_notifier_is_named_once_and_values_go_on():
    async def work(press, sink):
        await asyncio.wait_for(sink.wait_for_rejects(1), 20)
        await asyncio.wait_for(sink.wait_for_rows(1), 20)

    node = f"nsu={URI};s=x"
    sink, _, _ = with_press(work, {}, {"node": node}, nodes=[node])

    (reject,) = sink.rejects
    assert (node, True) == (reject.address, "want a notifier" in reject.reason)
    assert [1.5] == [value for _, _, _, value in sink.rows()]


def test_a_node_that_appears_is_found_at_once_when_the_server_says_so():
    async def work(press, sink):
        await asyncio.wait_for(sink.wait_for_rows(1), 20)
        late, name = ua.NodeId("late", press.index), ua.QualifiedName("late", press.index)
        await press.source.add_variable(late, name, 9.5)
        change = await press.server.get_event_generator(
            ua.ObjectIds.BaseModelChangeEventType, ua.ObjectIds.Server
        )
        await change.trigger(message="changed")
        await asyncio.wait_for(sink.wait_for_rows(3), 20)  # x, the event, the new node

    sink, _, _ = with_press(work, browse=[{"root": "/Line"}], discover_interval_s=0.0)

    assert {f"nsu={URI};s=late": 9.5, f"nsu={URI};s=x": 1.5} == {
        address: value for address, _, _, value in sink.rows()
    }


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_filter_of_many_types_is_a_tree_whose_first_element_is_the_whole(count):
    """Operands point at elements behind them, every element is reached once (Part 4, 7.7.1)."""
    rule = EventRule("i=2253", severity_min=10)
    types = [ua.NodeId(n, 0) for n in range(1, count + 1)]

    class Nowhere:
        namespaces = ()

    elements = _filter(Nowhere(), rule, (), types).WhereClause.Elements

    pointed = [
        (place, operand.Index)
        for place, element in enumerate(elements)
        for operand in element.FilterOperands
        if isinstance(operand, ua.ElementOperand)
    ]
    assert sorted(index for _, index in pointed) == list(range(1, len(elements)))
    assert all(index > place for place, index in pointed)
    literals = [e for e in elements if e.FilterOperator is ua.FilterOperator.OfType]
    assert types == [element.FilterOperands[0].Value.Value for element in literals]
