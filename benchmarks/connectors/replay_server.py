"""A source that plays encoded notifications, as fast as it is asked, and the collector's far side.

The library's codec serves what comes before: channel, session, subscriptions, items. Answers to
Publish requests are bytes made beforehand.
"""

import asyncio
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from asyncua import ua as asyncua_ua
from asyncua.common.connection import SecureConnection, TransportLimits
from asyncua.common.utils import Buffer
from asyncua.crypto.security_policies import (
    SecurityPolicyBasic256Sha256,
    SecurityPolicyFactory,
    SecurityPolicyNone,
    sign_asymmetric,
)
from asyncua.ua.ua_binary import (
    header_from_binary,
    nodeid_from_binary,
    struct_from_binary,
    struct_to_binary,
    uatcp_to_binary,
)
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_der_x509_certificate

from benchmarks import harness
from benchmarks.connectors import publishes
from historian.collector.testing import FarSide

ua: Any = asyncua_ua  # half of its names are not exported for type checkers

NAMESPACE = "urn:bench"
_KEEPALIVE_S = 0.02
_SECURE = ua.MessageSecurityMode.SignAndEncrypt


@dataclass(frozen=True)
class Manner:
    """How a recording is played.

    Attributes
    ----------
    items, cycles : int
        The recording.
    rows : int
        Most rows of a message.
    pace_s : float
        Time of a cycle; 0 as fast as asked.
    certificate, key : bytes
        With them (DER, PEM) the channel is signed and encrypted, Basic256Sha256.
    """

    items: int
    cycles: int
    rows: int
    pace_s: float = 0.0
    certificate: bytes = b""
    key: bytes = b""


def _name(request: Any) -> int:
    return int(getattr(ua.ObjectIds, f"{request.__name__}_Encoding_DefaultBinary"))


def _browse(body: Any) -> Any:
    """Nodes without references."""
    wanted = struct_from_binary(ua.BrowseParameters, body)
    response = ua.BrowseResponse()
    response.Results = [ua.BrowseResult() for _ in wanted.NodesToBrowse]
    return response


