"""United Manufacturing Hub: the classic ``_historian`` schema, and the one value of UMH Core."""

from connectors.payload.found import Found, Message
from connectors.payload.times import time_ns
from connectors.payload.values import Refused, leaves, shown
from connectors.settings import Table
from connectors.sink import SourceItem

_CORE_BYTES_MAX = 1 << 20
_TOLD_MAX = 100_000
_TIME = "timestamp_ms"


class _Placed:
    """Tells once of each address where it stands in the plant."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, found: Found, asset: str) -> None:
        for _, addresses, *_ in found.samples:
            for address in addresses:
                if address in self._told:
                    continue
                if len(self._told) >= _TOLD_MAX:
                    self._told.clear()  # telling twice is harmless
                self._told.add(address)
                found.items.append(SourceItem(address, facts={"asset": asset}))


def _levels(topic: str, prefix: list[str]) -> list[str]:
    """Levels behind ``umh/v1``; bridges from Kafka keep its dots."""
    levels = topic.split("/" if "/" in topic else ".")
    for start in range(len(levels) - 1):
        if levels[start : start + 2] == prefix:
            return levels[start + 2 :]
    raise Refused(f"cannot read topic: got {shown(topic)}, want umh/v1/ in it")


def _split(levels: list[str]) -> tuple[list[str], str, list[str]]:
    """Location, contract and what follows."""
    for position, level in enumerate(levels):
        if level.startswith("_") and position:
            return levels[:position], level, levels[position + 1 :]
    raise Refused("cannot read topic: got no level like _historian behind the location, want one")


class Umh:
    """Classic: every key but the time is a tag, nested objects are groups joined by ``$``.

    Addresses are ``<location>/<group>$<tag>``.
    """

    timed = True

    def __init__(self, table: Table) -> None:
        del table
        self._placed = _Placed()

    def map(self, message: Message, found: Found) -> None:
        """Map a payload of ``_historian``; other schemas are refused by name."""
        location, contract, groups = _split(_levels(message.topic, ["umh", "v1"]))
        if contract != "_historian":
            raise Refused(f"cannot map schema: got {shown(contract)}, want _historian")
        body = message.object()
        timestamp_ns = _time(body)
        asset = "/".join(location)
        group = "$".join(groups)
        tags = {key: value for key, value in body.items() if key != _TIME}
        if not tags:
            raise Refused(f"cannot read values: got nothing but {_TIME}, want tags")
        for key, value in leaves(tags, group, "$"):
            if isinstance(value, list):
                raise Refused(f"cannot read {key[:80]!r}: got a list, want a number or a word")
            found.sample(f"{asset}/{key}", timestamp_ns, value)
        self._placed.tell(found, asset)


class UmhCore:
    """Core: exactly a time and a value; the topic is the tag.

    Addresses are ``<location>/<contract>/<virtual path>/<name>``.
    """

    timed = True

    def __init__(self, table: Table) -> None:
        del table
        self._placed = _Placed()

    def map(self, message: Message, found: Found) -> None:
        """Map a time series payload; relational payloads are refused by name."""
        location, contract, name = _split(_levels(message.topic, ["umh", "v1"]))
        if not name:
            raise Refused("cannot read topic: got no name behind the contract, want one")
        if len(message.payload) > _CORE_BYTES_MAX:
            got = len(message.payload)
            raise Refused(f"cannot read message: got {got} bytes, want at most {_CORE_BYTES_MAX}")
        body = message.object()
        if body.keys() != {_TIME, "value"}:
            keys = shown(sorted(body))
            raise Refused(f"cannot map relational payload: got keys {keys}, want {_TIME}, value")
        value = body["value"]
        if not isinstance(value, bool | int | float | str):
            raise Refused(
                f"cannot read value: got {shown(value)}, want number, true, false or text"
            )
        address = "/".join((*location, contract, *name))
        found.sample(address, _time(body), value)
        self._placed.tell(found, "/".join(location))


def _time(body: dict[str, object]) -> int:
    try:
        return time_ns(body.get(_TIME), "ms")
    except ValueError as error:
        raise Refused(str(error)) from None
