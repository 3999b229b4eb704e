"""Who sent what last: the state that makes frames exactly-once in effect, and slot bindings."""

from collections import deque
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import numpy as np

from storage_engine.errors import InvalidArgument
from storage_engine.frame import FLAG_ONE_SHOT, Envelope
from storage_engine.sample import EVENT_ID_DTYPE, UInt32Array
from storage_engine.table import Table


@dataclass(frozen=True, slots=True)
class ProducerState:
    """Last frame taken from a producer, and the lsn that holds it."""

    epoch: int
    sequence: int
    crc: int
    lsn: int
    one_shot: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a frame follows the producer's last one."""

    duplicate: bool
    lsn: int  # of the producer's last frame when duplicate
    missing_frames: int
    chain_broken: bool


def judge(state: ProducerState | None, envelope: Envelope) -> Arrival:
    """Compare a frame with the producer's last one.

    Parameters
    ----------
    state : ProducerState or None
    envelope : Envelope

    Returns
    -------
    Arrival

    Notes
    -----
    Frames of a producer come in order, so a frame at or below the last (epoch, sequence) was
    taken before. A sequence that skips tells how many frames are missing. The chain of CRCs is
    broken when the frame does not name its predecessor although the numbers say it should.
    """
    if state is None:
        missing = 0 if envelope.flags & FLAG_ONE_SHOT else max(envelope.sequence - 1, 0)
        broken = envelope.sequence <= 1 and envelope.previous_crc != 0
        return Arrival(False, 0, missing if envelope.previous_crc else 0, broken)
    if (envelope.epoch, envelope.sequence) <= (state.epoch, state.sequence):
        return Arrival(True, state.lsn, 0, False)
    chained = envelope.previous_crc == state.crc
    if envelope.epoch == state.epoch:
        missing = envelope.sequence - state.sequence - 1
        return Arrival(False, 0, missing, not missing and not chained)
    # A new epoch starts its own count; it either goes on with the chain or starts one.
    missing = 0 if chained else max(envelope.sequence - 1, 0)
    return Arrival(False, 0, missing, not missing and not chained and envelope.previous_crc != 0)


@dataclass(slots=True)
class Bindings:
    """Slots of one producer's epoch: a dense table, so that mapping a frame is one lookup.

    ``version`` grows with every change.
    """

    epoch: int
    streams: UInt32Array = field(default_factory=lambda: np.zeros(16, np.uint32))
    sparse: dict[int, int] = field(default_factory=dict)
    version: int = 0

    _DENSE_MAX = 1 << 20

    def put(self, slots: Mapping[int, int]) -> None:
        """Bind slots to streams."""
        self.version += 1
        dense = {slot: stream for slot, stream in slots.items() if slot < self._DENSE_MAX}
        self.sparse |= {s: stream for s, stream in slots.items() if s >= self._DENSE_MAX}
        if not dense:
            return
        top = max(dense) + 1
        # A copy: readers of the old table must not see it change halfway.
        table = np.zeros(max(top, len(self.streams)), np.uint32)
        table[: len(self.streams)] = self.streams
        table[list(dense)] = list(dense.values())
        self.streams = table

    def put_columns(self, slot: UInt32Array, stream: UInt32Array) -> None:
        """Bind slots to streams, as :meth:`put` does."""
        dense = slot < self._DENSE_MAX
        self.put(dict(zip(slot[~dense].tolist(), stream[~dense].tolist(), strict=True)))
        if dense.any():
            table = np.zeros(max(int(slot[dense].max()) + 1, len(self.streams)), np.uint32)
            table[: len(self.streams)] = self.streams
            table[slot[dense]] = stream[dense]
            self.streams = table

    def columns(self) -> tuple[UInt32Array, UInt32Array]:
        """All bound slots, and their streams."""
        slot = np.flatnonzero(self.streams).astype(np.uint32)
        sparse = {slot: stream for slot, stream in self.sparse.items() if stream}
        more = np.array(list(sparse), np.uint32), np.array(list(sparse.values()), np.uint32)
        return np.concatenate((slot, more[0])), np.concatenate((self.streams[slot], more[1]))

    def lookup(self, slot: UInt32Array) -> UInt32Array:
        """Stream of each row's slot; 0 where a slot is not bound."""
        if self.sparse:
            found = (self.get(one) for one in slot.tolist())
            return np.fromiter(found, np.uint32, len(slot))
        table = self.streams
        if len(slot) and int(np.maximum.reduce(slot)) >= len(table):
            inside = slot < len(table)
            return np.where(inside, table[np.where(inside, slot, 0)], np.uint32(0))
        return table[slot]

    def get(self, slot: int) -> int:
        """Stream of a slot, or 0."""
        if slot < len(self.streams):
            return int(self.streams[slot])
        return self.sparse.get(slot, 0)

    def items(self) -> dict[int, int]:
        """All bound slots."""
        where = np.flatnonzero(self.streams)
        return {
            **dict(zip(where.tolist(), self.streams[where].tolist(), strict=True)),
            **{slot: stream for slot, stream in self.sparse.items() if stream},
        }


