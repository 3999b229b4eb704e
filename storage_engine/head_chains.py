"""Rows of many streams of a head at once."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from storage_engine.head_rows import RowLog
from storage_engine.sample import Int64Array, UInt32Array, UInt64Array


class HeadRows(NamedTuple):
    """Rows of streams: by the number of the stream asked for, then in order of arrival."""

    owner: UInt32Array
    time: Int64Array
    stamp: UInt64Array
    quality: UInt32Array
    cell: UInt64Array
    missing: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Chains:
    """Parts of a head of many streams at one moment.

    Attributes
    ----------
    log : RowLog
    last, count : uint32, shape (n,)
        Newest row and how many, of each stream.
    """

    log: RowLog
    last: UInt32Array
    count: UInt32Array

    def rows_between(self, start_ns: int, end_ns: int) -> HeadRows:
        """Rows with start <= time < end."""
        log = self.log
        held = np.flatnonzero(self.count).astype(np.uint32)
        order = log.order(self.last, self.count, held)
        where = order.astype(np.intp)
        time = log.time[where]
        inside = np.flatnonzero((time >= start_ns) & (time < end_ns))
        where = where[inside]
        return HeadRows(
            np.repeat(held, self.count[held])[inside],
            time[inside],
            log.stamps(order[inside]),
            log.quality[where],
            log.cell[where],
            log.missing[where],
        )


def captured(log: RowLog, stream_ids: Int64Array) -> Chains:
    """What a log holds of streams now; int64, shape (n,), in any order."""
    known = stream_ids < len(log.last)
    place = np.where(known, stream_ids, 0)
    none = np.uint32(0)
    last, count = (np.where(known, each[place], none) for each in (log.last, log.count))
    return Chains(log, last.astype(np.uint32), count.astype(np.uint32))
