"""How long values were held in the vectors of a stream, as the last part of a pyramid chunk.

Of each vector the 16 values held longest are kept, of the stream the 255 values; what is held by
others is one number a vector. Streams of numbers have this part only when they hold few values.
Layout: docs/format/segment.md, section Pyramid.
"""

import numpy as np
import numpy.typing as npt

from storage_engine.codec.kernels import column_decode, packed_encode
from storage_engine.fold import FoldColumns
from storage_engine.fold_codes import HELD, held, hold
from storage_engine.fold_state import DURATIONS
from storage_engine.sample import Int64Array, UInt64Array
from storage_engine.segment.lengths import length_bytes, read_lengths

KEPT = 16  # values of a vector
_CODES_MAX = 255  # of a stream
_NUMBERS = 4  # types of the fold below this are numbers
_PACKED = 8
_INT64 = np.dtype(np.int64)


def encode_states(vectors: FoldColumns) -> bytes:
    """Bytes of the part.

    Parameters
    ----------
    vectors : FoldColumns, n rows

    Returns
    -------
    bytes
        Empty when there is nothing to tell.
    """
    starts, values = held(vectors)
    codes, place = np.unique(values["code"], return_inverse=True)
    if len(codes) == 0 or (vectors.kind < _NUMBERS and len(codes) > KEPT):
        return b""
    total = np.zeros(len(codes), np.uint64)
    np.add.at(total, place, values["ns"])
    order = np.lexsort((codes, ~total))[:_CODES_MAX]
    column = np.full(len(codes), -1)
    column[order] = np.arange(len(order))
    owner = np.repeat(np.arange(len(vectors)), np.diff(starts))
    longest = np.lexsort((values["code"], ~values["ns"], owner))
    kept = longest[np.arange(len(owner)) - starts[owner] < KEPT]
    kept = kept[column[place[kept]] >= 0]
    ns = np.zeros((len(order), len(vectors)), np.uint64)
    ns[column[place[kept]], owner[kept]] = values["ns"][kept]
    other = vectors.table["covered_ns"] - ns.sum(0, np.uint64)
    bodies = [packed_encode(row.view(np.int64)) if row.any() else b"" for row in (other, *ns[1:])]
    head = bytes([len(order)]) + codes[order].astype("<u8").tobytes()
    return head + b"".join(length_bytes(len(body)) for body in bodies) + b"".join(bodies)


def decode_states(part: memoryview, vectors: FoldColumns) -> None:
    """Let vectors tell what the part says, where it is all of what they held.

    Parameters
    ----------
    part : memoryview
        To the end of the chunk.
    vectors : FoldColumns, n rows
        Just made.

    Raises
    ------
    ValueError, IndexError, DataError
        When the structure does not hold.
    """
    count, rows = part[0], len(vectors)
    at = 1 + 8 * count
    codes = np.frombuffer(part[1:at], "<u8")
    sizes, at = read_lengths(part, at, count)
    if count == 0 or len(np.unique(codes)) != count or at + sum(sizes) != len(part):
        raise ValueError("got held values that do not fill the chunk")
    columns: list[UInt64Array] = []
    rest = vectors.table["covered_ns"].copy()
    for size in sizes:
        column = np.zeros(rows, np.uint64)
        if size:
            column = column_decode(_PACKED, part[at : at + size], rows, _INT64).view(np.uint64)
        at += size
        if (column > rest).any():
            raise ValueError("got values held longer than rows last")
        rest -= column
        columns.append(column)
    known = columns[0] == 0
    columns[0] = rest
    _hold(vectors, codes, np.array(columns, np.uint64).reshape(count, rows), known)


def _hold(
    vectors: FoldColumns, codes: UInt64Array, ns: UInt64Array, known: npt.NDArray[np.bool_]
) -> None:
    order = np.argsort(codes)
    owner, column = np.nonzero(ns[order].T * known[:, None])
    values = np.zeros(len(owner), HELD)
    values["code"], values["ns"] = codes[order][column], ns[order].T[owner, column]
    starts: Int64Array = np.searchsorted(owner, np.arange(len(vectors) + 1)).astype(np.int64)
    hold(vectors, known, starts, values)


def with_durations(states: FoldColumns, vectors: FoldColumns, starts: Int64Array) -> None:
    """Let runs tell what their vectors do.

    Parameters
    ----------
    states : FoldColumns, r rows
        Of runs, just made.
    vectors : FoldColumns
        Of these runs, in their order.
    starts : int64, shape (r,)
        First vector of each.
    """
    if not (vectors.known & DURATIONS).any():
        return
    merged = vectors.merge(starts)
    hold(states, (merged.known & DURATIONS).astype(np.bool_), *held(merged))
