"""The rule of events: key (time, id), the first content wins, equal content is a no-op."""

import hashlib

import numpy as np

from storage_engine.columns import Rows, bits_of
from storage_engine.sample import BoolArray, ColumnData


def sort_events(rows: Rows) -> Rows:
    """Rows in (time, id, stamp) order, stable.

    Parameters
    ----------
    rows : Rows
        Event rows.

    Returns
    -------
    Rows
    """
    time = rows.timestamp_ns
    if len(rows) < 2 or bool((time[1:] > time[:-1]).all()):
        return rows
    assert rows.event_id is not None, "event rows have an id"
    halves = np.ascontiguousarray(rows.event_id).view(">u8").reshape(-1, 2)
    order = np.lexsort((rows.stamp, halves[:, 1], halves[:, 0], time))
    return rows.take(order)


def _same_column(column: ColumnData) -> BoolArray:
    bits = bits_of(column.value)
    equal = np.asarray(bits[1:] == bits[:-1], np.bool_)
    if column.valid is None:
        return equal
    alike: BoolArray = (column.valid[1:] == column.valid[:-1]) & (equal | ~column.valid[1:])
    return alike


def event_rule(rows: Rows, *, conflicts: bool = False) -> Rows:
    """One row per key, the first by lsn.

    Parameters
    ----------
    rows : Rows
        Event rows in (time, id, stamp) order.
    conflicts : bool
        Also give later rows of other content behind the first of their key, each content once.

    Returns
    -------
    Rows
    """
    time = rows.timestamp_ns
    if len(rows) < 2 or bool((time[1:] > time[:-1]).all()):
        return rows
    assert rows.event_id is not None, "event rows have an id"
    ids = np.ascontiguousarray(rows.event_id).view(np.uint64).reshape(-1, 2)
    again = (time[1:] == time[:-1]) & (ids[1:] == ids[:-1]).all(axis=1)
    if not again.any():
        return rows
    keep = np.concatenate(([True], ~again))
    if conflicts:
        same = again.copy()
        for column in rows.data:
            same &= _same_column(column)
        keep[1:] |= again & ~same
        _each_content_once(rows, np.concatenate(([False], again)), keep)
    return rows.take(keep)


def _each_content_once(rows: Rows, again: BoolArray, keep: BoolArray) -> None:
    seen: set[bytes] = set()
    tail = np.append(again[1:], False)
    # Only keys that came more than once are looked at row by row.
    where = np.flatnonzero(again | tail)
    for row, content in zip(where.tolist(), content_hashes(rows.take(where)), strict=True):
        if not again[row]:
            seen = set()
        keep[row] = content not in seen
        seen.add(content)


def content_hashes(rows: Rows) -> list[bytes]:
    """Hash of each row's columns, for telling a redelivery from a conflict.

    Parameters
    ----------
    rows : Rows

    Returns
    -------
    list of bytes
        16 bytes per row. Nulls at the end do not count, so that a grown schema changes nothing.
    """
    columns = [ColumnData(c.type, bits_of(c.value), c.valid).objects() for c in rows.data]
    out = []
    for values in zip(*columns, strict=True) if columns else [()] * len(rows):
        content = list(values)
        while content and content[-1] is None:
            content.pop()
        text = repr(content).encode("utf-8", "surrogatepass")
        out.append(hashlib.blake2b(text, digest_size=16).digest())
    return out


def event_keys(rows: Rows) -> list[bytes]:
    """Key of each row as bytes: time, then id.

    Parameters
    ----------
    rows : Rows
        Event rows.

    Returns
    -------
    list of bytes
        24 bytes per row.
    """
    assert rows.event_id is not None, "event rows have an id"
    joined = np.empty((len(rows), 24), np.uint8)
    joined[:, :8] = np.ascontiguousarray(rows.timestamp_ns).view(np.uint8).reshape(-1, 8)
    joined[:, 8:] = np.ascontiguousarray(rows.event_id).view(np.uint8).reshape(-1, 16)
    whole = joined.tobytes()
    return [whole[i : i + 24] for i in range(0, len(whole), 24)]
