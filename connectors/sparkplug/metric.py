"""A metric as its birth gave it, and what it is read from."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from connectors.sink import Reject
from connectors.sparkplug import decode
from connectors.sparkplug.decode import Payload
from storage_engine.sample import ValueType


@dataclass(slots=True)
class Metric:
    """A metric of a birth. A template has members, and no type of its own.

    ``elements`` is how many series an array has filled, when each element has its own.
    """

    name: str
    address: str
    datatype: int
    alias: int | None = None
    type: ValueType | None = None
    members: dict[str, "Metric"] = field(default_factory=dict)
    is_definition: bool = False
    elements: int = -1

    def leaves(self) -> Iterator[tuple[ValueType, str]]:
        """Type and address of each series."""
        if self.type is not None and self.elements >= 0:
            for k in range(self.elements):
                yield self.type, f"{self.address}[{k}]"
        elif self.type is not None:
            yield self.type, self.address
        for member in self.members.values():
            yield from member.leaves()


def reject(address: str, error: ValueError, payload: Payload, k: int) -> Reject:
    """Say why metric ``k`` of a payload cannot be taken."""
    at, end = payload.columns[decode.AT, k], payload.columns[decode.END, k]
    why = str(error)
    if isinstance(error, UnicodeDecodeError):
        why = f"got a text that is no UTF-8 at its byte {error.start}, want UTF-8"
    return Reject(address, f"cannot take metric: {why}", payload.raw[at:end])


def held(payload: Payload, k: int) -> tuple[int, int | bytes]:
    """Field and value of metric ``k``: bits of a number, or the bytes."""
    kind = int(payload.columns[decode.INFO, k]) >> 8 & 255
    bits = int(payload.columns[decode.BITS, k])
    if kind < 15:
        return kind, bits % (1 << 64)
    return kind, payload.raw[bits : bits + int(payload.columns[decode.SIZE, k])]


def whole(payload: Payload, k: int) -> bytes:
    """Bytes of metric ``k``."""
    return payload.raw[payload.columns[decode.AT, k] : payload.columns[decode.END, k]]
