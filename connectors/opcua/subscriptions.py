"""Subscriptions and monitored items of a session: made within the server's limits, taken over.

References
----------
OPC 10000-4, 5.13 (MonitoredItem service set), 5.14 (Subscription service set).
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from asyncua import ua as asyncua_ua
from asyncua.ua.ua_binary import struct_from_binary
from asyncua.ua.uaerrors import BadTooManySubscriptions, UaStatusCodeError

from connectors.connector import SourceUnavailable
from connectors.opcua.address_space import AddressSpace
from connectors.opcua.calls import LOST, Pieces, call
from connectors.opcua.config import OpcUaConfig

ua: Any = asyncua_ua  # half of its names are not exported for type checkers

_FILTER_REFUSED = {
    ua.StatusCodes.BadMonitoredItemFilterUnsupported,
    ua.StatusCodes.BadFilterNotAllowed,
}
_FAST_MS = 10.0  # taken for "as fast as the server can" where a queue is planned
UNKNOWN = 0  # as the number of the next message


@dataclass(slots=True)
class Subscription:
    """A subscription, as the server revised it.

    Attributes
    ----------
    id : int
    keepalive_s : float
        The server says something at least so often.
    lifetime_s : float
        For so long it lives without a Publish request.
    expected : int
        Number of its next message, ``UNKNOWN`` after another process has read it.
    available : list of int
        Messages that the server can send again, as it said when the subscription was taken over.
    fresh : bool
        Nobody has listened to it yet, so no message of it can be missed.
    floor : int
        Messages before this number are durable, as an earlier process noted; 0 where none did.
    published_ns : int
        The server's time of its last message; up to it everything has come.
    """

    id: int
    keepalive_s: float
    lifetime_s: float
    expected: int = 1
    available: list[int] = field(default_factory=list)
    fresh: bool = True
    floor: int = 0
    published_ns: int = 0


@dataclass(slots=True)
class Monitored:
    """What became of items to monitor.

    Attributes
    ----------
    refused : list of (handle, reason)
    bridged_s : float
        For how long the shortest queue holds what is sampled, as far as the server told; infinite
        where it samples by exception.
    """

    refused: list[tuple[int, str]] = field(default_factory=list)
    bridged_s: float = math.inf


def queue_size(config: OpcUaConfig) -> int:
    """Values that an item's queue must hold: two publications and the outage to be bridged."""
    if config.queue_size:
        return config.queue_size
    held_ms = 2.0 * config.publishing_interval_ms + 1_000.0 * config.bridge_s
    return max(2, math.ceil(held_ms / (config.sampling_interval_ms or _FAST_MS)))


