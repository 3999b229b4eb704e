"""Deleted and erased ranges of a stream: which rows they hide, and which have to be gone.

A tombstone covers rows with a smaller lsn in a half-open range of time. A deletion hides them from
reads as known at its lsn or later, and leaves them on disk; an erasure hides them from every read
at once, and whoever writes them anew leaves them out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from storage_engine.columns import Rows
from storage_engine.sample import BoolArray, Int64Array, UInt32Array
from storage_engine.table import Table


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One deleted or erased range.

    Attributes
    ----------
    lsn : int
        Covers rows with a smaller one.
    stream_id : int
    start_ns, end_ns : int
        start <= time < end.
    erase : bool
    """

    lsn: int
    stream_id: int
    start_ns: int
    end_ns: int
    erase: bool

    def covers(self, rows: Rows) -> BoolArray:
        """Mask of rows it covers.

        Parameters
        ----------
        rows : Rows
            n rows of its stream.

        Returns
        -------
        bool, shape (n,)
        """
        time = rows.timestamp_ns
        inside = (time >= self.start_ns) & (time < self.end_ns)
        inside &= rows.stamp < np.uint64(self.lsn * 2)
        return inside

    def touches(self, first_ns: int, last_ns: int, lsn_min: int) -> bool:
        """Whether it may cover a row between two times (inclusive) written at or after an lsn."""
        return self.start_ns <= last_ns and first_ns < self.end_ns and lsn_min < self.lsn


class Tombstones:
    """All tombstones of a store at one moment; never changed, replaced.

    Parameters
    ----------
    entries : iterable of Tombstone
    """

    __slots__ = ("_by_stream", "_count", "_ends")

    def __init__(self, entries: Iterable[Tombstone] = ()) -> None:
        by_stream: dict[int, list[Tombstone]] = {}
        for entry in entries:
            by_stream.setdefault(entry.stream_id, []).append(entry)
        self._by_stream: Mapping[int, tuple[Tombstone, ...]] = {
            stream: tuple(sorted(held, key=lambda one: one.lsn))
            for stream, held in by_stream.items()
        }
        self._count = sum(map(len, by_stream.values()))
        self._ends: tuple[UInt32Array, Int64Array] | None = None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Tombstone]:
        for held in self._by_stream.values():
            yield from held

    def of(self, stream_id: int) -> tuple[Tombstone, ...]:
        """Those of a stream, in order of lsn."""
        return self._by_stream.get(stream_id, ())

    def reach(self, stream: UInt32Array, timestamp_ns: Int64Array) -> UInt32Array:
        """Streams with a row before the end of one of their tombstones.

        Parameters
        ----------
        stream : uint32, shape (n,)
        timestamp_ns : int64, shape (n,)

        Returns
        -------
        uint32, shape (k,)
            Distinct streams whose rows a deletion may turn into redeliveries.
        """
        if not self._count:
            return np.empty(0, np.uint32)
        if self._ends is None:
            known = sorted(self._by_stream)
            last = [max(t.end_ns for t in self._by_stream[i]) for i in known]
            self._ends = np.array(known, np.uint32), np.array(last, np.int64)
        ids, ends = self._ends
        place = np.minimum(np.searchsorted(ids, stream), len(ids) - 1)
        return np.unique(stream[(ids[place] == stream) & (timestamp_ns < ends[place])])

    def with_one(self, entry: Tombstone) -> "Tombstones":
        """These and one more; one known already changes nothing."""
        held = self.of(entry.stream_id)
        if entry in held:
            return self
        more = Tombstones()
        more._by_stream = {**self._by_stream, entry.stream_id: (*held, entry)}
        more._count = self._count + 1
        return more

    def without(self, gone: Iterable[Tombstone]) -> "Tombstones":
        """These less some that no row needs any more."""
        removed = frozenset(gone)
        return Tombstones(entry for entry in self if entry not in removed)

    def upto(self, lsn: int) -> "Tombstones":
        """Those written at or before an lsn."""
        return Tombstones(entry for entry in self if entry.lsn <= lsn)

    def columns(self) -> Table:
        """Arrays of the manifest.

        Returns
        -------
        dict of str to array
        """
        entries = list(self)
        return {
            "tombstone_lsn": np.array([t.lsn for t in entries], np.uint64),
            "tombstone_stream": np.array([t.stream_id for t in entries], np.uint32),
            "tombstone_start": np.array([t.start_ns for t in entries], np.int64),
            "tombstone_end": np.array([t.end_ns for t in entries], np.int64),
            "tombstone_erase": np.array([t.erase for t in entries], np.uint8),
        }


def read_tombstones(table: Table) -> Tombstones:
    """Undo :meth:`Tombstones.columns`; a manifest without the arrays has none."""
    if "tombstone_lsn" not in table:
        return Tombstones()
    columns = (table[f"tombstone_{n}"].tolist() for n in ("lsn", "stream", "start", "end", "erase"))
    return Tombstones(
        Tombstone(lsn, stream, start, end, bool(erase))
        for lsn, stream, start, end, erase in zip(*columns, strict=True)
    )


def _covered(rows: Rows, tombstones: Sequence[Tombstone], *, erase: bool) -> BoolArray | None:
    found: BoolArray | None = None
    for entry in tombstones:
        if entry.erase is erase:
            mask = entry.covers(rows)
            found = mask if found is None else found | mask
    return found if found is not None and found.any() else None


def erased(rows: Rows, tombstones: Sequence[Tombstone]) -> BoolArray | None:
    """Rows that have to be physically gone.

    Parameters
    ----------
    rows : Rows
        n rows of one stream.
    tombstones : sequence of Tombstone
        Of that stream.

    Returns
    -------
    bool, shape (n,), or None
        None when there are none.
    """
    return _covered(rows, tombstones, erase=True)


def without_erased(rows: Rows, tombstones: Sequence[Tombstone]) -> Rows:
    """Rows less those that an erasure covers; the same object when there are none."""
    gone = erased(rows, tombstones)
    return rows if gone is None else rows.take(~gone)


def deleted(rows: Rows, tombstones: Sequence[Tombstone]) -> BoolArray | None:
    """Rows that a deletion hides.

    Parameters
    ----------
    rows : Rows
        n rows of one stream.
    tombstones : sequence of Tombstone
        Of that stream; pass those with lsn up to the one asked as known at.

    Returns
    -------
    bool, shape (n,), or None
        None when there are none.
    """
    return _covered(rows, tombstones, erase=False)