class Producers:
    """States and bindings of all producers.

    Parameters
    ----------
    one_shot_max : int
        Producers of a single frame remembered; the oldest go first.
    """

    def __init__(self, one_shot_max: int) -> None:
        self._one_shot_max = one_shot_max
        self.states: dict[bytes, ProducerState] = {}
        self.one_shot: dict[bytes, None] = {}
        self._bindings: dict[bytes, dict[int, Bindings]] = {}
        # Bindings behind the last applied frame: lsn, producer, epoch, what the slots meant before.
        self._ahead: deque[tuple[int, bytes, int, dict[int, int]]] = deque()

    def note(self, envelope: Envelope, lsn: int) -> None:
        """Take a frame as the producer's last."""
        key = envelope.producer_id
        bindings = self._bindings.pop(key, None)
        if bindings is not None:
            self._bindings[key] = bindings  # last in order: sent most recently
        one_shot = bool(envelope.flags & FLAG_ONE_SHOT)
        self.states[key] = ProducerState(
            envelope.epoch, envelope.sequence, envelope.crc, lsn, one_shot
        )
        if one_shot:
            self.one_shot.pop(key, None)
            self.one_shot[key] = None
            if len(self.one_shot) > self._one_shot_max:
                oldest = next(iter(self.one_shot))
                del self.one_shot[oldest], self.states[oldest]

    def retire_bindings(self, envelope: Envelope, lsn: int) -> None:
        """Forget what no later frame can use, after a frame was applied."""
        while self._ahead and self._ahead[0][0] <= lsn:
            self._ahead.popleft()
        epochs = self._bindings.get(envelope.producer_id)
        if not epochs:
            return
        if envelope.flags & FLAG_ONE_SHOT:
            epochs.pop(envelope.epoch, None)
        elif len(epochs) > 1:
            for old in [epoch for epoch in epochs if epoch < envelope.epoch]:
                del epochs[old]
        if not epochs:
            del self._bindings[envelope.producer_id]

    def forget_bindings(self, count_max: int, waiting: AbstractSet[bytes]) -> None:
        """Keep the bindings of so many producers, and of those whose frames still wait.

        A producer that sent nothing for so long declares its slots anew in its next epoch.
        """
        excess = len(self._bindings) - count_max
        if excess > 0:
            idle = [key for key in self._bindings if key not in waiting]
            for key in idle[:excess]:
                del self._bindings[key]

    def bind(
        self, producer_id: bytes, epoch: int, slots: Mapping[int, int], lsn: int | None = None
    ) -> None:
        """Bind slots of a producer's epoch; ``lsn`` when frames before it wait to be applied."""
        if len(producer_id) != 16 or any(not 0 <= slot < 1 << 32 for slot in slots):
            raise InvalidArgument("cannot bind: got a bad producer id or slot, want 16 bytes, u32")
        epochs = self._bindings.setdefault(producer_id, {})
        bindings = epochs.setdefault(epoch, Bindings(epoch))
        if lsn is not None:
            before = {slot: bindings.get(slot) for slot in slots}
            self._ahead.append((lsn, producer_id, epoch, before))
        bindings.put(slots)

    def bindings(self, producer_id: bytes, epoch: int) -> Bindings:
        """Bindings of a producer's epoch, empty when there are none."""
        return self._bindings.get(producer_id, {}).get(epoch) or Bindings(epoch)

    def slots(self, producer_id: bytes, epoch: int) -> UInt32Array | None:
        """Streams by slot of a producer's epoch, or None when they are no dense table."""
        bindings = self.bindings(producer_id, epoch)
        return None if bindings.sparse else bindings.streams

    def bound(self, lsn: int) -> list[tuple[bytes, Bindings]]:
        """All bindings as of a record, to be written later; call under the engine's lock.

        Frames behind that record are mapped anew after a crash, by what held when they came.
        """
        then = {
            (key, epoch): Bindings(epoch, b.streams, dict(b.sparse))
            for key, epochs in self._bindings.items()
            for epoch, b in epochs.items()
        }
        for when, key, epoch, before in reversed(self._ahead):
            if when > lsn and (key, epoch) in then:
                then[key, epoch].put(before)
        return [(key, bindings) for (key, _), bindings in then.items()]

    def load(self, table: Table) -> None:
        """Take the arrays of a manifest."""
        names = ("epoch", "sequence", "crc", "lsn", "one_shot")
        columns = [table[f"producer_{name}"].tolist() for name in names]
        for key, *facts in zip(ids_of(table["producer_id"]), *columns, strict=True):
            epoch, sequence, crc, lsn, one_shot = facts
            self.states[key] = ProducerState(epoch, sequence, crc, lsn, bool(one_shot))
            if one_shot:
                self.one_shot[key] = None
        key, epoch = table["binding_producer"], table["binding_epoch"]
        slot, stream = table["binding_slot"], table["binding_stream"]
        # Those of a producer's epoch stand together.
        words = key.view(np.uint64).reshape(-1, 2)
        other = (words[1:] != words[:-1]).any(axis=1) | (epoch[1:] != epoch[:-1])
        starts = [0, *(np.flatnonzero(other) + 1).tolist()] if len(slot) else []
        for start, end in zip(starts, [*starts[1:], len(slot)], strict=True) if starts else ():
            epochs = self._bindings.setdefault(key[start].tobytes(), {})
            bindings = epochs.setdefault(int(epoch[start]), Bindings(int(epoch[start])))
            bindings.put_columns(slot[start:end], stream[start:end])