class Subscriptions:
    """The services of one session.

    Parameters
    ----------
    config : OpcUaConfig
    nodes : AddressSpace
    send : coroutine function
        Request -> body of its answer.
    """

    def __init__(
        self, config: OpcUaConfig, nodes: AddressSpace, send: Callable[[Any], Awaitable[Any]]
    ) -> None:
        self._config = config
        self._nodes = nodes
        self._send = send
        self._items = Pieces(config.url, config.items_per_call_max)

    @property
    def room(self) -> int:
        """Items that one subscription may have."""
        limit = self._nodes.limits.items_per_subscription
        most = self._config.items_per_subscription_max
        return min(limit, most) if limit else most

    async def create(self) -> Subscription | None:
        """Create a subscription as configured; None when the server allows no more of them.

        Raises
        ------
        SourceUnavailable
            If the server refuses otherwise, or the line is lost.
        """
        config = self._config
        interval_s = config.publishing_interval_ms / 1000
        keepalive = max(1, round(config.keepalive_s / interval_s))
        lifetime = max(3 * keepalive, round(config.lifetime_s / interval_s))
        request = ua.CreateSubscriptionRequest()
        parameters = request.Parameters
        parameters.RequestedPublishingInterval = config.publishing_interval_ms
        parameters.RequestedMaxKeepAliveCount = keepalive
        parameters.RequestedLifetimeCount = lifetime
        parameters.MaxNotificationsPerPublish = config.notifications_per_publish_max
        parameters.PublishingEnabled = True
        try:
            body = await call(config.url, self._send(request), (BadTooManySubscriptions,))
        except BadTooManySubscriptions:
            return None
        found = struct_from_binary(ua.CreateSubscriptionResponse, body).Parameters
        revised_s = (float(found.RevisedPublishingInterval) or 1000 * interval_s) / 1000
        return Subscription(
            int(found.SubscriptionId),
            (found.RevisedMaxKeepAliveCount or keepalive) * revised_s,
            (found.RevisedLifetimeCount or lifetime) * revised_s,
        )

    async def transfer(self, ids: Sequence[int]) -> dict[int, list[int]]:
        """Take over subscriptions of a session that is gone.

        Returns
        -------
        dict
            Of those taken over: id -> numbers of the messages that the server can send again.

        Raises
        ------
        SourceUnavailable
            If the line is lost. A server that does not offer or allow it takes over none.
        """
        parameters = ua.TransferSubscriptionsParameters()
        parameters.SubscriptionIds = list(ids)
        parameters.SendInitialValues = True
        try:
            results = await call(
                self._config.url,
                self._nodes.service.transfer_subscriptions(parameters),
                (UaStatusCodeError,),
            )
        except UaStatusCodeError:
            return {}
        return {
            id_: [int(each) for each in result.AvailableSequenceNumbers or ()]
            for id_, result in zip(ids, results or (), strict=False)
            if result.StatusCode.is_good()
        }

    async def delete(self, ids: Sequence[int]) -> None:
        """Let the server forget subscriptions that nobody reads; else they end by themselves."""
        try:
            await self._nodes.service.delete_subscriptions(list(ids))
        except LOST:
            return

    async def monitor(self, subscription: int, items: list[tuple[int, str]]) -> Monitored:
        """Create monitored items, one call at a time and no larger than the server takes.

        Parameters
        ----------
        subscription : int
        items : list of (handle, address)

        Raises
        ------
        SourceUnavailable
            If the line is lost, or the server refuses whole calls.
        """
        self._items.limit(self._nodes.limits.items_per_call)
        outcome = Monitored()
        plain: list[tuple[int, str]] = []
        for filtered, wanted in ((True, items), (False, plain)):

            async def serve(
                chunk: Sequence[tuple[int, str]], filtered: bool = filtered
            ) -> Sequence[Any]:
                return await self._create_items(subscription, chunk, filtered=filtered)

            for item, result in zip(wanted, await self._items.run(wanted, serve), strict=True):
                status = result.StatusCode
                if filtered and status.value in _FILTER_REFUSED:
                    plain.append(item)
                elif not status.is_good():
                    outcome.refused.append((item[0], f"got {status.name}"))
                else:
                    outcome.bridged_s = min(outcome.bridged_s, _bridged_s(result))
        return outcome

    async def _create_items(
        self, subscription: int, items: Sequence[tuple[int, str]], *, filtered: bool
    ) -> list[Any]:
        """Result of each item; BadNodeIdUnknown for one of a namespace the server lacks."""
        parameters = ua.CreateMonitoredItemsParameters()
        parameters.SubscriptionId = subscription
        parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        size = queue_size(self._config)
        known = [(handle, self._nodes.node_id(address)) for handle, address in items]
        for handle, node_id in known:
            if node_id is None:
                continue
            item = ua.MonitoredItemCreateRequest()
            item.ItemToMonitor.NodeId = node_id
            item.ItemToMonitor.AttributeId = ua.AttributeIds.Value
            item.MonitoringMode = ua.MonitoringMode.Reporting
            item.RequestedParameters.ClientHandle = handle
            item.RequestedParameters.SamplingInterval = self._config.sampling_interval_ms
            item.RequestedParameters.QueueSize = size
            item.RequestedParameters.DiscardOldest = True
            if filtered:
                change = ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValueTimestamp)
                item.RequestedParameters.Filter = change
            parameters.ItemsToCreate.append(item)
        results: Sequence[Any] = []
        if parameters.ItemsToCreate:
            results = await self._nodes.service.create_monitored_items(parameters)
        if len(results) != len(parameters.ItemsToCreate):
            told = f"got {len(results)} results, want {len(parameters.ItemsToCreate)}"
            raise SourceUnavailable(f"cannot monitor: {told}, at {self._config.url}")
        answers = iter(results)
        absent = ua.MonitoredItemCreateResult()
        absent.StatusCode = ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown)
        return [absent if node_id is None else next(answers) for _, node_id in known]


def _bridged_s(result: Any) -> float:
    sampling_ms = float(result.RevisedSamplingInterval)
    size = int(result.RevisedQueueSize)
    return size * sampling_ms / 1000 if sampling_ms > 0 and size else math.inf
