"""What a rescue could not bring back, by name."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from storage_engine.columns import Rows
from storage_engine.sample import BoolArray
from storage_engine.segment.layout import SegmentInfo
from storage_engine.streams import StreamInfo
from storage_engine.tools.segment_file import BlockPlace, SegmentFile


@dataclass(slots=True)
class Loss:
    """One lost place.

    Attributes
    ----------
    path : str
        Source and file.
    offset : int
    what : str
    stream : int or None
        None: not known, or many.
    first_ns, last_ns : int or None
        Rows of these times, inclusive; None: not known.
    lsn_first, lsn_last : int or None
        Inclusive; None: not known.
    rows : int or None
        None: not known.
    found : int
        Rows of it that another file still had.
    """

    path: str
    offset: int
    what: str
    stream: int | None = None
    first_ns: int | None = None
    last_ns: int | None = None
    lsn_first: int | None = None
    lsn_last: int | None = None
    rows: int | None = None
    found: int = 0

    def takes(self, stream_id: int, rows: Rows) -> BoolArray:
        """Mask of rows that may have been in the lost place.

        Parameters
        ----------
        stream_id : int
        rows : Rows
            n rows.

        Returns
        -------
        bool, shape (n,)
        """
        if self.stream not in {None, stream_id}:
            return np.zeros(len(rows), np.bool_)
        lsn = rows.stamp >> np.uint64(1)
        mask = np.ones(len(rows), np.bool_)
        if self.first_ns is not None and self.last_ns is not None:
            mask &= (rows.timestamp_ns >= self.first_ns) & (rows.timestamp_ns <= self.last_ns)
        if self.lsn_first is not None and self.lsn_last is not None:
            mask &= (lsn >= np.uint64(self.lsn_first)) & (lsn <= np.uint64(self.lsn_last))
        return mask

    @property
    def missing(self) -> int | None:
        """Rows that are gone for good, None when nobody knows."""
        return None if self.rows is None else max(self.rows - self.found, 0)

    def plain(self, streams: Mapping[int, StreamInfo]) -> dict[str, object]:
        """Write it for a report."""
        info = streams.get(self.stream) if self.stream is not None else None
        facts = asdict(self)
        return {**facts, "uuid": info.uuid.hex() if info else None, "missing": self.missing}


def lost_block(place_of: str, file: SegmentFile, place: BlockPlace, why: str) -> list[Loss]:
    """Losses of a block, run by run.

    Parameters
    ----------
    place_of : str
        Source and path.
    file : SegmentFile
        With its directory.
    place : BlockPlace
    why : str

    Returns
    -------
    list of Loss
    """
    table = file.table
    assert table is not None, "places come from a directory"
    names = ("stream", "first", "last", "stamp_min", "stamp_max", "rows")
    columns = (table[f"run_{name}"][place.runs].tolist() for name in names)
    what = f"block {place.number}: {why}"
    return [
        Loss(place_of, place.offset, what, stream, first, last, low >> 1, high >> 1, rows)
        for stream, first, last, low, high, rows in zip(*columns, strict=True)
    ]


def lost_segment(place_of: str, info: SegmentInfo, rows: int, what: str) -> Loss:
    """Loss of rows of a segment that only the manifest describes.

    Parameters
    ----------
    place_of : str
    info : SegmentInfo
    rows : int
    what : str

    Returns
    -------
    Loss
    """
    bounds = (info.first, info.last, info.lsn_min, info.lsn_max)
    return Loss(place_of, 0, what, None, *bounds, rows)
