"""What a convention is given and what it gives: a message, and the rows found in it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from connectors.payload.kinds import KINDS
from connectors.payload.values import Refused, canonical, leaves, shown, typed
from connectors.settings import Table
from connectors.sink import SourceItem
from storage_engine.sample import BAD_NO_DATA, GOOD, Column, ValueType

# Type, addresses, times, qualities and values of samples side by side.
Samples = tuple[ValueType, Sequence[str], Sequence[int], Sequence[int], Sequence[object]]
# Kind, columns, time, id and the values of the columns.
Event = tuple[str, tuple[Column, ...], int, bytes, list[Any]]
_ADDRESS_CHARACTERS_MAX = 1_000
_ROWS_MAX = 100_000  # of one message
_ATTRIBUTES_BYTES_MAX = 16 << 20  # of all its events


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it arrived."""

    topic: str
    payload: bytes
    received_ns: int

    @property
    def levels(self) -> list[str]:
        """Levels of the topic."""
        return self.topic.split("/")

    def json(self) -> object:
        """Decode the payload.

        Raises
        ------
        Refused
            If it is no JSON.
        """
        try:
            return orjson.loads(self.payload)
        except orjson.JSONDecodeError as error:
            raise Refused(f"cannot read message: got no JSON ({error}), want JSON") from None

    def object(self) -> dict[str, Any]:
        """Decode the payload, which must be an object."""
        found = self.json()
        if not isinstance(found, dict):
            raise Refused(f"cannot read message: got {shown(found)}, want an object")
        return found

    def text(self) -> str:
        """Decode the payload as UTF-8, without spaces around it."""
        try:
            return self.payload.decode().strip()
        except UnicodeDecodeError:
            raise Refused("cannot read message: got no UTF-8, want text") from None


class Found:
    """Rows of one message, kept only when the whole message could be mapped."""

    def __init__(self) -> None:
        self._samples: dict[ValueType, tuple[list[str], list[int], list[int], list[object]]] = {}
        self._count = 0
        self._attributes_bytes = 0
        self.events: list[Event] = []
        self.items: list[SourceItem] = []
        self.counts: Counter[str] = Counter()

    @property
    def samples(self) -> list[Samples]:
        """Samples, one entry per type."""
        return [(type_, *columns) for type_, columns in self._samples.items()]

    def sample(
        self,
        address: str,
        timestamp_ns: int,
        value: object,
        quality: int = GOOD,
        type_: ValueType | None = None,
    ) -> None:
        """Add a sample; the type follows from the value where none is given.

        Raises
        ------
        Refused
            If the value does not fit, the address is too long, or there are too many.
        """
        if not address or len(address) > _ADDRESS_CHARACTERS_MAX:
            want = f"1 to {_ADDRESS_CHARACTERS_MAX} characters"
            raise Refused(f"cannot use address: got {shown(address)}, want {want}")
        self._count += 1
        if self._count > _ROWS_MAX:
            raise Refused(f"cannot map message: got more than {_ROWS_MAX} values, want fewer")
        type_, converted = typed(type_, value, address)
        if converted is None and quality == GOOD:
            quality = BAD_NO_DATA
        columns = self._samples.get(type_)
        if columns is None:
            columns = self._samples[type_] = ([], [], [], [])
        columns[0].append(address)
        columns[1].append(timestamp_ns)
        columns[2].append(quality)
        columns[3].append(converted)

    def fields(self, base: str, value: object, timestamp_ns: int) -> None:
        """Add a sample per scalar below ``value``; a list of words is one value, joined by commas.

        Raises
        ------
        Refused
            As of :meth:`sample`, or when it is nested too deeply.
        """
        for key, leaf in leaves(value):
            address = f"{base}/{key}" if key else base
            if not isinstance(leaf, list):
                self.sample(address, timestamp_ns, leaf)
            elif all(isinstance(each, str) for each in leaf):
                self.sample(address, timestamp_ns, ",".join(leaf))
            else:
                self._list(address, leaf, timestamp_ns)

    def _list(self, address: str, values: list[object], timestamp_ns: int) -> None:
        for position, each in enumerate(values):
            if isinstance(each, list):
                raise Refused(f"cannot read {address[:80]!r}: got lists in lists, want values")
            self.fields(f"{address}.{position}", each, timestamp_ns)

    def event(self, kind: str, timestamp_ns: int, event_id: bytes, **values: object) -> None:
        """Add an event; columns not named are null, ``attributes`` may be a dict.

        Raises
        ------
        Refused
            If attributes cannot be written, or are too many of one message.
        """
        columns = KINDS[kind]
        unknown = values.keys() - {column.name for column in columns}
        assert not unknown, unknown
        attributes = values.get("attributes")
        if isinstance(attributes, dict):
            kept = {key: value for key, value in attributes.items() if value is not None}
            text = canonical(kept).decode() if kept else None
            values["attributes"] = text
            self._attributes_bytes += len(text or "")
            if self._attributes_bytes > _ATTRIBUTES_BYTES_MAX:
                want = f"at most {_ATTRIBUTES_BYTES_MAX} bytes of attributes"
                raise Refused(f"cannot map message: got more, want {want}")
        row = [values.get(column.name) for column in columns]
        self.events.append((kind, columns, timestamp_ns, event_id, row))


class Convention(Protocol):
    """A payload convention: knows its topics' shapes and its payloads' keys.

    ``map`` raises Refused for what does not fit, before it changes what it remembers.
    """

    timed: bool  # whether messages carry their time, so that retained ones are no new samples

    def __init__(self, table: Table) -> None: ...

    def map(self, message: Message, found: Found) -> None:
        """Put the rows of one message into ``found``."""
        ...