class Player:
    """Serves one client: its items in the order of creation are the items of the recording.

    Parameters
    ----------
    conn : Connection
        Tells when all items are monitored and when all is acknowledged; is told when to begin.
    found : Values
        The recording.
    manner : Manner
    """

    def __init__(self, conn: Connection, found: publishes.Values, manner: Manner) -> None:
        self._conn = conn
        self._found = found
        self._manner = manner
        self._items = manner.items
        self._rows = manner.rows
        self._handles: list[tuple[int, int]] = []  # (subscription, client handle)
        self._subscriptions = 0
        self._requests: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        self._acknowledged = 0
        self._services = {
            _name(ua.CreateSessionRequest): self._create_session,
            _name(ua.CreateSubscriptionRequest): self._create_subscription,
            _name(ua.CreateMonitoredItemsRequest): self._monitor,
            _name(ua.ReadRequest): self._read,
            _name(ua.BrowseRequest): _browse,
            _name(ua.GetEndpointsRequest): self._endpoints,
            _name(ua.ActivateSessionRequest): lambda _: ua.ActivateSessionResponse(),
            _name(ua.CloseSessionRequest): lambda _: ua.CloseSessionResponse(),
            _name(ua.DeleteSubscriptionsRequest): lambda _: ua.DeleteSubscriptionsResponse(),
        }
        self.begin = asyncio.Event()
        self.far = FarSide()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; it ends with its client."""
        limits = TransportLimits()
        channel = SecureConnection(SecurityPolicyNone(), limits)
        channel.set_policy_factories(self._policies())
        playing = asyncio.create_task(self._play(channel, writer))
        try:
            while True:
                head = await reader.readexactly(8)
                size = int.from_bytes(head[4:8], "little")
                data = Buffer(head + await reader.readexactly(size - 8))
                message = channel.receive_from_header_and_body(header_from_binary(data), data)
                if isinstance(message, ua.Hello):
                    found = limits.create_acknowledge_and_set_limits(message)
                    writer.write(uatcp_to_binary(ua.MessageType.Acknowledge, found))
                elif message is not None:
                    self._answer(channel, writer, message)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
        finally:
            playing.cancel()

    def get_new_channel_id(self) -> int:
        """As the library's channel asks for it."""
        return 1

    def _answer(self, channel: Any, writer: asyncio.StreamWriter, message: Any) -> None:
        body, request_id = message.body(), message.SequenceHeader().RequestId
        kind = nodeid_from_binary(body.copy()).Identifier
        if kind == _name(ua.OpenSecureChannelRequest):
            opened = struct_from_binary(ua.OpenSecureChannelRequest, body)
            response = ua.OpenSecureChannelResponse()
            response.Parameters = channel.open(opened.Parameters, self)
            response.ResponseHeader.RequestHandle = opened.RequestHeader.RequestHandle
            data = struct_to_binary(response)
            writer.write(channel.message_to_binary(data, ua.MessageType.SecureOpen, request_id))
            return
        if kind == _name(ua.PublishRequest):
            published = struct_from_binary(ua.PublishRequest, body)
            self._acknowledged += len(published.Parameters.SubscriptionAcknowledgements)
            self._requests.put_nowait((published.RequestHeader.RequestHandle, request_id))
            return
        nodeid_from_binary(body)
        head = struct_from_binary(ua.RequestHeader, body)
        service = self._services.get(kind)
        response = ua.ServiceFault() if service is None else service(body)
        if service is None:  # Republish: all that was sent is on its way
            fault = ua.StatusCode(ua.StatusCodes.BadMessageNotAvailable)
            response.ResponseHeader.ServiceResult = fault
        response.ResponseHeader.RequestHandle = head.RequestHandle
        writer.write(channel.message_to_binary(struct_to_binary(response), request_id=request_id))

    def _create_session(self, body: Any) -> Any:
        wanted = struct_from_binary(ua.CreateSessionParameters, body)
        response = ua.CreateSessionResponse()
        key = self._key()
        if key is not None:
            data = (wanted.ClientCertificate or b"") + (wanted.ClientNonce or b"")
            policy = SecurityPolicyBasic256Sha256.URI
            signature, algorithm = sign_asymmetric(key, data, policy)
            response.Parameters.ServerSignature.Signature = signature
            response.Parameters.ServerSignature.Algorithm = algorithm
            response.Parameters.ServerCertificate = self._manner.certificate
        found = response.Parameters
        found.SessionId, found.AuthenticationToken = ua.NodeId(1, 1), ua.NodeId(2, 1)
        found.RevisedSessionTimeout = wanted.RequestedSessionTimeout
        found.ServerNonce = bytes(32)
        found.ServerEndpoints = [self._endpoint(wanted.EndpointUrl)]
        return response

    def _key(self) -> Any:
        key = self._manner.key
        return load_pem_private_key(key, None) if key else None

    def _policies(self) -> list[Any]:
        plain = SecurityPolicyFactory(SecurityPolicyNone, ua.MessageSecurityMode.None_)
        if not self._manner.key:
            return [plain]
        own = load_der_x509_certificate(self._manner.certificate)
        return [
            plain,
            SecurityPolicyFactory(SecurityPolicyBasic256Sha256, _SECURE, own, self._key()),
        ]

    def _endpoint(self, url: str) -> Any:
        secure = bool(self._manner.key)
        token = ua.UserTokenPolicy(PolicyId="anonymous", TokenType=ua.UserTokenType.Anonymous)
        policy: Any = SecurityPolicyBasic256Sha256 if secure else SecurityPolicyNone
        found = ua.EndpointDescription(
            EndpointUrl=url,
            SecurityMode=_SECURE if secure else ua.MessageSecurityMode.None_,
            SecurityPolicyUri=policy.URI,
            UserIdentityTokens=[token],
            ServerCertificate=self._manner.certificate or None,
        )
        found.Server.ApplicationUri = NAMESPACE
        return found

    def _endpoints(self, body: Any) -> Any:
        wanted = struct_from_binary(ua.GetEndpointsParameters, body)
        response = ua.GetEndpointsResponse()
        response.Endpoints = [self._endpoint(wanted.EndpointUrl)]
        return response

    def _create_subscription(self, body: Any) -> Any:
        wanted = struct_from_binary(ua.CreateSubscriptionParameters, body)
        response = ua.CreateSubscriptionResponse()
        self._subscriptions += 1
        found = response.Parameters
        found.SubscriptionId = self._subscriptions
        found.RevisedPublishingInterval = wanted.RequestedPublishingInterval
        found.RevisedLifetimeCount = wanted.RequestedLifetimeCount
        found.RevisedMaxKeepAliveCount = wanted.RequestedMaxKeepAliveCount
        return response

    def _monitor(self, body: Any) -> Any:
        wanted = struct_from_binary(ua.CreateMonitoredItemsParameters, body)
        response = ua.CreateMonitoredItemsResponse()
        for item in wanted.ItemsToCreate:
            asked = item.RequestedParameters
            if item.ItemToMonitor.AttributeId != ua.AttributeIds.Value:
                refused = ua.StatusCode(ua.StatusCodes.BadAttributeIdInvalid)
                response.Results.append(ua.MonitoredItemCreateResult(StatusCode=refused))
                continue
            self._handles.append((wanted.SubscriptionId, asked.ClientHandle))
            response.Results.append(
                ua.MonitoredItemCreateResult(
                    MonitoredItemId=len(self._handles), RevisedQueueSize=asked.QueueSize
                )
            )
        if len(self._handles) == self._items:
            self._conn.send("monitored")
        return response

    def _read(self, body: Any) -> Any:
        wanted = struct_from_binary(ua.ReadParameters, body)
        response = ua.ReadResponse()
        for each in wanted.NodesToRead:
            value: Any = ua.Variant(0, ua.VariantType.Int32)
            if each.AttributeId == ua.AttributeIds.DataType:
                value = ua.Variant(ua.NodeId(11))
            elif each.AttributeId in {ua.AttributeIds.DisplayName, ua.AttributeIds.Description}:
                value = ua.Variant(ua.LocalizedText(str(each.NodeId.Identifier)))
            elif each.NodeId == ua.NodeId(ua.ObjectIds.Server_NamespaceArray):
                value = ua.Variant(["http://opcfoundation.org/UA/", "urn:server", NAMESPACE])
            response.Results.append(ua.DataValue(value))
        return response

    def _messages(self) -> list[tuple[int, bytes]]:
        """(subscription, notification) of the recording, cycle by cycle."""
        pairs = np.array(self._handles, np.uint32)
        messages = []
        for cycle in range(0, len(self._found.handle), self._items):
            for subscription in range(1, self._subscriptions + 1):
                own = np.flatnonzero(pairs[:, 0] == subscription)
                for at in range(0, len(own), self._rows):
                    chosen = own[at : at + self._rows]
                    part = publishes.Values(*(c[cycle + chosen] for c in self._found))
                    part = part._replace(handle=pairs[chosen, 1])
                    messages.append((subscription, publishes.notification(part)))
        return messages

    async def _play(self, channel: Any, writer: asyncio.StreamWriter) -> None:
        await self.begin.wait()
        messages = self._messages()
        sequence = dict.fromkeys(range(1, self._subscriptions + 1), 0)
        start_s, each = time.monotonic(), len(messages) // self._manner.cycles
        for place, (subscription, part) in enumerate(messages):
            ahead_s = start_s + place // each * self._manner.pace_s - time.monotonic()
            if self._manner.pace_s and ahead_s > 0:
                await asyncio.sleep(ahead_s)
            sequence[subscription] += 1
            await self._publish(channel, writer, subscription, sequence[subscription], part)
        while True:  # what is durable is acknowledged with the next request
            await asyncio.sleep(_KEEPALIVE_S)
            if self._acknowledged >= len(messages):
                self._conn.send("acknowledged")
                return
            await self._publish(channel, writer, 1, sequence[1] + 1)

    async def _publish(
        self, channel: Any, writer: asyncio.StreamWriter, subscription: int, number: int,
        part: bytes = b"",
    ) -> None:  # fmt: skip
        request, request_id = await self._requests.get()
        body = publishes.response(request, subscription, number, part)
        writer.write(channel.message_to_binary(body, request_id=request_id))
        await writer.drain()

    async def stored(self) -> str:
        """Wait until the far side has every row, and compare; what differs, or nothing."""
        want = self._found
        frames = self.far.frames
        while sum(f.envelope.row_count for f in frames) < len(want.handle):  # noqa: ASYNC110
            await asyncio.sleep(_KEEPALIVE_S)
        slots = {one.slot: one.address for frame in frames for one in frame.declarations}
        item = np.zeros(len(slots), np.uint32)
        for slot, address in slots.items():
            item[slot] = int(address.rpartition("tag")[2])
        sections = [section for frame in frames for section in frame.samples]
        handle = item[np.concatenate([section.slot for section in sections])]
        order = np.argsort(handle, kind="stable")
        wanted = np.argsort(want.handle, kind="stable")
        sides = {
            "items": (handle, want.handle),
            "values": (np.concatenate([section.value.value for section in sections]), want.value),
            "status": (np.concatenate([section.quality for section in sections]), want.status),
            "times": (np.concatenate([s.timestamp_ns for s in sections]), want.source_ns),
        }
        return ", ".join(
            name
            for name, (mine, theirs) in sides.items()
            if not np.array_equal(mine[order], theirs[wanted])
        )


def serve(conn: Connection, manner: Manner, core: int) -> None:
    """Be the server's process: ports first, then as told by ``begin``, ``stored`` and ``stop``."""
    harness.pin({core})
    asyncio.run(_serve(conn, manner))


async def _serve(conn: Connection, manner: Manner) -> None:
    player = Player(conn, publishes.values(manner.items, manner.cycles), manner)
    server = await asyncio.start_server(player.serve, "127.0.0.1", 0)
    async with player.far.serving():
        conn.send((server.sockets[0].getsockname()[1], player.far.url))
        while (told := await asyncio.to_thread(conn.recv)) != "stop":
            if told == "begin":
                player.begin.set()
            elif told == "stored":
                conn.send(await player.stored())
        server.close()
