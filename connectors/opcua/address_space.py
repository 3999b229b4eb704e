"""Finding nodes: ids with stable namespaces, browsing, attributes."""

from typing import Any

from asyncua import ua as asyncua_ua
from asyncua.client.client import Client
from asyncua.ua import NodeId
from asyncua.ua.uaerrors import UaError

from connectors.connector import ConfigError
from connectors.opcua.calls import call, chunks
from connectors.opcua.config import OpcUaConfig

ua: Any = asyncua_ua  # half of its names are not exported for type checkers


class AddressSpace:
    """The server's nodes as one session sees them.

    Parameters
    ----------
    client : asyncua Client
    config : OpcUaConfig
    """

    def __init__(self, client: Client, config: OpcUaConfig) -> None:
        self._client = client
        self._session = client.uaclient.session
        self._config = config
        self.namespaces: list[str] = []

    async def load(self) -> None:
        """Read the namespace table; node ids are only right with it."""
        self.namespaces = list(await self._client.get_namespace_array())

    def address_of(self, node_id: NodeId) -> str:
        """Node id as text, with the namespace's uri instead of its number."""
        text = str(node_id.to_string())
        index = node_id.NamespaceIndex
        if not index or index >= len(self.namespaces):
            return text
        return f"nsu={self.namespaces[index]};{text.split(';', 1)[1]}"

    def node_id(self, address: str) -> NodeId | None:
        """Node id of an address in this session; None when the server lacks its namespace."""
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

    async def read(self, addresses: list[str], attribute: str) -> list[Any]:
        """Read one attribute of many nodes, None where it cannot be read."""
        known = [(i, node_id) for i, a in enumerate(addresses) if (node_id := self.node_id(a))]
        found: list[Any] = [None] * len(addresses)
        for chunk in chunks(known, self._config.items_per_call_max):
            values = await call(
                self._config.url,
                self._session.read_attributes(
                    [node_id for _, node_id in chunk], ua.AttributeIds[attribute]
                ),
            )
            for (index, _), value in zip(chunk, values, strict=True):
                if value.StatusCode.is_good() and value.Value is not None:
                    found[index] = value.Value.Value
        return found

    async def variables(self, root: str, depth: int, namespace: str) -> list[str]:
        """Addresses of all variables below a node, in the order of the server's references."""
        start = self.node_id(root)
        level = [] if start is None else [start]
        seen = set(level)
        found: list[str] = []
        for _ in range(depth):
            following: list[NodeId] = []
            for chunk in chunks(level, self._config.items_per_call_max):
                for reference in await self._browse(chunk):
                    node_id = _local(reference.NodeId)
                    if node_id is None or node_id in seen:
                        continue
                    seen.add(node_id)
                    following.append(node_id)
                    if reference.NodeClass is ua.NodeClass.Variable and self._wanted(
                        node_id, namespace
                    ):
                        found.append(self.address_of(node_id))
            level = following
        return found

    def _wanted(self, node_id: NodeId, namespace: str) -> bool:
        index = node_id.NamespaceIndex
        if not namespace:
            return bool(index)
        return index < len(self.namespaces) and self.namespaces[index] == namespace

    async def _browse(self, node_ids: list[NodeId]) -> list[Any]:
        """Organizes, HasComponent and their like, forward, to objects and variables."""
        session = self._session
        parameters = ua.BrowseParameters()
        for node_id in node_ids:
            for type_id in (ua.ObjectIds.Organizes, ua.ObjectIds.Aggregates):
                wanted = ua.BrowseDescription()
                wanted.NodeId = node_id
                wanted.BrowseDirection = ua.BrowseDirection.Forward
                wanted.ReferenceTypeId = ua.NodeId(type_id)
                wanted.IncludeSubtypes = True
                wanted.NodeClassMask = ua.NodeClass.Object | ua.NodeClass.Variable
                wanted.ResultMask = ua.BrowseResultMask.All
                parameters.NodesToBrowse.append(wanted)
        results = await call(self._config.url, session.browse(parameters))
        found: list[Any] = []
        while results:
            points = []
            for result in results:
                found += result.References or ()
                if result.ContinuationPoint:
                    points.append(result.ContinuationPoint)
            results = []
            if points:
                following = ua.BrowseNextParameters()
                following.ReleaseContinuationPoints = False
                following.ContinuationPoints = points
                results = await call(self._config.url, session.browse_next(following))
        has_property = ua.NodeId(ua.ObjectIds.HasProperty)
        return [each for each in found if each.ReferenceTypeId != has_property]

    async def parent_type(self, type_address: str) -> str | None:
        """Address of the supertype of a data type."""
        node_id = self.node_id(type_address)
        if node_id is None:
            return None
        wanted = ua.BrowseDescription()
        wanted.NodeId = node_id
        wanted.BrowseDirection = ua.BrowseDirection.Inverse
        wanted.ReferenceTypeId = ua.NodeId(ua.ObjectIds.HasSubtype)
        parameters = ua.BrowseParameters()
        parameters.NodesToBrowse = [wanted]
        results = await call(self._config.url, self._session.browse(parameters))
        for reference in results[0].References or ():
            parent = _local(reference.NodeId)
            return None if parent is None else self.address_of(parent)
        return None


def _local(node_id: Any) -> NodeId | None:
    """Plain node id of a reference's target; None when it lives in another server."""
    if getattr(node_id, "ServerIndex", 0) or getattr(node_id, "NamespaceUri", None):
        return None
    return NodeId(node_id.Identifier, node_id.NamespaceIndex, node_id.NodeIdType)
