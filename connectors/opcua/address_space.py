"""Nodes of a session: ids with stable namespaces, attributes, supertypes."""

from collections.abc import Mapping, Sequence
from typing import Any

from asyncua import ua as asyncua_ua
from asyncua.client.client import Client
from asyncua.ua import NodeId
from asyncua.ua.uaerrors import UaError

from connectors.connector import ConfigError
from connectors.opcua.browsing import Browser, local
from connectors.opcua.calls import Pieces
from connectors.opcua.config import OpcUaConfig
from connectors.opcua.limits import NODES, START_TIME, ServerLimits, limits_of

ua: Any = asyncua_ua  # half of its names are not exported for type checkers


class AddressSpace:
    """The server's nodes as one session sees them.

    Parameters
    ----------
    client : asyncua Client
    config : OpcUaConfig

    Attributes
    ----------
    namespaces : list of str
        The server's table; node ids are only right with it.
    aliases : mapping of str to str
        Addresses that are not node ids: address -> node id with its namespace's uri.
    limits : ServerLimits
    started : str
        When the server was started, as it says; empty when it does not.
    """

    def __init__(self, client: Client, config: OpcUaConfig) -> None:
        self._client = client
        self._session = client.uaclient.session
        self._config = config
        self._reads = Pieces(config.url, config.items_per_call_max)
        self._browses = Pieces(config.url, config.items_per_call_max)
        self.browser = Browser(self._session, self._browses)
        self.namespaces: list[str] = []
        self.aliases: Mapping[str, str] = {}
        self.limits = ServerLimits()
        self.started = ""

    @property
    def service(self) -> Any:
        """Door of asyncua to the services of this session."""
        return self._session

    async def load(self) -> None:
        """Read the namespace table, what the server takes in one call, and since when it runs."""
        self.namespaces = list(await self._client.get_namespace_array())
        *found, started = await self.read([*NODES, START_TIME], "Value")
        self.limits = limits_of(found)
        self.started = "" if started is None else str(started)
        self._reads.limit(self.limits.nodes_per_read)
        self._browses.limit(self.limits.nodes_per_browse)

    def address_of(self, node_id: NodeId) -> str:
        """Node id as text, with the namespace's uri instead of its number."""
        text = str(node_id.to_string())
        index = node_id.NamespaceIndex
        if not index or index >= len(self.namespaces):
            return text
        return f"nsu={self.namespaces[index]};{text.split(';', 1)[1]}"

    def node_id(self, address: str) -> NodeId | None:
        """Node id of an address in this session; None when the server lacks its namespace."""
        address = self.aliases.get(address, address)
        try:
            if not address.startswith("nsu="):
                return NodeId.from_string(address)
            uri, _, rest = address[4:].partition(";")
            if uri not in self.namespaces:
                return None
            return NodeId.from_string(f"ns={self.namespaces.index(uri)};{rest}")
        except (UaError, ValueError) as error:
            raise ConfigError(f"cannot use node id: got {address!r}, want ns=2;s=x") from error

    def normal(self, address: str) -> str:
        """Address with its namespace's uri, whichever way it was written."""
        node_id = self.node_id(address)
        return address if node_id is None else self.address_of(node_id)

    def local(self, node_id: Any) -> NodeId | None:
        """Plain node id of a reference's target; None when it lives in another server."""
        return local(node_id, self.namespaces)

    async def read(self, addresses: Sequence[str], attribute: str) -> list[Any]:
        """Read one attribute of many nodes, None where it cannot be read."""
        known = [(i, node_id) for i, a in enumerate(addresses) if (node_id := self.node_id(a))]
        found: list[Any] = [None] * len(addresses)

        async def serve(chunk: Sequence[NodeId]) -> Sequence[Any]:
            identifier = ua.AttributeIds[attribute]
            results: Sequence[Any] = await self._session.read_attributes(list(chunk), identifier)
            return results

        values = await self._reads.run([node_id for _, node_id in known], serve)
        for (index, _), value in zip(known, values, strict=True):
            good = value.StatusCode is None or value.StatusCode.is_good()
            if good and value.Value is not None:
                found[index] = value.Value.Value
        return found

    async def parent_type(self, type_address: str) -> str | None:
        """Address of the supertype of a type."""
        node_id = self.node_id(type_address)
        if node_id is None:
            return None
        found, _ = await self.browser.follow([node_id], (ua.ObjectIds.HasSubtype,), inverse=True)
        for reference in found[0]:
            parent = self.local(reference.NodeId)
            return None if parent is None else self.address_of(parent)
        return None
