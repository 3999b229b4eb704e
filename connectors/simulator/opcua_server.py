"""A real OPC UA server whose variables are fed by rows: the simulator's and the replay's.

The one file that knows the server side of asyncua. Its stock way from a written value to a
notification copies each value several times and keeps microseconds only (6,500 values/s were
measured); here rows wait in an outbox per subscription and become bytes when a client asks.

``connectors/simulator/outbox.py`` says what happens when a client is slow or gone.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import asyncua.server.standard_address_space  # noqa: F401 - else imported inside a coroutine
from asyncua import ua
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.monitored_item_service import MonitoredItemService
from asyncua.server.server import Server
from asyncua.server.subscription_service import SubscriptionService
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from connectors.connector import Clock
from connectors.simulator.data_value import encode_notification
from connectors.simulator.node import Node, Row
from connectors.simulator.outbox import Monitor, Outbox, Source
from storage_engine.sample import ValueType

_NOTIFICATIONS_MAX = 2_000  # rows in one publish response
_NUDGE_S = 0.1
_BAD_WAITING = 0x8032_0000
_EPOCH_TICKS = 116_444_736_000_000_000  # 1601 to 1970, in steps of 100 ns
_NOTIFICATION_TYPE = ua.NodeId(ua.Int32(ObjectIds.DataChangeNotification_Encoding_DefaultBinary))
_VARIANT = {
    ValueType.FLOAT64: ua.VariantType.Double,
    ValueType.INT64: ua.VariantType.Int64,
    ValueType.BOOL: ua.VariantType.Boolean,
    ValueType.SYMBOL: ua.VariantType.String,
}
_ZERO: dict[ValueType, float | int | bool | str] = {
    ValueType.FLOAT64: 0.0,
    ValueType.INT64: 0,
    ValueType.BOOL: False,
    ValueType.SYMBOL: "",
}


class _Subscription(InternalSubscription):
    """A subscription with an outbox of rows beside what asyncua keeps."""

    def __init__(self, feed: "_Feed", rows_max: int, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.feed = feed
        self.outbox = Outbox(feed.source)
        self._rows_max = rows_max
        self.monitored_item_srv = _MonitoredItems(self, self.monitored_item_srv.aspace)

    async def push(self) -> None:
        """Answer waiting publish requests as long as there are rows."""
        while self.outbox.waiting and self._publishing_enabled and self.pub_request_callback:
            request = self.pub_request_callback(self.data.SubscriptionId)
            if request is None:
                return  # asyncua calls publish_results when the client asks again
            await self.pub_result_callback(self._pop_publish_result(), request)

    async def nudge(self) -> None:
        """Send a keep-alive, so that the client sends a request and with it what it has."""
        if self.outbox.sent and not self.outbox.waiting and self.pub_request_callback:
            request = self.pub_request_callback(self.data.SubscriptionId)
            if request is not None:
                await self.pub_result_callback(self._pop_publish_result(), request)

    def has_published_results(self) -> bool:
        if self.outbox.waiting and self._publishing_enabled:
            return True
        return super().has_published_results()

    def _pop_publish_result(self) -> ua.PublishResult:
        result = super()._pop_publish_result()
        result.MoreNotifications = bool(self.outbox.waiting)
        return result

    def _pop_triggered_datachanges(self, result: ua.PublishResult) -> None:
        super()._pop_triggered_datachanges(result)
        rows = self.outbox.take(self._notification_seq, self._rows_max)
        if rows:
            body = encode_notification(self.feed.types, rows, len(rows))
            notification = ua.ExtensionObject(_NOTIFICATION_TYPE, ua.ByteString(body))
            result.NotificationMessage.NotificationData.append(notification)

    def publish(self, acks: Iterable[int]) -> None:
        acks = list(acks)
        super().publish(acks)
        for sequence in acks:
            self.outbox.acknowledge(sequence)

    def republish(self, nb: int) -> ua.NotificationMessage:
        """Send a message again; asyncua forgets it then, the standard once it is acknowledged.

        References
        ----------
        OPC 10000-4, 5.14.1.2: Subscription state table, retransmission queue.
        """
        kept = self._not_acknowledged_results.get(nb)
        return ua.NotificationMessage() if kept is None else kept.NotificationMessage

    async def stop(self) -> None:
        self.feed.source.reclaim(self.outbox)
        await super().stop()


class _MonitoredItems(MonitoredItemService):
    """Leads items on our nodes to the source; leaves all others to asyncua."""

    def __init__(self, subscription: _Subscription, aspace: Any) -> None:
        super().__init__(subscription, aspace)
        self._outbox = subscription.outbox
        self._feed = subscription.feed
        self._monitors: dict[int, tuple[int, Monitor]] = {}  # by monitored item id

    async def _create_data_change_monitored_item(
        self, params: ua.MonitoredItemCreateRequest
    ) -> ua.MonitoredItemCreateResult:
        deadband = getattr(params.RequestedParameters.Filter, "DeadbandType", 0)
        if deadband and params.ItemToMonitor.NodeId in self._feed.index:
            unsupported = StatusCodes.BadMonitoredItemFilterUnsupported
            return ua.MonitoredItemCreateResult(StatusCode=ua.StatusCode(ua.UInt32(unsupported)))
        return await super()._create_data_change_monitored_item(params)

    async def trigger_datachange(self, handle: int, nodeid: ua.NodeId, attr: AttributeIds) -> None:
        node = self._feed.index.get(nodeid)
        if node is None or attr != AttributeIds.Value:
            await super().trigger_datachange(handle, nodeid, attr)
            return
        mid = self._monitored_datachange[handle]
        item = self._monitored_items[mid]
        trigger = getattr(item.filter, "Trigger", ua.DataChangeTrigger.StatusValue)
        every_time = trigger == ua.DataChangeTrigger.StatusValueTimestamp
        monitor = Monitor(self._outbox, item.client_handle or 0, every_time)
        self._monitors[mid] = (node, monitor)
        self._feed.source.attach(node, monitor)

    async def _set_monitoring_mode(self, mode: ua.MonitoringMode, mid: int) -> ua.StatusCode:
        if mid in self._monitors:
            self._monitors[mid][1].active = mode == ua.MonitoringMode.Reporting
        return await super()._set_monitoring_mode(mode, mid)

    def delete_all_monitored_items(self) -> None:
        self._feed.source.reclaim(self._outbox)
        super().delete_all_monitored_items()

    def _delete_monitored_items(self, mid: int) -> ua.StatusCode:
        if mid in self._monitors:
            self._feed.source.detach(*self._monitors.pop(mid))
        return super()._delete_monitored_items(mid)


class _Subscriptions(SubscriptionService):
    """Makes our kind of subscription."""

    def __init__(self, feed: "_Feed", server: InternalServer) -> None:
        super().__init__(server.aspace, iserver=server)
        self._feed = feed
        self._server = server

    async def create_subscription(
        self,
        params: ua.CreateSubscriptionParameters,
        callback: Callable[..., Any],
        session_id: ua.NodeId,
        request_callback: Callable[..., Any] | None = None,
    ) -> ua.CreateSubscriptionResult:
        """As asyncua's, with an outbox; MaxNotificationsPerPublish of the client is honoured."""
        stock = await super().create_subscription(params, callback, session_id, request_callback)
        asked = int(params.MaxNotificationsPerPublish)
        subscription = _Subscription(
            self._feed,
            min(asked, _NOTIFICATIONS_MAX) if asked > 0 else _NOTIFICATIONS_MAX,
            stock,
            self.aspace,
            callback,
            session_id,
            request_callback=request_callback,
            delete_callback=lambda: self.subscriptions.pop(stock.SubscriptionId, None),
            no_acks_limit=self._server.max_unacked_messages_per_subscription,
            max_queue_size=self._server.max_monitored_item_queue_size,
            publishing_enabled=params.PublishingEnabled,
        )
        await self.subscriptions[stock.SubscriptionId].stop()
        self.subscriptions[stock.SubscriptionId] = subscription
        await subscription.start()
        return stock

    async def push(self, *, nudge: bool = False) -> None:
        """Send rows to every client that waits for them."""
        for subscription in list(self.subscriptions.values()):
            if isinstance(subscription, _Subscription):
                await subscription.push()
                if nudge:
                    await subscription.nudge()


