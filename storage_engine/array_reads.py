"""Stretches of a window put one behind the other into arrays."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from storage_engine.arrays import SampleArrays, aligned, sample_arrays
from storage_engine.blocks import GOOD, LOADED, STOPPED, WHOLE, Stop, read_runs
from storage_engine.errors import LimitExceeded
from storage_engine.reads import Window
from storage_engine.sample import (
    AnyArray,
    BoolArray,
    Damage,
    Int64Array,
    SampleColumns,
    UInt32Array,
    ValueType,
)
from storage_engine.stretches import Stretches

RowRead = Callable[[Window], SampleColumns]


def as_arrays(value_type: ValueType, rows: SampleColumns) -> SampleArrays:
    """What the ordinary read gave, as a fast read gives it.

    Parameters
    ----------
    value_type : ValueType
    rows : SampleColumns

    Returns
    -------
    SampleArrays
    """
    time, value = sample_arrays(value_type, len(rows), None)
    time[:], value[:] = rows.timestamp_ns, rows.value.value
    valid = rows.value.valid
    return SampleArrays(
        value_type,
        time,
        value,
        rows.quality if rows.quality.any() else None,
        None if valid is None or valid.all() else valid,
        rows.damage,
    )


def gather(
    value_type: ValueType,
    window: Window,
    found: Stretches,
    read_rows: RowRead,
    *,
    out: SampleArrays | None,
    stop: Stop,
) -> SampleArrays | None:
    """Decode the clean stretches, and put what the ordinary read gives of the others between.

    Parameters
    ----------
    value_type : ValueType
    window : Window
    found : Stretches
        Blocks in memory.
    read_rows : callable
        The ordinary read of a part of the window.
    out : SampleArrays or None
        Its memory may be written over.
    stop : Stop

    Returns
    -------
    SampleArrays or None
        None when the packed bytes do not hold, and only the ordinary read can say what is left.

    Raises
    ------
    LimitExceeded
        It was told to stop.
    """
    clean = found.clean(window.start_ns, window.end_ns)
    rough = [read_rows(replace(window, start_ns=a, end_ns=b)) for a, b in found.rough]
    time, value, quality, valid = _room(value_type, found, rough, out)
    arrays = (time, value.view(np.uint8), quality, None if valid is None else valid.view(np.uint8))
    at = 0
    damage: dict[Damage, None] = {}
    parts = sorted([(a, b, None) for a, b in clean] + _placed(found, rough), key=lambda p: p[0])
    for start, end, rows in parts:
        if rows is None:
            got = read_runs(found.runs, found.begin, found.end, start, end, *arrays, at, stop)
            if got == STOPPED or stop.is_set:
                raise LimitExceeded("cannot read: got told to stop, want to go on")
            if got < 0:
                return None
            at += got
            continue
        to = slice(at, at + len(rows))
        time[to], value[to] = rows.timestamp_ns, rows.value.value
        if quality is not None:
            quality[to] = rows.quality
        if valid is not None:
            valid[to] = True if rows.value.valid is None else rows.value.valid
        at += len(rows)
        damage.update(dict.fromkeys(rows.damage))
    return SampleArrays(
        value_type,
        time[:at],
        value[:at],
        quality[:at] if quality is not None and quality[:at].any() else None,
        valid[:at] if valid is not None and not valid[:at].all() else None,
        tuple(damage),
    )


def _room(
    value_type: ValueType, found: Stretches, rough: list[SampleColumns], out: SampleArrays | None
) -> tuple[Int64Array, AnyArray, UInt32Array | None, BoolArray | None]:
    """Arrays for all rows that there may be; qualities and validity where they may be needed."""
    runs = found.runs[found.begin : found.end]
    runs = runs[(runs["flags"] & LOADED) != 0]
    room = int(runs["rows"].sum(dtype=np.int64)) + sum(map(len, rough))
    time, value = sample_arrays(value_type, room, out)
    quality: UInt32Array | None = None
    valid: BoolArray | None = None
    if not _all(runs["flags"], GOOD) or any(rows.quality.any() for rows in rough):
        quality = aligned(room, np.dtype(np.uint32))  # type: ignore[assignment]
    if not _all(runs["flags"], WHOLE) or any(r.value.valid is not None for r in rough):
        valid = aligned(room, np.dtype(np.bool_))  # type: ignore[assignment]
    return time, value, quality, valid


def _placed(
    found: Stretches, rough: list[SampleColumns]
) -> list[tuple[int, int, SampleColumns | None]]:
    return [(a, b, rows) for (a, b), rows in zip(found.rough, rough, strict=True)]


def _all(flags: UInt32Array, bit: int) -> bool:
    return bool((flags & np.uint32(bit)).all())
