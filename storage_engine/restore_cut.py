"""A segment and a manifest as known at an earlier lsn.

One segment in, one out, block by block: nothing is merged or moved to another partition, so that
what is not cut off stays as it was, and a damaged block costs that block alone.
"""

from collections.abc import Mapping

import numpy as np

from storage_engine.errors import CorruptData
from storage_engine.filesystem import FileSystem
from storage_engine.frame import SlotKind
from storage_engine.manifest import read_streams
from storage_engine.sample import BoolArray, UInt32Array
from storage_engine.segment.layout import SegmentInfo
from storage_engine.segment.reader import Directory, SegmentReader
from storage_engine.segment.writer import SegmentWriter
from storage_engine.subtree import Pace
from storage_engine.table import Table, json_column, read_json

_IMPORTS = "imports"


def cut_segment(
    reader: SegmentReader,
    info: SegmentInfo,
    target: FileSystem,
    lsn: int,
    *,
    incarnation: bytes,
    new_id: int,
    pace: Pace,
) -> SegmentInfo | None:
    """Write a segment without the rows behind an lsn.

    Parameters
    ----------
    reader : SegmentReader
        Of the backup; names the blocks that cannot be read in its findings.
    info : SegmentInfo
    target : FileSystem
        Below the root of the store being made.
    lsn : int
    incarnation : bytes
    new_id : int
    pace : callable

    Returns
    -------
    SegmentInfo or None
        None when no row is left.

    Raises
    ------
    DiskError
    """
    directory = reader.directory(info)
    if directory is None:
        return None
    writer: SegmentWriter | None = None
    try:
        for number in range(len(directory.table["block_rows"])):
            rows = reader.block(directory, number)
            pace(int(directory.table["block_length"][number]))
            if rows is None:
                continue
            keep: BoolArray = rows.stamp >> np.uint64(1) <= np.uint64(lsn)
            if not keep.any():
                continue
            stream = _streams_of(directory, number, len(rows))
            if writer is None:
                writer = SegmentWriter(
                    target,
                    incarnation,
                    new_id,
                    info.partition,
                    info.retention_class,
                    late=info.late,
                    erased_lsn=info.erased_lsn,
                    cold=info.cold,
                )
            writer.add(stream[keep], rows.take(keep))
        if writer is None:
            return None
        return writer.finish({one.id: one for one in read_streams(directory.table, at=info.path)})
    except BaseException:
        if writer is not None:
            writer.discard()
        raise


def _streams_of(directory: Directory, block: int, rows: int) -> UInt32Array:
    """Stream of each row of a block, from the runs of the directory."""
    table = directory.table
    here = np.flatnonzero(table["run_block"] == block)
    here = here[np.argsort(table["run_start"][here], kind="stable")]
    counts = table["run_rows"][here]
    if int(counts.sum()) != rows:
        raise CorruptData(
            f"cannot cut segment: got runs of {int(counts.sum())} rows, want {rows}, "
            f"at {directory.info.path} block {block}",
            path=directory.info.path,
        )
    return np.repeat(table["run_stream"][here].astype(np.uint32), counts)


def cut_manifest(table: Table, lsn: int, *, at: str) -> Table:
    """Arrays of a manifest as known at an lsn before the end of its backup.

    Parameters
    ----------
    table : dict of str to array
    lsn : int
    at : str
        For messages.

    Returns
    -------
    dict of str to array
        Producers that sent something behind the lsn are forgotten: what they sent last by then is
        not known, and taking an older frame twice is harmless where losing one is not. Deletions
        behind it are gone, erasures stay. Series whose newest sample may be another are marked.
        Places that imports had reached are forgotten: rows imported again fall together.
    """
    limit = np.uint64(lsn)
    cut = dict(table)
    _keep_rows(cut, "producer_", table["producer_lsn"] <= limit)
    moved = table["latest_stream"][table["latest_stamp"] >> np.uint64(1) > limit]
    changed = [moved, table.get("stale_stream", moved[:0])]
    if "tombstone_lsn" in table:
        stays = (table["tombstone_lsn"] <= limit) | (table["tombstone_erase"] != 0)
        changed.append(table["tombstone_stream"][~stays])
        _keep_rows(cut, "tombstone_", stays)
    # A series may be younger than the arrays: then only the log tells of it.
    series = ~np.isin(np.concatenate(changed), _event_streams_of(table))
    cut["stale_stream"] = np.unique(np.concatenate(changed)[series]).astype(np.uint32)
    if "facts" in table:
        facts: Mapping[str, object] = read_json(table, "facts", at=at)
        cut["facts"] = json_column({n: v for n, v in facts.items() if n != _IMPORTS})
    return cut


def _keep_rows(table: Table, prefix: str, mask: BoolArray) -> None:
    for name in [name for name in table if name.startswith(prefix)]:
        table[name] = table[name][mask]


def _event_streams_of(table: Table) -> UInt32Array:
    events = table["stream_kind"] == int(SlotKind.EVENTS)
    return np.asarray(table["stream_id"][events], np.uint32)
