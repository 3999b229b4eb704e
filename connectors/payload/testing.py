"""Messages through mappings as a connector sends them, for tests."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.payload.config import read_mappings
from connectors.payload.mapping import Mapper
from connectors.settings import Table
from connectors.sink import Reject, SourceItem
from connectors.testing import RecordingSink

RECEIVED_NS = 1_795_348_376_500_000_000  # 2026-11-22T11:52:56.5Z


@dataclass(frozen=True, slots=True)
class Mapped:
    """What became of messages."""

    sink: RecordingSink
    rejects: tuple[Reject, ...]
    items: tuple[SourceItem, ...]
    counts: dict[str, int]

    @property
    def values(self) -> dict[str, object]:
        """Value by address; of several, the last."""
        return {address: value for address, _, _, value in self.sink.rows()}

    @property
    def events(self) -> list[dict[str, Any]]:
        """Vision events without the columns that are null."""
        return self.of_kind("vision_event")

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """Events of a kind without the columns that are null."""
        found = self.sink.events(kind)
        return [{k: v for k, v in event.items() if v is not None} for event in found]


def new_mapper(*mappings: Mapping[str, Any]) -> Mapper:
    """Give a mapper by ``[[mappings]]``."""
    return Mapper(read_mappings(Table({"mappings": list(mappings)}, "test").tables("mappings")))


def send(
    mapper: Mapper, messages: Iterable[tuple[str, object]], received_ns: int = RECEIVED_NS
) -> Mapped:
    """Map messages of (topic, payload), the payload as bytes or to become JSON."""
    for topic, payload in messages:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        mapper.add(topic, body, received_ns)
    batches, rejects = mapper.take()
    sink = RecordingSink()
    sink.batches += batches
    return Mapped(sink, rejects, mapper.take_items(), dict(mapper.counts))


def map_messages(
    mapping: Mapping[str, Any], *messages: tuple[str, object], received_ns: int = RECEIVED_NS
) -> Mapped:
    """Map messages by one mapping, from the beginning."""
    return send(new_mapper(mapping), messages, received_ns)
