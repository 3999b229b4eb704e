"""The rule of revisions (docs/decisions/0003-revisions.md, 0005-tombstones.md) over sorted rows.

Rows of one time are taken in lsn order; a kept row is a revision. A deletion stands in that order
like a row: behind it a value written with authority is a revision again, while a redelivery of
anything seen before stays dropped, so that what was deleted does not come back by itself.
"""

from collections.abc import Sequence

import numpy as np

from storage_engine.columns import IndexArray, Rows, bits_of
from storage_engine.sample import BoolArray, UInt32Array
from storage_engine.streams import Duplicates
from storage_engine.tombstones import Tombstone, deleted


def same_as_before(rows: Rows, stream: UInt32Array | None = None) -> BoolArray:
    """Mask of rows whose stream, time, quality and value equal those of the row before.

    Parameters
    ----------
    rows : Rows
        Series rows.
    stream : uint32, shape (n,), optional
        Stream of each row when rows of several lie together.

    Returns
    -------
    bool, shape (n,)
        The first entry is False.
    """
    out = np.zeros(len(rows), np.bool_)
    assert rows.quality is not None, "series rows have a quality"
    time, quality, column = rows.timestamp_ns, rows.quality, rows.data[0]
    alike = (time[1:] == time[:-1]) & (quality[1:] == quality[:-1])
    if stream is not None:
        alike &= stream[1:] == stream[:-1]
    if not alike.any():
        return out
    bits = bits_of(column.value)
    equal = np.asarray(bits[1:] == bits[:-1], np.bool_)
    if column.valid is not None:
        valid = column.valid
        equal = (valid[1:] == valid[:-1]) & (equal | ~valid[1:])
    out[1:] = alike & equal
    return out


def drop_certain(rows: Rows, stream: UInt32Array) -> BoolArray:
    """Part of the rule that holds whatever older rows exist, of rows that nothing lies between.

    Parameters
    ----------
    rows : Rows
        Series rows in (stream, time, stamp) order.
    stream : uint32, shape (n,)

    Returns
    -------
    bool, shape (n,)
        True for rows to keep.

    Notes
    -----
    A row equal to its neighbour goes, unless it is authoritative behind an observed one: older
    rows may show that one to be a redelivery.
    """
    same = same_as_before(rows, stream)
    if not same.any():
        return ~same
    observed = (rows.stamp & np.uint64(1)).astype(np.bool_)
    same[1:] &= observed[1:] | ~observed[:-1]
    return ~same


def drop_redelivered(rows: Rows, stream: UInt32Array) -> BoolArray:
    """Part of the rule that holds whatever lies between the rows: what any rewrite may drop.

    Parameters
    ----------
    rows : Rows
        Series rows in (stream, time, stamp) order, not all of those that there are.
    stream : uint32, shape (n,)

    Returns
    -------
    bool, shape (n,)
        True for rows to keep: all but observed rows equal to the row before them.
    """
    observed = (rows.stamp & np.uint64(1)).astype(np.bool_)
    return ~(same_as_before(rows, stream) & observed)


def revisions(rows: Rows, deletes: Sequence[Tombstone] = ()) -> Rows:
    """Apply the whole rule: rows that are kept and not deleted, in (time, stamp) order.

    Parameters
    ----------
    rows : Rows
        Series rows of one stream in (time, stamp) order, erased ones left out.
    deletes : sequence of Tombstone
        Deletions of the stream that hold for this read, in order of lsn.

    Returns
    -------
    Rows
        ``rows`` itself when no time repeats and nothing is deleted.
    """
    hidden = deleted(rows, deletes) if deletes else None
    if hidden is None:
        keep = _kept(rows)
        return rows if keep is None else rows.take(keep)
    time = rows.timestamp_ns
    marked = np.isin(time, time[hidden])
    keep = np.ones(len(rows), np.bool_)
    apart = np.flatnonzero(~marked)
    kept = _kept(rows.take(apart))
    if kept is not None:
        keep[apart] = kept
    where = np.flatnonzero(marked)
    starts, sizes = _groups(rows.take(where))
    for start, size in zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
        _rule_of_group(rows, where[start : start + size], keep, deletes)
    return rows.take(keep & ~hidden)


def _groups(rows: Rows) -> tuple[IndexArray, IndexArray]:
    """First row and size of each group of equal times."""
    time = rows.timestamp_ns
    first = np.concatenate(([True], time[1:] != time[:-1]))[: len(rows)]
    starts = np.flatnonzero(first)
    return starts, np.diff(np.append(starts, len(rows)))


def _kept(rows: Rows) -> BoolArray | None:
    """Mask of the rule without deletions; None when every row stays."""
    time = rows.timestamp_ns
    if len(rows) < 2 or bool((time[1:] > time[:-1]).all()):
        return None
    certain = drop_certain(rows, np.zeros(len(rows), np.uint32))
    places = np.flatnonzero(certain)
    rest = rows.take(places)
    keep = np.ones(len(rest), np.bool_)
    starts, sizes = _groups(rest)
    # Most groups are a value and its one redelivery or rewrite: those need no loop.
    pairs = starts[sizes == 2] + 1
    keep[pairs] &= ~same_as_before(rest)[pairs]
    for start, size in zip(starts[sizes > 2].tolist(), sizes[sizes > 2].tolist(), strict=True):
        _rule_of_group(rest, np.arange(start, start + size), keep, ())
    certain[places] = keep
    return None if certain.all() else certain


def _rule_of_group(
    rows: Rows, where: IndexArray, keep: BoolArray, deletes: Sequence[Tombstone]
) -> None:
    """Apply the rule in order to the rows of one time; marks in ``keep``."""
    assert rows.quality is not None, "series rows have a quality"
    group = rows.take(where)
    assert group.quality is not None, "as before"
    column, time = group.data[0], int(group.timestamp_ns[0])
    waiting = [d.lsn * 2 for d in deletes if d.start_ns <= time < d.end_ns]
    bits = bits_of(column.value).tolist()
    valid = [True] * len(group) if column.valid is None else column.valid.tolist()
    newest: object = None
    kept: set[object] = set()
    facts = zip(bits, valid, group.quality.tolist(), group.stamp.tolist(), strict=True)
    for place, (bit, ok, quality, stamp) in zip(where.tolist(), facts, strict=True):
        while waiting and waiting[0] <= stamp:
            del waiting[0]
            newest = None
        row = (bit if ok else None, ok, quality)
        if row == newest or (stamp & 1 and row in kept):
            keep[place] = False
            continue
        newest = row
        kept.add(row)


def one_per_time(rows: Rows, duplicates: Duplicates = Duplicates.LAST) -> Rows:
    """What a plain read gives of kept revisions: the last or first of each time, or all.

    Parameters
    ----------
    rows : Rows
        In (time, stamp) order, revisions already resolved.
    duplicates : Duplicates
        Rule of the stream.

    Returns
    -------
    Rows
    """
    time = rows.timestamp_ns
    if len(rows) < 2 or duplicates is Duplicates.ALL:
        return rows
    apart = time[1:] != time[:-1]
    ends = ([True], apart) if duplicates is Duplicates.FIRST else (apart, [True])
    chosen = np.concatenate(ends)
    return rows if chosen.all() else rows.take(chosen)
