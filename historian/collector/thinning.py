"""Thinning at the collector: which values of a source are left out, by rules on addresses.

What is left out can be made again from what is kept, within the deviation: docs/thinning.md.
"""

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from connectors.connector import Clock
from connectors.sink import SourceItem
from connectors.thinning import SERIES, release, thin
from historian.config import ThinningConfig
from storage_engine.sample import DTYPES, ColumnData, SampleBatch, ValueType

_KINDS = {"none": 0, "exception": 1, "swinging_door": 2}
_FLOATS = frozenset({ValueType.FLOAT32, ValueType.FLOAT64})
_NUMBERS = _FLOATS | {ValueType.INT64, ValueType.UINT64}
_EXACT_MAX = float(1 << 53)  # integers above are not all doubles
_BEFORE_ALL_NS = -(1 << 63)
_NO_RULE = ThinningConfig("*", "none")

_Key = tuple[str, ValueType]
Undo = Callable[[], None]


class Thinning:
    """State of all series of one source.

    Parameters
    ----------
    rules : sequence of ThinningConfig
        The first that matches an address holds.
    clock : Clock
        Says how long a value has been held back.

    Attributes
    ----------
    left_out : int
        Values left out or held back so far, less those released.
    """

    def __init__(self, rules: Sequence[ThinningConfig], clock: Clock) -> None:
        self._rules = [(re.compile(fnmatch.translate(rule.address)), rule) for rule in rules]
        self._clock = clock
        self._state: npt.NDArray[Any] = np.zeros(64, SERIES)
        self._keys: list[_Key] = [("", ValueType.FLOAT64)]  # place 0: whatever passes
        self._places: dict[_Key, int] = {}
        self._ranges: dict[str, float] = {}
        self._news: dict[str, dict[str, object]] = {}
        self.left_out = 0

    def thin(self, batch: SampleBatch) -> tuple[SampleBatch, Undo]:
        """What of a batch is to be sent now, with what it releases; and how to take that back.

        Parameters
        ----------
        batch : SampleBatch
            Checked by whoever frames it: one that breaks the rules passes whole.
        """
        plain = _plain(batch) if _even(batch) else None
        if plain is None:
            return batch, _nothing
        places = [self._place(address, batch.value.type) for address in batch.addresses]
        if not any(places):
            return batch, _nothing
        place = np.array(places, np.int32)
        undo = self._undo(place)
        values = batch.value.value.astype(np.float64)
        index, row, time_ns, quality, value = thin(
            self._state,
            place,
            np.ascontiguousarray(batch.address_index, np.int32),
            np.ascontiguousarray(batch.timestamp_ns, np.int64),
            np.ascontiguousarray(batch.quality, np.uint32),
            values,
            plain.view(np.uint8),
            self._clock.now_ns(),
        )
        self.left_out += len(batch) - len(row)
        if len(row) == len(batch) and (row >= 0).all():
            return batch, undo
        held = row < 0
        of = np.maximum(row, 0)
        kept = batch.value.value[of]
        kept[held] = value[held].astype(kept.dtype)
        valid = None if batch.value.valid is None else batch.value.valid[of] | held
        used, narrow = np.unique(index, return_inverse=True)
        made = SampleBatch(
            tuple(batch.addresses[at] for at in used.tolist()),
            narrow.astype(np.int32),
            time_ns,
            quality.astype(np.uint32),
            ColumnData(batch.value.type, kept, valid),
        )
        return made, undo

    def release(self, *, address: str = "", forget: bool = False) -> tuple[list[SampleBatch], Undo]:
        """Values that were held back for long enough, one batch per type; and how to undo that.

        Parameters
        ----------
        address : str
            Of this address only; empty means all.
        forget : bool
            Release whatever is held, and let the next value pass: the line was interrupted.
        """
        places = [place for key, place in self._places.items() if place and address in {"", key[0]}]
        place = np.array(places, np.int32)
        if not forget:  # most hold nothing
            place = place[self._state["state"][place] > 1]
        undo = self._undo(place)
        index, _, time_ns, quality, value = release(
            self._state, place, self._clock.now_ns(), forget
        )
        self.left_out -= len(index)
        keys = [self._keys[at] for at in place[index].tolist()]
        types = np.array([key[1] for key in keys])
        made = []
        for type_ in dict.fromkeys(key[1] for key in keys):
            of = np.flatnonzero(types == type_)
            made.append(
                SampleBatch(
                    tuple(keys[at][0] for at in of.tolist()),
                    np.arange(len(of), dtype=np.int32),
                    time_ns[of],
                    quality[of].astype(np.uint32),
                    ColumnData(type_, value[of].astype(DTYPES[type_])),
                )
            )
        return made, undo

    def learn(self, items: Iterable[SourceItem]) -> None:
        """Take ranges, for rules in percent."""
        for item in items:
            if item.low is None or item.high is None or not self._rule(item.address):
                continue
            self._ranges[item.address] = item.high - item.low
            for (address, type_), place in list(self._places.items()):
                if place and address == item.address:
                    self._set(place, address, type_)

    def news(self) -> list[dict[str, object]]:
        """Bounds to be told to the catalog, each once: items of a metadata notice."""
        told, self._news = self._news, {}
        return [{"address": address, "thinning": facts} for address, facts in told.items()]

    def _rule(self, address: str) -> ThinningConfig:
        found = (rule for pattern, rule in self._rules if pattern.match(address))
        return next(found, _NO_RULE)

    def _place(self, address: str, type_: ValueType) -> int:
        place = self._places.get((address, type_))
        if place is not None:
            return place
        if self._rule(address).kind == "none":
            place = 0
            self._news[address] = {"kind": "none"}
        else:
            place = len(self._keys)
            self._keys.append((address, type_))
            if place >= len(self._state):
                grown = np.zeros(2 * place, SERIES)
                grown[:place] = self._state
                self._state = grown
            self._state[place]["newest_ns"] = _BEFORE_ALL_NS
            self._set(place, address, type_)
        self._places[address, type_] = place
        return place

    def _set(self, place: int, address: str, type_: ValueType) -> None:
        rule = self._rule(address)
        deviation: float | None = rule.deviation
        if rule.deviation_percent:
            range_ = self._ranges.get(address)
            deviation = None if range_ is None else abs(range_) * rule.deviation_percent / 100.0
        kind = "none" if deviation is None or not np.isfinite(deviation) else rule.kind
        one = self._state[place]
        one["kind"], one["deviation"] = _KINDS[kind], deviation or 0.0
        one["longest_ns"] = round(rule.max_s * 1e9)
        facts: dict[str, object] = {"kind": kind}
        if kind != "none":
            facts |= {"deviation": deviation, "max_s": rule.max_s}
        self._news[address] = facts

    def _undo(self, place: npt.NDArray[np.int32]) -> Undo:
        before, left_out = self._state[place], self.left_out

        def undo() -> None:
            self._state[place] = before
            self.left_out = left_out

        return undo


def _plain(batch: SampleBatch) -> npt.NDArray[np.bool_] | None:
    """Rows with a finite number that a double holds; None for a type without numbers."""
    type_ = batch.value.type
    if type_ not in _NUMBERS or batch.value.value.dtype != DTYPES[type_]:
        return None
    values = batch.value.value
    if type_ in _FLOATS:
        plain = np.isfinite(values)
    else:
        plain = np.abs(values.astype(np.float64)) < _EXACT_MAX
    if batch.value.valid is not None:
        plain &= batch.value.valid
    return plain


def _even(batch: SampleBatch) -> bool:
    """Whether its columns fit each other; whoever frames it says what is wrong."""
    index, rows = batch.address_index, len(batch.timestamp_ns)
    columns = [index, batch.quality, batch.value.value]
    if batch.value.valid is not None:
        columns.append(batch.value.valid)
    if any(column.shape != (rows,) for column in columns):
        return False
    return not rows or (int(index.min()) >= 0 and int(index.max()) < len(batch.addresses))


def _nothing() -> None:
    """Nothing was thinned, nothing is to be undone."""
