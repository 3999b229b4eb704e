"""Messages in the quarantine: read back, mapped anew, and stored through the way of frames.

A message is replayed by a frame of a producer of its own, whose id follows from the quarantine
event. The engine knows that producer from then on: a second replay is a duplicate, and that is
also how a message is known to be replayed.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.connector import ConfigError
from connectors.payload.config import read_mappings
from connectors.payload.mapping import Mapper
from connectors.payload.path import topic_matches
from connectors.settings import Table
from historian.collector.frames import FrameBuilder, Part
from historian.collector.spool_files import Identity
from historian.errors import RequestInvalid
from historian.ingest import Ingest
from historian.ingest_events import normalise
from storage_engine.errors import InvalidArgument, LimitExceeded
from storage_engine.sample import EventBatch, EventColumns, SampleBatch

_EXAMPLES_MAX = 100

Batches = Sequence[SampleBatch | EventBatch]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages are meant; what is empty means all."""

    start_ns: int
    end_ns: int
    source: str = ""
    topic: str = ""  # an MQTT topic filter
    reason: str = ""  # part of it
    limit: int = 1_000


@dataclass(frozen=True, slots=True)
class Kept:
    """One entry of the quarantine.

    ``state`` is ``waiting``, ``replayed``, ``cut`` (only its beginning was kept, so it cannot be
    mapped) or ``row`` (a row that was refused, not a message).
    """

    id: bytes
    time_ns: int
    source: str
    topic: str
    reason: str
    state: str
    payload: bytes

    @property
    def producer_id(self) -> bytes:
        """Producer of the frame that replays it."""
        return hashlib.blake2b(self.id, digest_size=16, person=b"lh-replay").digest()


@dataclass(slots=True)
class Report:
    """What a replay did, or would do."""

    messages: int = 0
    mapped: int = 0
    without_rows: int = 0
    already: int = 0
    cut: int = 0
    refused: int = 0
    rows: int = 0
    rejected_rows: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)

    def refuse(self, reason: str) -> None:
        """Count a message that the mappings do not take either, by reason."""
        self.refused += 1
        if reason in self.reasons or len(self.reasons) < _EXAMPLES_MAX:
            self.reasons[reason] = self.reasons.get(reason, 0) + 1


