"""Samples of one tag, piece by piece, each with its neighbours outside."""

from dataclasses import replace

import numpy as np

from query.columns import NUMERIC, as_values
from query.errors import LimitExceeded
from query.expression.pieces import Lines, Texts, Truths
from query.expression.slopes import is_sloped
from query.facts.gaps import with_gaps
from query.facts.rules import Rules, usable
from query.request import QueryLimits
from query.scan import neighbours
from query.series import TIME_MAX_NS, TIME_MIN_NS, Signal, TagSamples
from storage_engine.sample import AnyArray, Int64Array, ValueType

_NOTHING = 3  # before the first sample, in a gap, after the data's end


class Feed:
    """Reads a tag over a window in pieces that others cut, too.

    Parameters
    ----------
    samples : TagSamples
    rules : Rules
    window : tuple of int
        Start and end.
    limits : QueryLimits
    rows : int
        Rows of one read.
    """

    def __init__(
        self,
        samples: TagSamples,
        rules: Rules,
        window: tuple[int, int],
        limits: QueryLimits,
        *,
        rows: int,
    ) -> None:
        self._samples, self._rules, self._limits, self._size = samples, rules, limits, rows
        self.known_until_ns, self._end_ns = window
        self._before = self._text(
            neighbours(samples, window[0], rules, 0, before=True, limits=limits)
        )
        self._ahead = self._text(samples.signal(0, 0)[0])
        self._complete = False

    def read(self) -> int:
        """Read on when nothing is left; rows that were read."""
        if len(self._ahead) or self._complete:
            return 0
        found, self._complete = self._samples.signal(
            self.known_until_ns, self._end_ns, max_count=self._size
        )
        self._ahead = self._text(found)
        self.known_until_ns = self._end_ns if self._complete else int(found.timestamp_ns[-1]) + 1
        return len(found)

    def take(self, low_ns: int, high_ns: int) -> "Stretch":
        """What the tag is in [low_ns, high_ns), which is read."""
        behind = int(np.searchsorted(self._ahead.timestamp_ns, high_ns))
        piece, after = self._ahead.take(slice(0, behind)), self._ahead.take(slice(behind, None))
        self._ahead = after
        if len(after) == 0:
            after = self._text(
                neighbours(
                    self._samples, high_ns, self._rules, 0, before=False, limits=self._limits
                )
            )
        signal = with_gaps(self._before, piece, after, self._rules)
        if len(piece):
            self._before = piece.take(slice(-1, None))
        return Stretch(
            signal, self._samples, self._rules, (low_ns, high_ns), newest=len(after) == 0
        )

    def _text(self, signal: Signal) -> Signal:
        """Values of a text tag as text, also those of times when it was a number."""
        if self._samples.tag.type in NUMERIC or signal.type == ValueType.TEXT:
            return signal
        if signal.type == ValueType.SYMBOL:
            return replace(signal, type=ValueType.TEXT)
        return replace(signal, native=as_values(signal.native, ValueType.TEXT), type=ValueType.TEXT)


def too_many(limits: QueryLimits) -> LimitExceeded:
    """Refusal of a question that reads too much."""
    return LimitExceeded(
        "read the samples of the filter",
        got=f"more than {limits.scan_rows_max} samples",
        want="a shorter window",
        where="where",
    )


class Stretch:
    """One tag over a stretch of time.

    Parameters
    ----------
    signal : Signal
        Samples inside and those next to them; gaps are rows.
    samples : TagSamples
        Whose.
    rules : Rules
    window : tuple of int
        Start and end.
    newest : bool
        The last sample is the newest of all.
    """

    def __init__(
        self,
        signal: Signal,
        samples: TagSamples,
        rules: Rules,
        window: tuple[int, int],
        *,
        newest: bool,
    ) -> None:
        self._tag = samples.tag
        low, high = window
        times, level = signal.timestamp_ns, signal.severity
        if signal.gap is not None:
            level = np.where(signal.gap, np.uint8(_NOTHING), level)
        can = usable(signal, rules)
        rows = np.arange(len(times))
        ends = newest and len(times) > 0 and rules.data_end_ns > int(times[-1])
        none = np.uint8(_NOTHING)
        tail = [rules.data_end_ns] if ends else []
        times = np.concatenate([_int64([TIME_MIN_NS]), times, _int64(tail)])
        rows = np.concatenate([_int64([-1]), rows, _int64([-1] * len(tail))])
        following = np.append(times[1:], np.int64(TIME_MAX_NS))
        kept = np.flatnonzero((times < high) & (following > low))
        rows = rows[kept]
        there = rows >= 0
        self._next_can = np.append(can, False)[np.where(there, rows + 1, len(can))]
        self._signal, self._rows, self._there = signal, np.where(there, rows, 0), there
        self._from, self._until = times[kept], following[kept]
        self._start, self._behind = np.maximum(times[kept], low), high
        padded, usable_ = np.append(level, none), np.append(can, False)
        self._level = padded[np.where(there, rows, len(level))]
        self._known = usable_[np.where(there, rows, len(can))]

    def lines(self) -> Lines:
        """The tag as numbers."""
        first = self._values(_numbers(self._signal))
        shape = (self._start, self._behind)
        if not is_sloped(self._tag):
            return Lines(*shape, self._known, self._from, self._until, first, None)
        line = self._known & self._next_can
        numbers = np.append(_numbers(self._signal), np.zeros(1, first.dtype))
        last = np.where(line, numbers[np.minimum(self._rows + 1, len(numbers) - 1)], first)
        known = self._known.copy()
        if first.dtype.kind == "f":
            known &= np.isfinite(first) & np.isfinite(last)
        return Lines(*shape, known, self._from, self._until, first, last)

    def null(self) -> Truths:
        """Whether no value is known."""
        return Truths(self._start, self._behind, np.where(self._known, -1, 1).astype(np.int8))

    def texts(self) -> Texts:
        """The tag as strings."""
        return Texts(self._start, self._behind, self._known, self._values(self._signal.native))

    def quality(self, severity: int) -> Truths:
        """Whether the sample at or before each time is good (0), uncertain (1) or bad (2)."""
        told = np.where(self._level == severity, 1, -1)
        state = np.where(self._level == _NOTHING, 0, told).astype(np.int8)
        return Truths(self._start, self._behind, state)

    def _values(self, values: AnyArray) -> AnyArray:
        if len(values) == 0:
            return np.zeros(len(self._rows), values.dtype)
        return values[self._rows]


def _numbers(signal: Signal) -> AnyArray:
    """Values as they compare exactly: whole numbers as such, others as doubles."""
    if signal.native.dtype.kind in "iu":
        return signal.native
    if signal.native.dtype.kind == "b":
        return signal.native.astype(np.int64)
    return signal.native.astype(np.float64)


def _int64(values: list[int]) -> Int64Array:
    return np.array(values, np.int64)
