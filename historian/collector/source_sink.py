"""One source's sink: what its connector puts becomes parts of frames, notices among them."""

import asyncio
import base64
import json
import logging
from collections.abc import Awaitable, Callable, Sequence

import numpy as np

from connectors.connector import Clock, SinkFull
from connectors.sink import Gap, Link, Receipt, Reject, SourceItem, SourceState
from historian.collector.frames import Part
from historian.collector.intake import Intake
from historian.collector.notes import Notes
from historian.collector.thinning import Thinning, Undo
from historian.config import ThinningConfig
from historian.errors import RequestInvalid
from historian.ingest_events import normalise
from storage_engine.errors import InvalidArgument, LimitExceeded
from storage_engine.frame import Notice
from storage_engine.sample import EventBatch, SampleBatch

_NOTICES_PER_PART = 256
_NOTICES_BYTES_MAX = 1 << 20  # of one part
_ITEMS_PER_NOTICE = 256

_log = logging.getLogger(__name__)


class SourceSink:
    """Fulfils ``connectors.sink.Sink`` for one source of a collector.

    Parameters
    ----------
    collector, source : str
        Names.
    intake : Intake
    clock : Clock
    notes : Notes
    alive : callable, optional
        Called after a state was told: the collector lived at least until then.
    thinning : sequence of ThinningConfig
        Rules; none: every value is put.
    payload_bytes_max : int
        Kept of a payload that could not be mapped.
    """

    def __init__(
        self,
        collector: str,
        source: str,
        intake: Intake,
        clock: Clock,
        notes: Notes,
        *,
        alive: Callable[[], Awaitable[None]] | None = None,
        thinning: Sequence[ThinningConfig] = (),
        payload_bytes_max: int = 65_536,
    ) -> None:
        self._kept = notes
        self._alive = alive
        self._thinning = Thinning(thinning, clock) if thinning else None
        self._lock = asyncio.Lock()
        self._payload_bytes_max = payload_bytes_max
        self._collector = collector
        self._source = source
        self._intake = intake
        self._clock = clock

    async def put(self, batch: SampleBatch | EventBatch) -> Receipt:
        """Return when the batch is durable in the spool; what no frame can hold is rejected.

        Raises
        ------
        SinkFull
            If the spool refuses it.
        """
        if isinstance(batch, EventBatch):
            try:
                batch = normalise(batch)
            except RequestInvalid as error:
                return await self._refuse(_event_rejects(batch, str(error)))
        try:
            if self._thinning is not None and isinstance(batch, SampleBatch):
                return await self._put_thinned(self._thinning, batch)
            return await self._intake.put(Part(self._source, batch))
        except (InvalidArgument, LimitExceeded) as error:
            return await self._refuse((Reject(_named(batch)[:200], str(error)),))

    def begin(self) -> None:
        """Tell once that no value is left out, where no rule says so: there may have been some."""
        if self._thinning is None:
            facts: dict[str, object] = {**self._common(), "thinned": False}
            self._intake.tell(Part(self._source, notices=(Notice("metadata", facts),)))

    async def _put_thinned(self, thinning: Thinning, batch: SampleBatch) -> Receipt:
        async with self._lock:  # what is held back follows in the order of the source
            kept, undo = thinning.thin(batch)
            self._tell_bounds(thinning)
            if not len(kept):
                return Receipt(0, 0)  # decided: within the deviation of what was sent
            # Whoever waits may leave; what was held back before must come in or be held again.
            return await asyncio.shield(
                asyncio.create_task(self._put_or_undo(kept, undo, len(batch)))
            )

    async def _put_or_undo(self, batch: SampleBatch, undo: Undo, rows: int = 0) -> Receipt:
        try:
            return await self._intake.put(Part(self._source, batch, stands_for=rows))
        except (SinkFull, InvalidArgument, LimitExceeded):
            undo()
            raise

    def _tell_bounds(self, thinning: Thinning) -> None:
        news = thinning.news()
        for start in range(0, len(news), _ITEMS_PER_NOTICE):
            items = news[start : start + _ITEMS_PER_NOTICE]
            facts: dict[str, object] = {**self._common(), "items": items}
            self._intake.tell(Part(self._source, notices=(Notice("metadata", facts),)))

    @property
    def thinned(self) -> int:
        """Values that thinning left out."""
        return 0 if self._thinning is None else self._thinning.left_out

    async def release(self, address: str = "", *, forget: bool = False) -> None:
        """Put what thinning has held back for long enough, or all of it.

        Parameters
        ----------
        address : str
            Of this address only; empty means all.
        forget : bool
            All of it, and the next values pass: the line was interrupted.
        """
        if self._thinning is None:
            return
        async with self._lock:
            batches, undo = self._thinning.release(address=address, forget=forget)
            for batch in batches:
                try:
                    await self._put_or_undo(batch, undo)
                except SinkFull as error:
                    _log.warning("source %s: values held back wait: %s", self._source, error)
                    return

    async def stored(self, receipt: Receipt) -> None:
        """Return when the server has the frame of this receipt."""
        await self._intake.stored(receipt)

    async def state(self, state: SourceState) -> None:
        """Tell the server of the line to the source, as soon as a frame goes."""
        if state.link is not Link.CONNECTED:
            await self.release(forget=True)
        facts: dict[str, object] = {
            **self._common(),
            "link": state.link.value,
            "detail": state.detail,
            "clock_offset_ns": state.clock_offset_ns,
        }
        self._intake.tell(Part(self._source, notices=(Notice("source_state", facts),)))
        if self._alive is not None:
            await self._alive()

    async def describe(self, items: tuple[SourceItem, ...]) -> None:
        """Tell the server what the source says of its addresses."""
        if self._thinning is not None:
            self._thinning.learn(items)
            self._tell_bounds(self._thinning)
        for start in range(0, len(items), _ITEMS_PER_NOTICE):
            described = [_described(item) for item in items[start : start + _ITEMS_PER_NOTICE]]
            facts: dict[str, object] = {**self._common(), "items": described}
            self._intake.tell(Part(self._source, notices=(Notice("metadata", facts),)))

    async def reject(self, rejects: tuple[Reject, ...]) -> None:
        """Return when what could not be mapped is durable in the spool, as notices."""
        messages = (self._notice(r, payload_facts(r, self._payload_bytes_max)) for r in rejects)
        await self._notices(tuple(messages))

    async def gap(self, gaps: tuple[Gap, ...]) -> None:
        """Return when the named losses are durable in the spool, as notices."""
        for address in {gap.address for gap in gaps}:
            await self.release(address, forget=True)
        await self._notices(tuple(map(self._gap, gaps)))

    async def keep(self, key: str, note: bytes) -> None:
        """Keep a note beside the spool, durably."""
        await asyncio.to_thread(self._kept.keep, self._source, key, note)

    async def kept(self, key: str) -> bytes:
        """Note under a key; empty when there is none."""
        return await asyncio.to_thread(self._kept.kept, self._source, key)

    async def _refuse(self, rejects: tuple[Reject, ...]) -> Receipt:
        """Tell of rows: they are no messages that could be mapped once more."""
        most = self._payload_bytes_max
        told = [
            self._notice(r, {"payload": r.payload[:most].decode("utf-8", "ignore")})
            for r in rejects
        ]
        return await self._notices(tuple(told))

    async def _notices(self, notices: tuple[Notice, ...]) -> Receipt:
        receipt = Receipt(0, 0)
        part: list[Notice] = []
        size = 0
        for notice in notices:
            part.append(notice)
            size += len(str(notice.facts.get("payload", "")))
            if len(part) >= _NOTICES_PER_PART or size >= _NOTICES_BYTES_MAX:
                receipt = await self._intake.put(Part(self._source, notices=tuple(part)))
                part, size = [], 0
        if part:
            receipt = await self._intake.put(Part(self._source, notices=tuple(part)))
        return receipt

    def _gap(self, gap: Gap) -> Notice:
        facts: dict[str, object] = {
            "collector": self._collector,
            "source": self._source,
            "address": gap.address,
            "start_ns": gap.start_ns,
            "end_ns": gap.end_ns,
            "reason": gap.reason,
        }
        if gap.count is not None:
            facts["count"] = gap.count
        return Notice("gap", facts)

    def _notice(self, reject: Reject, payload: dict[str, object]) -> Notice:
        facts: dict[str, object] = {
            **self._common(),
            "address": reject.address,
            "reason": reject.reason,
            **payload,
        }
        if reject.timestamp_ns is not None:
            facts["time_ns"] = reject.timestamp_ns
        return Notice("reject", facts)

    def _common(self) -> dict[str, object]:
        return {
            "collector": self._collector,
            "source": self._source,
            "time_ns": self._clock.now_ns(),
        }