class QuarantineMessages:
    """Finds and replays messages of the quarantine.

    Parameters
    ----------
    ingest : Ingest
        The way in.
    read_events : callable
        ``read_events(kind, start_ns, end_ns)``.
    is_stored : callable
        Whether the engine knows a producer.
    """

    def __init__(
        self,
        ingest: Ingest,
        read_events: Callable[[str, int, int], EventColumns],
        is_stored: Callable[[bytes], bool],
    ) -> None:
        self._ingest = ingest
        self._read_events = read_events
        self._is_stored = is_stored

    def find(self, wanted: Wanted) -> list[Kept]:
        """Give entries in order of time, the first ``limit`` of them."""
        found: list[Kept] = []
        for one in self._all(wanted):
            if len(found) >= wanted.limit:
                break
            found.append(one)
        return found

    def _all(self, wanted: Wanted) -> Iterator[Kept]:
        events = self._read_events("quarantine", wanted.start_ns, wanted.end_ns)
        names = ("source", "address", "reason", "payload", "attributes")
        columns = [events.data[name].objects() for name in names]
        rows = zip(events.timestamp_ns.tolist(), events.event_id, *columns, strict=True)
        for time_ns, id_, source, topic, reason, payload, attributes in rows:
            where, at, why = str(source or ""), str(topic or ""), str(reason or "")
            if wanted.source and where != wanted.source:
                continue
            if wanted.topic and not topic_matches(wanted.topic, at):
                continue
            if wanted.reason not in why:
                continue
            body, state = _payload(str(payload or ""), str(attributes or ""))
            one = Kept(id_.tobytes(), time_ns, where, at, why, state, body)
            if state == "waiting" and self._is_stored(one.producer_id):
                one = replace(one, state="replayed")
            yield one

    async def replay(
        self, wanted: Wanted, mappings: Sequence[Mapping[str, Any]], principal: str, *, dry: bool
    ) -> Report:
        """Map messages and store what they become; each message at most once, ever.

        Parameters
        ----------
        wanted : Wanted
        mappings : sequence of Mapping
            As ``[[mappings]]`` of a source.
        principal : str
            In whose name tags are made.
        dry : bool
            Store nothing, but say what would be.

        Raises
        ------
        RequestInvalid
            If the mappings are wrong.
        NotReady, Overloaded, LowDisk, LimitExceeded
            As of ``Ingest.put_frames``; what was stored until then counts as replayed.
        """
        report = Report()
        _mapper(mappings)  # wrong ones are refused also where there is no message
        mappers: dict[str, Mapper] = {}
        for one in self.find(wanted):
            if one.state == "row":
                continue
            report.messages += 1
            if one.state == "cut":
                report.cut += 1
                continue
            mapper = mappers.get(one.source)
            if mapper is None:
                mapper = mappers[one.source] = _mapper(mappings)
            # One that was replayed is mapped again too: it may be the start of a pair.
            mapped = mapper.add(one.topic, one.payload, one.time_ns)
            batches, rejects = mapper.take()
            if one.state == "replayed":
                report.already += 1
            elif not mapped:
                report.refuse(rejects[0].reason)
            else:
                await self._store(one, batches, principal, report, dry=dry)
        return report

    async def _store(
        self, one: Kept, batches: Batches, principal: str, report: Report, *, dry: bool
    ) -> None:
        try:
            frame = _frame(one, batches)
        except (RequestInvalid, InvalidArgument, LimitExceeded) as error:
            report.refuse(str(error))
            return
        report.mapped += 1
        report.without_rows += not batches
        report.rows += sum(map(len, batches))
        for batch in batches:
            report.examples += _examples(one, batch, _EXAMPLES_MAX - len(report.examples))
        if dry:
            return
        receipt = await self._ingest.put_frames(frame, principal)
        report.rejected_rows += sum(stored.rejected for stored in receipt.frames)


def _mapper(mappings: Sequence[Mapping[str, Any]]) -> Mapper:
    try:
        return Mapper(read_mappings(Table({"mappings": mappings}, "replay").tables("mappings")))
    except ConfigError as error:
        raise RequestInvalid(str(error), where="mappings") from None


def _frame(one: Kept, batches: Batches) -> bytes:
    parts = [
        Part(one.source, normalise(batch) if isinstance(batch, EventBatch) else batch)
        for batch in batches
    ]
    return FrameBuilder(Identity(one.producer_id, 1)).build(parts)


def _payload(text: str, attributes: str) -> tuple[bytes, str]:
    """Give the bytes as they came, and whether they are whole."""
    try:
        told = json.loads(attributes) if attributes else None
    except ValueError:
        told = None
    size = told.get("payload_bytes") if isinstance(told, dict) else None
    if not isinstance(told, dict) or not isinstance(size, int):
        return text.encode(), "row"
    body = text.encode()
    if told.get("payload_encoding") == "base64":
        try:
            body = base64.b64decode(text, validate=True)
        except binascii.Error:
            return b"", "cut"
    return body, "waiting" if len(body) == size else "cut"


def _examples(one: Kept, batch: SampleBatch | EventBatch, most: int) -> list[dict[str, Any]]:
    """Write down the first rows of a batch for people."""
    shown: list[dict[str, Any]] = []
    for row in range(min(most, len(batch))):
        facts: dict[str, Any] = {"topic": one.topic, "time_ns": int(batch.timestamp_ns[row])}
        if isinstance(batch, EventBatch):
            columns = zip(batch.columns, batch.data, strict=True)
            values = {column.name: data.objects()[row] for column, data in columns}
            kept = {name: value for name, value in values.items() if value is not None}
            facts |= {"event": batch.kind, "columns": kept}
        else:
            facts |= {
                "address": batch.addresses[batch.address_index[row]],
                "value": batch.value.objects()[row],
                "quality": int(batch.quality[row]),
            }
        shown.append(facts)
    return shown
