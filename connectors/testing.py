"""A sink that remembers, for tests of connectors."""

import asyncio
from collections import deque
from collections.abc import Callable

import numpy as np

from connectors.connector import SinkFull
from connectors.sink import Gap, Receipt, Reject, SourceItem, SourceState
from storage_engine.sample import EventBatch, SampleBatch

Row = tuple[str, int, int, object]


class RecordingSink:
    """Keeps everything put, in order; can be closed to be slow, or refuse.

    Attributes
    ----------
    batches : list
        What was put.
    refuse : int
        So many puts are refused with SinkFull first.
    gate : asyncio.Event
        Puts wait until it is set (it is set at first).
    """

    def __init__(self) -> None:
        self.batches: list[SampleBatch | EventBatch] = []
        self.states: list[SourceState] = []
        self.items: list[SourceItem] = []
        self.rejects: list[Reject] = []
        self.gaps: list[Gap] = []
        self.notes: dict[str, bytes] = {}
        self.refuse = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._changed: deque[asyncio.Event] = deque()

    async def put(self, batch: SampleBatch | EventBatch) -> Receipt:
        """Keep a batch."""
        await self.gate.wait()
        if self.refuse > 0:
            self.refuse -= 1
            raise SinkFull("cannot keep batch: got one more, want fewer (told to refuse)")
        self.batches.append(batch)
        self._notify()
        return Receipt(1, len(self.batches))

    async def stored(self, receipt: Receipt) -> None:
        """Return at once: what is kept is stored."""

    async def state(self, state: SourceState) -> None:
        """Keep a state."""
        self.states.append(state)
        self._notify()

    async def describe(self, items: tuple[SourceItem, ...]) -> None:
        """Keep metadata."""
        self.items.extend(items)
        self._notify()

    async def reject(self, rejects: tuple[Reject, ...]) -> None:
        """Keep rejects."""
        await self.gate.wait()
        self.rejects.extend(rejects)
        self._notify()

    async def gap(self, gaps: tuple[Gap, ...]) -> None:
        """Keep gaps."""
        await self.gate.wait()
        self.gaps.extend(gaps)
        self._notify()

    async def keep(self, key: str, note: bytes) -> None:
        """Keep a note."""
        self.notes[key] = note
        self._notify()

    async def kept(self, key: str) -> bytes:
        """Give a note back."""
        return self.notes.get(key, b"")

    @property
    def row_count(self) -> int:
        """Rows of all batches."""
        return sum(len(batch) for batch in self.batches)

    def rows(self) -> list[Row]:
        """All samples in order of arrival as (address, timestamp_ns, quality, value)."""
        found: list[Row] = []
        for batch in self.batches:
            if isinstance(batch, SampleBatch):
                addresses = np.array(batch.addresses, dtype=np.object_)[batch.address_index]
                found += zip(
                    addresses.tolist(),
                    batch.timestamp_ns.tolist(),
                    batch.quality.tolist(),
                    batch.value.objects(),
                    strict=True,
                )
        return found

    def events(self, kind: str) -> list[dict[str, object]]:
        """Events of a kind in order of arrival, with ``timestamp_ns`` and ``event_id`` (hex)."""
        found: list[dict[str, object]] = []
        for batch in self.batches:
            if isinstance(batch, EventBatch) and batch.kind == kind:
                columns = [data.objects() for data in batch.data]
                for row in range(len(batch)):
                    event: dict[str, object] = {
                        column.name: values[row]
                        for column, values in zip(batch.columns, columns, strict=True)
                    }
                    event["timestamp_ns"] = int(batch.timestamp_ns[row])
                    event["event_id"] = bytes(batch.event_id[row]).hex()
                    found.append(event)
        return found

    async def wait_for_rows(self, count: int) -> None:
        """Return when at least so many rows were put."""
        await self._until(lambda: self.row_count >= count)

    async def wait_for_rejects(self, count: int) -> None:
        """Return when at least so many rejects came."""
        await self._until(lambda: len(self.rejects) >= count)

    async def wait_for_items(self, count: int) -> None:
        """Return when at least so many addresses were described."""
        await self._until(lambda: len(self.items) >= count)

    async def wait_for_gaps(self, count: int) -> None:
        """Return when at least so many gaps were named."""
        await self._until(lambda: len(self.gaps) >= count)

    async def wait_for_state(self, link: object, count: int = 1) -> None:
        """Return when a link state came at least so many times."""
        await self._until(lambda: sum(state.link is link for state in self.states) >= count)

    async def wait_for_note(self, key: str) -> None:
        """Return when there is a note under the key."""
        await self._until(lambda: key in self.notes)

    async def _until(self, done: Callable[[], bool]) -> None:
        while not done():
            event = asyncio.Event()
            self._changed.append(event)
            await event.wait()

    def _notify(self) -> None:
        while self._changed:
            self._changed.popleft().set()
