"""Newest samples as Python values, and the cases that only a read can settle."""

import numpy as np
import numpy.typing as npt

from storage_engine.columns import STRINGS
from storage_engine.head import Head
from storage_engine.newest import (
    FIRST,
    PRESENT,
    REWRITTEN,
    VALID,
    Newest,
    cells_of,
    values_of,
)
from storage_engine.sample import SampleColumns, ValueType


def values_by_type(
    newest: Newest, types: npt.NDArray[np.uint8], texts: list[object]
) -> list[object]:
    """Values of rows of the table, None where there is none.

    Parameters
    ----------
    newest : Newest
        n rows.
    types : uint8, shape (n,)
        Value type of each row.
    texts : list
        Dictionary of the head that the cells belong to.

    Returns
    -------
    list
        Python values, n entries.
    """
    out = np.empty(len(types), np.object_)
    has = (newest.flags & (PRESENT | VALID)) == (PRESENT | VALID)
    for number in np.unique(types[has]).tolist():
        mask = has & (types == number)
        values = values_of(ValueType(number), newest.cell[mask], texts).tolist()
        holder = np.empty(len(values), np.object_)
        holder[:] = values
        out[mask] = holder
    plain: list[object] = out.tolist()
    return plain


def settle(newest: Newest, stream_id: int, head: Head, rows: SampleColumns) -> None:
    """Write down what a read found to be the newest sample of a series.

    Parameters
    ----------
    newest : Newest
        Changed in place.
    stream_id : int
    head : Head
        The front head, whose dictionary takes strings.
    rows : SampleColumns
        No row or one: the newest sample as read, with nothing applied since.
    """
    first = int(newest.flags[stream_id]) & FIRST
    if len(rows) == 0:
        newest.flags[stream_id] = first
        return
    valid = rows.value.valid is None or bool(rows.value.valid[0])
    if not valid:
        newest.cell[stream_id] = 0
    elif rows.value.type in STRINGS:
        newest.cell[stream_id] = head.intern(rows.value.value[0])
    else:
        newest.cell[stream_id] = cells_of(rows.value.type, rows.value.value)[0]
    newest.time[stream_id] = rows.timestamp_ns[0]
    newest.quality[stream_id] = rows.quality[0]
    newest.stamp[stream_id] = rows.lsn[0] * np.uint64(2)
    # Marked as rewritten, so that an observed row of this time is settled by a read again.
    newest.flags[stream_id] = PRESENT | REWRITTEN | first | (VALID if valid else 0)
