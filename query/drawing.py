"""Reads the samples of a drawing piece by piece, and keeps what is drawn."""

import numpy as np

from query.columns import NUMERIC, join_columns, take_columns
from query.downsample import candidates, select, select_extremes, select_triangles
from query.errors import LimitExceeded
from query.plan import columns_over
from query.request import PlotRequest, QueryLimits
from query.series import TagSamples, as_signal
from query.triangles import PRESELECTED
from storage_engine.sample import Int64Array, SampleColumns


def read_drawing(
    samples: TagSamples, request: PlotRequest, edges_ns: Int64Array, limits: QueryLimits
) -> tuple[SampleColumns, int]:
    """Rows to draw, and how many samples they stand for.

    Parameters
    ----------
    samples : TagSamples
    request : PlotRequest
    edges_ns : int64, shape (pixels + 1,)
    limits : QueryLimits

    Raises
    ------
    LimitExceeded
        When more than ``limits.scan_rows_max`` samples would be read, or for ``lttb``, which
        needs them all at once, more than ``limits.rows_max``.
    """
    numeric, method = samples.tag.type in NUMERIC, request.method
    kept_edges = edges_ns
    if method == "minmaxlttb":
        count = PRESELECTED * (len(edges_ns) - 1)
        kept_edges = columns_over(request.start_ns, request.end_ns, count)
    most, advice = limits.scan_rows_max, "a shorter window"
    if method == "lttb":
        most, advice = limits.rows_max, "a shorter window, or minmaxlttb"
    pieces, used = [], 0
    position, complete = request.start_ns, False
    while not complete:
        piece, complete = samples.read(
            position, request.end_ns, max_count=limits.chunk_rows, numeric=numeric
        )
        used += len(piece)
        if used > most:
            got, where = f"more than {most} samples", f"tag {samples.tag.name!r}"
            raise LimitExceeded("plot", got=got, want=advice, where=where)
        if len(piece):
            position = int(piece.timestamp_ns[-1]) + 1
        if method != "lttb":
            signal = as_signal(piece, numeric=numeric)
            piece = take_columns(piece, candidates(signal, kept_edges, numeric=numeric))
        pieces.append(piece)
    inside = join_columns(pieces, numeric=numeric)
    signal = as_signal(inside, numeric=numeric)
    if method == "minmaxlttb":  # a column that was read in pieces has kept more
        rows = candidates(signal, kept_edges, numeric=True)
        inside, signal = take_columns(inside, rows), signal.take(rows)
    if method == "pi":
        rows = select(signal, edges_ns, numeric=numeric)
    elif method == "m4":
        rows = select_extremes(signal, edges_ns, numeric=numeric)
    else:
        rows = select_triangles(signal, edges_ns)
    return take_columns(inside, rows.astype(np.int64)), used