def _named(batch: SampleBatch | EventBatch) -> str:
    if isinstance(batch, EventBatch):
        return batch.kind
    used = np.unique(batch.address_index).tolist()
    return ", ".join(batch.addresses[position] for position in used)


def payload_facts(reject: Reject, bytes_max: int) -> dict[str, object]:
    """Facts of a payload so that it can be read back: text, or base64 where it is none.

    ``payload_bytes`` is its whole length: more than what is kept means that it was cut.
    """
    kept = reject.payload[:bytes_max]
    if not kept:
        return {"payload": ""}
    encoding = "text"
    try:
        text = kept.decode()
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(kept).decode(), "base64"
    facts: dict[str, object] = {
        "payload": text,
        "payload_bytes": reject.size_bytes or len(reject.payload),
    }
    return {**facts, "payload_encoding": encoding}


def _described(item: SourceItem) -> dict[str, object]:
    facts = {
        "address": item.address,
        "name": item.name,
        "description": item.description,
        "eng_unit": item.eng_unit,
        "low": item.low,
        "high": item.high,
        "facts": dict(item.facts),
    }
    return {key: value for key, value in facts.items() if value or isinstance(value, float)}


def _event_rejects(batch: EventBatch, reason: str) -> tuple[Reject, ...]:
    columns = [data.objects() for data in batch.data]
    names = [column.name for column in batch.columns]
    rejects = []
    for row, timestamp_ns in enumerate(batch.timestamp_ns.tolist()):
        content = {name: values[row] for name, values in zip(names, columns, strict=True)}
        payload = json.dumps(content, default=str).encode()
        rejects.append(Reject(batch.kind, reason, payload, timestamp_ns))
    return tuple(rejects)