def producer_columns(
    states: Mapping[bytes, ProducerState], bound: Sequence[tuple[bytes, Bindings]]
) -> Table:
    """Arrays for the manifest.

    Parameters
    ----------
    states : mapping
        As of the checkpoint.
    bound : sequence
        From :meth:`Producers.bound` at the same moment.

    Returns
    -------
    dict of str to array
    """
    rows = list(states.values())
    columns = [bindings.columns() for _, bindings in bound]
    counts = [len(slot) for slot, _ in columns]
    keys = np.array([key for key, _ in bound], EVENT_ID_DTYPE)
    epochs = np.array([bindings.epoch for _, bindings in bound], np.uint64)
    none = np.empty(0, np.uint32)
    return {
        "producer_id": np.array(list(states), EVENT_ID_DTYPE),
        "producer_epoch": np.array([s.epoch for s in rows], np.uint64),
        "producer_sequence": np.array([s.sequence for s in rows], np.uint64),
        "producer_crc": np.array([s.crc for s in rows], np.uint32),
        "producer_lsn": np.array([s.lsn for s in rows], np.uint64),
        "producer_one_shot": np.array([s.one_shot for s in rows], np.uint8),
        "binding_producer": np.repeat(keys, counts),
        "binding_epoch": np.repeat(epochs, counts),
        "binding_slot": np.concatenate([none, *(slot for slot, _ in columns)]),
        "binding_stream": np.concatenate([none, *(stream for _, stream in columns)]),
    }


def ids_of(column: np.ndarray[tuple[int, ...], np.dtype[np.void]]) -> list[bytes]:
    """16-byte ids of a V16 column.

    Parameters
    ----------
    column : V16, shape (n,)

    Returns
    -------
    list of bytes
    """
    whole = column.tobytes()
    return [whole[i : i + 16] for i in range(0, len(whole), 16)]
