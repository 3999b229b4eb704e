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
from asyncua.ua.uaerrors import (
    BadCommunicationError,
    BadConnectionClosed,
    BadMessageNotAvailable,
    BadNoSubscription,
    BadRequestTimeout,
    BadSubscriptionIdInvalid,
    BadTimeout,
    BadTooManyPublishRequests,
)

from connectors.connector import Clock, ConnectorError, SourceUnavailable
from connectors.opcua.address_space import AddressSpace
from connectors.opcua.calls import LOST, cannot
from connectors.opcua.config import OpcUaConfig
from connectors.opcua.general import decode_general
from connectors.opcua.notification import Notification, Unusual, decode_publish
from connectors.opcua.security import Guard
from connectors.opcua.structures import Structures
from connectors.opcua.subscriptions import Subscriptions

ua: Any = asyncua_ua  # half of its names are not exported for type checkers

_RESUMES_MAX = 3
_log = logging.getLogger(__name__)


class _OneLine(logging.Filter):
    """A broken message of a server is told of in a line: where the library was is of no use."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info:
            record.msg, record.args = f"{record.getMessage()}: {record.exc_info[1]}"[:500], ()
            record.exc_info = None
        return True


logging.getLogger("asyncua.client.ua_client.UASocketProtocol").addFilter(_OneLine())


class SessionLost(SourceUnavailable):
    """The server no longer knows our session; a new one is needed."""


class SubscriptionLost(SourceUnavailable):
    """The server no longer knows a subscription.

    Attributes
    ----------
    ids : tuple of int
        Which ones; empty for all of the session.
    """

    def __init__(self, text: str, ids: tuple[int, ...] = ()) -> None:
        super().__init__(text)
        self.ids = ids


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
        self._resumes = 0  # that the line broke, one after the other
        self._renewal: asyncio.Task[None] | None = None
        self._guard = Guard(config.url, config.security, config.user, clock)
        self.nodes = AddressSpace(self._client, config)
        self.structures = Structures(self.nodes)
        self.subscriptions = Subscriptions(config, self.nodes, self.send)

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
        SessionLost
            If it was reached and no longer knows the session.
        """
        self._drop_transport()
        try:
            await self._open_channel()
        except LOST as error:
            self._drop_transport()
            if await self._guard.changed(self._client):
                raise SessionLost(cannot("resume session", self._config.url, error)) from error
            raise SourceUnavailable(cannot("connect", self._config.url, error)) from error
        try:
            self._client.uaclient.session.rebind_authentication_token()
            await self._guard.activate(self._client)
        except LOST as error:
            self._drop_transport()
            self._resumes += 1
            text = cannot("resume session", self._config.url, error)
            if _broken(error) and self._resumes < _RESUMES_MAX:
                raise SourceUnavailable(text) from error
            raise SessionLost(text) from error
        self._resumes = 0

    async def close(self, *, keep_subscriptions: bool = False) -> None:
        """Close the session, as far as the server still listens.

        Parameters
        ----------
        keep_subscriptions : bool
            Leave them to a session that takes them over within their lifetime.
        """
        await self._stop_renewal()
        with contextlib.suppress(*LOST):
            self._client.uaclient.request_disconnect()
            await self._client.uaclient.close_session(not keep_subscriptions)
            await self._client.close_secure_channel()
        self._drop_transport()

    async def publish(self, acknowledge: Iterable[tuple[int, int]]) -> Notification | None:
        """Ask for one notification message; acknowledges (subscription, sequence) pairs.

        Returns
        -------
        Notification or None
            None when the server asked to come again with fewer requests.

        Raises
        ------
        SubscriptionLost
            If the server knows no subscription of the session.
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
                body = bytes(await self.send(request, timeout=0))
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
            body = bytes(await self.send(request))
        except BadMessageNotAvailable:
            return None
        except (BadSubscriptionIdInvalid, BadNoSubscription) as error:
            text = cannot("republish", self._config.url, error)
            raise SubscriptionLost(text, (subscription,)) from error
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

    async def send(self, request: Any, timeout: float | None = None) -> Buffer:  # noqa: ASYNC109
        """Body of the answer to a request; asyncua's errors as they are."""
        protocol = self._client.uaclient.protocol
        if protocol is None:
            raise ConnectionError("not connected")
        return await protocol.send_request(request, timeout)


def _broken(error: BaseException) -> bool:
    """Whether the line broke, rather than that the server answered."""
    silent = (BadTimeout, BadRequestTimeout, BadConnectionClosed, BadCommunicationError)
    return isinstance(error, (OSError, asyncio.TimeoutError, *silent))
