"""One session with an OPC UA server.

asyncua gives transport, security, browsing and the generic codec. Its publish loop (one request in
flight, acknowledged before the data are safe), its subscriptions (reordered by tasks, rebuilt from
nothing after a failure) and its watchdogs are not used: requests are sent one by one from here.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import Any

from asyncua import ua as asyncua_ua
from asyncua.client.client import Client
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary
from asyncua.ua.uaerrors import (
    BadMessageNotAvailable,
    BadNoSubscription,
    BadSubscriptionIdInvalid,
    BadTimeout,
    BadTooManyOperations,
    BadTooManyPublishRequests,
)

from connectors.connector import Clock, ConnectorError, SourceUnavailable
from connectors.opcua.address_space import AddressSpace
from connectors.opcua.calls import LOST, call, cannot, chunks
from connectors.opcua.config import OpcUaConfig
from connectors.opcua.general import decode_general
from connectors.opcua.notification import Notification, Unusual, decode_publish
from connectors.opcua.security import Guard
from connectors.opcua.structures import Structures

ua: Any = asyncua_ua  # half of its names are not exported for type checkers

_FILTER_REFUSED = {
    ua.StatusCodes.BadMonitoredItemFilterUnsupported,
    ua.StatusCodes.BadFilterNotAllowed,
}

_log = logging.getLogger(__name__)


class SubscriptionLost(SourceUnavailable):
    """The server no longer knows our subscriptions; a new session is needed."""


class Session:
    """A connection, its session and its subscriptions.

    Parameters
    ----------
    config : OpcUaConfig
    clock : Clock
    """

    def __init__(self, config: OpcUaConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._client = Client(config.url, timeout=config.request_timeout_s)
        self._client.application_uri = config.application_uri
        self._client.name = self._client.description = "Lighthouse Historian collector"
        self._client.session_timeout = int(config.session_timeout_s * 1000)
        self._client.uaclient.pre_request_hook = None
        self._renewal: asyncio.Task[None] | None = None
        self._guard = Guard(config.url, config.security, config.user, clock)
        self.nodes = AddressSpace(self._client, config)
        self.structures = Structures(self.nodes)

    async def connect(self) -> None:
        """Open a channel and a new session, and read the namespaces.

        Raises
        ------
        SourceUnavailable
            If the server cannot be reached or refuses.
        ConfigError
            If a certificate cannot be used.
        """
        try:
            await self._guard.connect(self._client, self._begin, self._drop_transport)
            await self.nodes.load()
        except ConnectorError:
            self._drop_transport()
            raise
        except LOST as error:
            self._drop_transport()
            raise SourceUnavailable(cannot("connect", self._config.url, error)) from error

    async def resume(self) -> None:
        """Open a new channel and take the old session up again.

        Raises
        ------
        SourceUnavailable
            If the server cannot be reached.
        SubscriptionLost
            If it was reached and no longer knows the session.
        """
        self._drop_transport()
        try:
            await self._open_channel()
        except LOST as error:
            self._drop_transport()
            if await self._guard.changed(self._client):
                raise SubscriptionLost(cannot("resume session", self._config.url, error)) from error
            raise SourceUnavailable(cannot("connect", self._config.url, error)) from error
        try:
            self._client.uaclient.session.rebind_authentication_token()
            await self._guard.activate(self._client)
        except LOST as error:
            self._drop_transport()
            raise SubscriptionLost(cannot("resume session", self._config.url, error)) from error

    async def close(self) -> None:
        """Close the session and its subscriptions, as far as the server still listens."""
        await self._stop_renewal()
        with contextlib.suppress(*LOST):
            await self._client.close_session()
            await self._client.close_secure_channel()
        self._drop_transport()

    async def create_subscription(self) -> int:
        """Create a subscription as configured; its id."""
        config = self._config
        request = ua.CreateSubscriptionRequest()
        parameters = request.Parameters
        interval_s = config.publishing_interval_ms / 1000
        keepalive = max(1, round(config.keepalive_s / interval_s))
        parameters.RequestedPublishingInterval = config.publishing_interval_ms
        parameters.RequestedMaxKeepAliveCount = keepalive
        parameters.RequestedLifetimeCount = max(
            3 * keepalive, round(config.lifetime_s / interval_s)
        )
        parameters.MaxNotificationsPerPublish = config.notifications_per_publish_max
        parameters.PublishingEnabled = True
        body = await call(self._config.url, self._send(request))
        response = struct_from_binary(ua.CreateSubscriptionResponse, body)
        return int(response.Parameters.SubscriptionId)

    async def monitor(
        self, subscription: int, items: list[tuple[int, str]]
    ) -> list[tuple[int, str]]:
        """Create monitored items, in calls the server can take.

        Parameters
        ----------
        subscription : int
        items : list of (handle, address)

        Returns
        -------
        list of (handle, reason)
            Items that the server refused.
        """
        refused: list[tuple[int, str]] = []
        plain: list[tuple[int, str]] = []
        size = self._config.items_per_call_max
        start = 0
        while start < len(items):
            chunk = items[start : start + size]
            try:
                results = await self._create_items(subscription, chunk, filtered=True)
            except BadTooManyOperations:
                if size == 1:
                    raise SourceUnavailable("cannot monitor: got a limit of no items") from None
                size = max(1, size // 2)
                continue
            start += len(chunk)
            for item, status in zip(chunk, results, strict=True):
                if status.value in _FILTER_REFUSED:
                    plain.append(item)
                elif not status.is_good():
                    refused.append((item[0], f"got {status.name}"))
        for chunk in chunks(plain, size):
            results = await self._create_items(subscription, chunk, filtered=False)
            refused += [
                (item[0], f"got {status.name}")
                for item, status in zip(chunk, results, strict=True)
                if not status.is_good()
            ]
        return refused

    async def _create_items(
        self, subscription: int, items: list[tuple[int, str]], *, filtered: bool
    ) -> list[Any]:
        parameters = ua.CreateMonitoredItemsParameters()
        parameters.SubscriptionId = subscription
        parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        known = [(handle, self.nodes.node_id(address)) for handle, address in items]
        for handle, node_id in known:
            if node_id is None:
                continue
            item = ua.MonitoredItemCreateRequest()
            item.ItemToMonitor.NodeId = node_id
            item.ItemToMonitor.AttributeId = ua.AttributeIds.Value
            item.MonitoringMode = ua.MonitoringMode.Reporting
            item.RequestedParameters.ClientHandle = handle
            item.RequestedParameters.SamplingInterval = self._config.sampling_interval_ms
            item.RequestedParameters.QueueSize = self._config.queue_size
            item.RequestedParameters.DiscardOldest = True
            if filtered:
                change = ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValueTimestamp)
                item.RequestedParameters.Filter = change
            parameters.ItemsToCreate.append(item)
        results = []
        if parameters.ItemsToCreate:
            session = self._client.uaclient.session
            results = await call(self._config.url, session.create_monitored_items(parameters))
        answers = iter(results)
        absent = ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown)
        return [absent if node_id is None else next(answers).StatusCode for _, node_id in known]

    async def publish(self, acknowledge: Iterable[tuple[int, int]]) -> Notification | None:
        """Ask for one notification message; acknowledges (subscription, sequence) pairs.

        Returns
        -------
        Notification or None
            None when the server asked to come again with fewer requests.

        Raises
        ------
        SubscriptionLost
            If the server knows no subscription of ours.
        SourceUnavailable
            If the connection is lost.
        """
        request = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements = [
            ua.SubscriptionAcknowledgement(SubscriptionId=s, SequenceNumber=n)
            for s, n in acknowledge
        ]
        while True:
            try:
                body = bytes(await self._send(request, timeout=0))
                break
            except BadTimeout:
                request = ua.PublishRequest()
            except BadTooManyPublishRequests:
                return None
            except BadNoSubscription as error:
                raise SubscriptionLost(cannot("publish", self._config.url, error)) from error
            except LOST as error:
                raise SourceUnavailable(cannot("publish", self._config.url, error)) from error
        try:
            return decode_publish(body)
        except Unusual:
            return self._decode_general(body)

    async def republish(self, subscription: int, sequence: int) -> Notification | None:
        """Ask for a missed notification message again; None when the server has it no more."""
        request = ua.RepublishRequest()
        request.Parameters.SubscriptionId = subscription
        request.Parameters.RetransmitSequenceNumber = sequence
        try:
            body = bytes(await self._send(request))
        except (BadMessageNotAvailable, BadSubscriptionIdInvalid):
            return None
        except LOST as error:
            raise SourceUnavailable(cannot("republish", self._config.url, error)) from error
        try:
            message = decode_publish(body)
        except Unusual:
            message = self._decode_general(body)
        if message.sequence != sequence or not message.data:
            return None
        message.subscription = subscription
        return message

    def _decode_general(self, body: bytes) -> Notification:
        try:
            return decode_general(body, self.structures)
        except ValueError as error:
            raise SourceUnavailable(cannot("read answer", self._config.url, error)) from error

    @property
    def notice(self) -> str:
        """What a person should know about the way to the server; mostly nothing."""
        return self._guard.notice

    async def _begin(self) -> None:
        await self._open_channel()
        await self._client.create_session()
        await self._guard.activate(self._client)

    async def _open_channel(self) -> None:
        await self._client.connect_socket()
        await self._client.send_hello()
        await self._client.open_secure_channel()
        await self._stop_renewal()
        self._renewal = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        """Renew the channel's token at three quarters of its life (OPC 10000-4, 5.5.2)."""
        try:
            while True:
                await self._clock.sleep(self._client.secure_channel_timeout * 0.75 / 1000)
                await self._client.open_secure_channel(renew=True)
        except LOST as error:
            _log.warning("cannot renew secure channel of %s: %s", self._config.url, error)

    async def _stop_renewal(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._renewal
            self._renewal = None

    def _drop_transport(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
        self._client.disconnect_socket()

    async def _send(self, request: Any, timeout: float | None = None) -> Buffer:  # noqa: ASYNC109
        protocol = self._client.uaclient.protocol
        if protocol is None:
            raise ConnectionError("not connected")
        return await protocol.send_request(request, timeout)
