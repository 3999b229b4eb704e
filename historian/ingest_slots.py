"""What each slot of a producer means here: its series or event kind, its source, or why neither."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from historian.catalog import Catalog
from historian.catalog_records import SeriesRecord
from historian.events import EVENT_KINDS
from historian.ingest_streams import Streams
from storage_engine.frame import Declaration, SlotKind

NOT_DECLARED = 0
NO_TAG = 255
EVENTS = 254
_N = TypeVar("_N", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Slot:
    """One declared slot: where its rows come from, and why they cannot be stored, if so."""

    source: str
    address: str
    declaration: Declaration | None  # None after a restart, until the producer starts anew
    reason: str = ""


class SlotTable:
    """The slots of one producer in one epoch, as arrays for whole sections.

    Attributes
    ----------
    types : uint8, shape (slots,)
        ValueType of a bound series; 0 not declared, 254 events, 255 declared but not bound.
    sources : int32, shape (slots,)
        Position in ``source_names``.
    lock : asyncio.Lock
        Held while frames of this producer are taken, so that they stay in order.
    """

    def __init__(self, slots_max: int) -> None:
        self._slots_max = slots_max
        self._slots: dict[int, Slot] = {}
        self._source_index: dict[str, int] = {}
        self.types: npt.NDArray[np.uint8] = np.zeros(1, np.uint8)
        self.sources: npt.NDArray[np.int32] = np.zeros(1, np.int32)
        self.source_names: list[str] = []
        self.lock = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._slots)

    def get(self, slot: int) -> Slot | None:
        """Return what is known of a slot."""
        return self._slots.get(slot)

    def fits(self, slot: int) -> bool:
        """Whether the number of a slot is within ``ingest.slots_per_producer_max``."""
        return slot < self._slots_max

    def set(self, slot: int, what: Slot, type_: int) -> None:
        """Enter a slot; ``type_`` as in ``types``."""
        if slot >= len(self.types):
            size = min(self._slots_max, max(64, 2 * slot + 2))
            self.types = _grown(self.types, size)
            self.sources = _grown(self.sources, size)
        index = self._source_index.get(what.source)
        if index is None:
            index = self._source_index[what.source] = len(self.source_names)
            self.source_names.append(what.source)
        self._slots[slot] = what
        self.types[slot] = type_
        self.sources[slot] = index


def _grown(array: npt.NDArray[_N], size: int) -> npt.NDArray[_N]:
    grown = np.zeros(size, array.dtype)
    grown[: len(array)] = array
    return grown


class SlotTables:
    """The tables of the producers heard last, bounded by ``ingest.producers_max``.

    Parameters
    ----------
    producers_max, slots_max : int
        Bounds.
    """

    def __init__(self, producers_max: int, slots_max: int) -> None:
        self._producers_max = producers_max
        self._slots_max = slots_max
        self._tables: OrderedDict[tuple[bytes, int], SlotTable] = OrderedDict()

    def find(self, producer_id: bytes, epoch: int) -> SlotTable | None:
        """Return the table of a producer's epoch, marked as heard now."""
        key = (producer_id, epoch)
        table = self._tables.get(key)
        if table is not None:
            self._tables.move_to_end(key)
        return table

    def add(self, producer_id: bytes, epoch: int) -> SlotTable:
        """Make the table of an epoch; forget the one not heard for longest if there are too many.

        One that is forgotten is restored from the engine's bindings when its producer comes back.
        """
        table = self._tables[producer_id, epoch] = SlotTable(self._slots_max)
        while len(self._tables) > self._producers_max:
            idle = next((k for k, t in self._tables.items() if not t.lock.locked()), None)
            if idle is None or idle == (producer_id, epoch):
                break
            del self._tables[idle]
        return table

    def clear(self) -> None:
        """Forget all, for a new engine."""
        self._tables.clear()


def restore(table: SlotTable, bindings: dict[int, int], catalog: Catalog, streams: Streams) -> None:
    """Fill a table from what the engine has bound, after a restart in the middle of an epoch."""
    for slot, stream_id in bindings.items():
        kind = streams.kind_of(stream_id)
        if kind is not None:
            table.set(slot, Slot("", kind, None), EVENTS)
            continue
        tag = catalog.find_stream(stream_id)
        if tag is None:
            table.set(slot, Slot("", "", None, "its tag is gone from the catalog"), NO_TAG)
            continue
        series = next(s for s in tag.series if s.stream_id == stream_id)
        table.set(slot, Slot(tag.source, tag.address, None), int(series.type))


def clash(table: SlotTable, declarations: Sequence[Declaration]) -> str:
    """Why these declarations contradict the table; empty when they do not."""
    for one in declarations:
        known = table.get(one.slot)
        if known is not None and known.declaration not in {None, one}:
            return f"slot {one.slot} is declared twice in one epoch with other contents"
    return ""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A declaration and what it means here; ``stream_id`` is None when it cannot be stored."""

    slot: Slot
    type: int
    stream_id: int | None


def resolve(
    declarations: Sequence[Declaration], catalog: Catalog, streams: Streams, principal: str
) -> list[Resolved]:
    """Find the streams of declared slots, making tags by rule; syncs files, so run it in a thread.

    Parameters
    ----------
    declarations : sequence of Declaration
        Those that the producer's table does not hold yet.
    principal : str
        In whose name tags are made.
    """
    found: list[Resolved] = []
    by_source: dict[str, list[Declaration]] = {}
    for one in declarations:
        if one.kind is SlotKind.SERIES and len(one.columns) == 1:
            by_source.setdefault(one.source, []).append(one)
            continue
        stream_id, reason = _event_stream(one, streams)
        slot = Slot(one.source, one.address, one, reason)
        found.append(Resolved(slot, NO_TAG if reason else EVENTS, stream_id))
    for source, wanted in by_source.items():
        pairs = [(one.address, one.columns[0].type) for one in wanted]
        for one, series in zip(wanted, catalog.series_for(source, pairs, principal), strict=True):
            if isinstance(series, SeriesRecord):
                slot = Slot(source, one.address, one)
                found.append(Resolved(slot, int(series.type), series.stream_id))
            else:
                slot = Slot(source, one.address, one, series)
                found.append(Resolved(slot, NO_TAG, None))
    return found


def unsettled(table: SlotTable, declarations: Sequence[Declaration]) -> list[Declaration]:
    """Return the declarations that a table does not hold; completes those restored without one."""
    fresh = []
    for one in declarations:
        known = table.get(one.slot)
        if known is None:
            if table.fits(one.slot):
                fresh.append(one)
        elif known.declaration is None and not known.reason:
            slot = Slot(one.source, one.address, one)
            table.set(one.slot, slot, int(table.types[one.slot]))
    return fresh


def enter(table: SlotTable, resolved: Sequence[Resolved]) -> None:
    """Put resolved declarations into a table, after the engine has their bindings."""
    for one in resolved:
        assert one.slot.declaration is not None
        table.set(one.slot.declaration.slot, one.slot, one.type)


def _event_stream(one: Declaration, streams: Streams) -> tuple[int | None, str]:
    """Return the stream of a kind of event, or the reason why there is none."""
    wanted = EVENT_KINDS.get(one.address)
    stream_id = streams.event_stream(one.address)
    if one.kind is not SlotKind.EVENTS or wanted is None or stream_id is None:
        return None, f"no kind of event is named {one.address!r}"
    if one.columns != wanted[: len(one.columns)]:
        return None, f"the columns of {one.address!r} are not those of docs/events.md, in order"
    return stream_id, ""
