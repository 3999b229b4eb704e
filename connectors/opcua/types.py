"""Which value type a node declares: says in which series a value that is null belongs."""

from connectors.opcua.address_space import AddressSpace
from connectors.opcua.items import Item, Registry
from storage_engine.sample import ValueType

_DEPTH_MAX = 16
# Data types of the standard namespace; subtypes are traced back to one of these.
_BUILT_IN = {
    "i=1": ValueType.BOOL,
    "i=9": ValueType.UINT64,
    "i=10": ValueType.FLOAT32,
    "i=11": ValueType.FLOAT64,
    "i=12": ValueType.SYMBOL,
    "i=13": ValueType.INT64,
    "i=14": ValueType.SYMBOL,
    "i=15": ValueType.BYTES,
    "i=16": ValueType.TEXT,
    "i=17": ValueType.SYMBOL,
    "i=18": ValueType.SYMBOL,
    "i=19": ValueType.INT64,
    "i=20": ValueType.SYMBOL,
    "i=21": ValueType.SYMBOL,
    "i=26": ValueType.FLOAT64,
    "i=29": ValueType.INT64,
    **dict.fromkeys(("i=2", "i=3", "i=4", "i=5", "i=6", "i=7", "i=8"), ValueType.INT64),
    **dict.fromkeys(("i=27", "i=28"), ValueType.INT64),
}


class TypeTable:
    """Declared types of nodes, subtypes resolved once."""

    def __init__(self, nodes: AddressSpace, registry: Registry) -> None:
        self._nodes = nodes
        self._registry = registry
        self._known: dict[str, ValueType | None] = dict(_BUILT_IN)

    async def fill(self, items: list[Item]) -> None:
        """Set the type of items whose node declares one."""
        declared = await self._nodes.read([item.address for item in items], "DataType")
        for item, node_id in zip(items, declared, strict=True):
            if node_id is not None:
                type_ = await self._resolve(self._nodes.address_of(node_id))
                self._registry.declare(item, type_)

    async def _resolve(self, address: str) -> ValueType | None:
        path: list[str] = []
        at: str | None = address
        while at is not None and at not in self._known and len(path) < _DEPTH_MAX:
            path.append(at)
            at = await self._nodes.parent_type(at)
        found = None if at is None else self._known.get(at)
        self._known.update(dict.fromkeys(path, found))
        return found