class _Feed:
    """The rows of a server and the OPC UA names of their nodes."""

    def __init__(self, nodes: Sequence[Node], source: Source) -> None:
        self.types = tuple(node.type for node in nodes)
        self.source = source
        self.index: dict[ua.NodeId, int] = {}

    def read(self, node_id: ua.NodeId, _attribute: AttributeIds) -> ua.DataValue:
        """Newest value of a node, for the Read service (microseconds, as asyncua has it)."""
        node = self.index[node_id]
        row = self.source.current[node]
        if row is None:
            return ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(_BAD_WAITING)))
        _, timestamp_ns, quality, value = row
        kind = ua.VariantType.Null if value is None else _VARIANT[self.types[node]]
        time = ua.win_epoch_to_datetime(timestamp_ns // 100 + _EPOCH_TICKS)
        return ua.DataValue(
            Value=ua.Variant(value, kind),
            StatusCode=ua.StatusCode(ua.UInt32(quality)),
            SourceTimestamp=cast("ua.DateTime", time),
        )


class _Internals(InternalServer):
    """asyncua's server core with our subscriptions."""

    def __init__(self, feed: _Feed) -> None:
        super().__init__()
        self.max_unacked_messages_per_subscription = 200
        self.plant_subscriptions = _Subscriptions(feed, self)
        self.subscription_service = self.plant_subscriptions
        user = self.isession.user
        self.isession = InternalSession(
            self, self.aspace, self.subscription_service, "Internal", user=user
        )


class PlantServer:
    """The server. Security is None and it listens on the loopback only.

    Parameters
    ----------
    nodes : sequence of Node
        Its variables; rows name them by position.
    clock : Clock
    namespace : str
        URI of their namespace; identifiers are strings, ``folder/folder/name``.
    port : int
        TCP port on 127.0.0.1; 0 takes a free one.
    keep : bool
        Never drop a row; see :mod:`connectors.simulator.outbox`.
    queue_rows_max : int
        Bound of rows waiting: per subscription when live, in all when kept.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        clock: Clock,
        *,
        namespace: str,
        port: int = 0,
        keep: bool = False,
        queue_rows_max: int = 50_000,
    ) -> None:
        self._nodes = tuple(nodes)
        self._clock = clock
        self._namespace = namespace
        self._port = port
        self._source = Source(len(self._nodes), keep=keep, rows_max=queue_rows_max)
        self._feed = _Feed(self._nodes, self._source)
        self._internals = _Internals(self._feed)
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """Endpoint of the running server."""
        assert self._server is not None
        assert self._server.bserver is not None
        return f"opc.tcp://127.0.0.1:{self._server.bserver.port}/"

    @property
    def acknowledged(self) -> int:
        """Rows that clients have acknowledged."""
        return self._source.acknowledged

    @property
    def held(self) -> int:
        """Rows that wait for a client or for its acknowledgement (kept only)."""
        return self._source.held

    @property
    def overflowed(self) -> int:
        """Rows that live outboxes dropped."""
        return self._source.overflowed

    async def start(self) -> None:
        """Build the address space and listen. Raises OSError when the port is taken."""
        server = Server(iserver=self._internals)
        await server.init()
        server.set_endpoint(f"opc.tcp://127.0.0.1:{self._port}/")
        server.set_server_name("Lighthouse plant")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        await self._add_nodes(server, await server.register_namespace(self._namespace))
        await server.start()
        self._server = server

    async def _add_nodes(self, server: Server, namespace: int) -> None:
        folders: dict[tuple[str, ...], Any] = {(): server.nodes.objects}
        for index, node in enumerate(self._nodes):
            for depth in range(1, len(node.path) + 1):
                path = node.path[:depth]
                if path not in folders:
                    node_id = _node_id("/".join(path), namespace)
                    parent = folders[path[:-1]]
                    folders[path] = await parent.add_folder(node_id, f"{namespace}:{path[-1]}")
            node_id = _node_id(node.identifier, namespace)
            kind = _VARIANT[node.type]
            zero = ua.Variant(_ZERO[node.type], kind)
            variable = await folders[node.path].add_variable(
                node_id, f"{namespace}:{node.name}", zero
            )
            if node.description:
                text = ua.DataValue(ua.Variant(ua.LocalizedText(node.description)))
                await variable.write_attribute(AttributeIds.Description, text)
            if node.eng_unit:
                unit = ua.EUInformation(DisplayName=ua.LocalizedText(node.eng_unit))
                await variable.add_property(0, "EngineeringUnits", unit)
            if node.low is not None and node.high is not None:
                await variable.add_property(0, "EURange", ua.Range(node.low, node.high))
            self._feed.index[node_id] = index
            server.set_attribute_value_callback(node_id, self._feed.read)

    async def monitored(self) -> None:
        """Return when a client monitors every node."""
        while not all(self._source.monitors):
            await self._moved()

    async def play(self, rows: Sequence[Row]) -> None:
        """Publish rows, in order per node; when kept, wait for room first.

        Parameters
        ----------
        rows : sequence of Row
            At most a few thousand, so that the bound means something.
        """
        while self._source.full:
            await self._moved()
        self._source.offer(rows)
        await self._internals.plant_subscriptions.push()
        await self._clock.sleep(0)  # let the server hear its clients

    async def drained(self) -> None:
        """Return when a client has acknowledged every row played (kept only)."""
        while self._source.held:
            await self._internals.plant_subscriptions.push(nudge=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._moved(), _NUDGE_S)

    async def _moved(self) -> None:
        self._source.moved.clear()
        await self._source.moved.wait()

    async def stop(self) -> None:
        """Close sessions and stop listening."""
        if self._server is not None:
            await self._server.stop()
            self._server = None


def _node_id(identifier: str, namespace: int) -> ua.NodeId:
    return ua.NodeId(ua.String(identifier), ua.Int16(namespace))
