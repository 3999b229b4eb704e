"""Reads the samples of a drawing piece by piece, and keeps what is drawn."""

import numpy as np

from query.columns import NUMERIC, join_columns, take_columns
from query.downsample import candidates, select, select_extremes, select_triangles
from query.errors import LimitExceeded
from query.expression.condition import Condition
from query.expression.spans import Spans
from query.plan import columns_over
from query.request import PlotRequest, QueryLimits
from query.result import PlotResult
from query.series import TagSamples, as_signal
from query.triangles import PRESELECTED
from storage_engine.sample import BAD_NO_DATA, ColumnData, Int64Array, SampleColumns


class Drawing:
    """One line.

    Parameters
    ----------
    samples : TagSamples
    request : PlotRequest
    edges_ns : int64, shape (pixels + 1,)
    limits : QueryLimits
    condition : Condition or None
        Draw the time alone in which it is true.

    Attributes
    ----------
    samples_used : int
        Samples that the rows stand for, once they are read.
    true_ns, unknown_ns : int or None
        Time in which the condition is true, and not known; None without one.
    """

    def __init__(
        self,
        samples: TagSamples,
        request: PlotRequest,
        edges_ns: Int64Array,
        limits: QueryLimits,
        condition: Condition | None = None,
    ) -> None:
        self._samples, self._request, self._limits = samples, request, limits
        self._edges, self._kept_edges = edges_ns, edges_ns
        self._numeric = samples.tag.type in NUMERIC
        if request.method == "minmaxlttb":
            count = PRESELECTED * (len(edges_ns) - 1)
            self._kept_edges = columns_over(request.start_ns, request.end_ns, count)
        self._condition = condition
        self._begins_true = self._ends_true = condition is None
        # Whether a line goes on from the rows so far.
        self._drawn = False
        self.samples_used = 0
        self.true_ns = self.unknown_ns = None if condition is None else 0

    def read(self) -> SampleColumns:
        """Rows to draw.

        Raises
        ------
        LimitExceeded
            When more than ``limits.scan_rows_max`` samples would be read, or for ``lttb``, which
            needs them all at once, more than ``limits.rows_max``; and as ``Condition.spans``.
        """
        request, limits, method = self._request, self._limits, self._request.method
        pieces, rows = [], 0
        position, complete = request.start_ns, False
        while not complete:
            piece, complete = self._samples.read(
                position, request.end_ns, max_count=limits.chunk_rows, numeric=self._numeric
            )
            rows += len(piece)
            if rows > limits.scan_rows_max:
                raise self._too_many(limits.scan_rows_max, "a shorter window")
            behind = request.end_ns if complete else int(piece.timestamp_ns[-1]) + 1
            if self._condition is not None:
                piece = self._filtered(piece, self._condition.spans(position, behind))
            else:
                self.samples_used += len(piece)
            position = behind
            if method != "lttb":
                signal = as_signal(piece, numeric=self._numeric)
                kept = candidates(signal, self._kept_edges, numeric=self._numeric)
                piece = take_columns(piece, kept)
            elif self.samples_used > limits.rows_max:
                raise self._too_many(limits.rows_max, "a shorter window, or minmaxlttb")
            pieces.append(piece)
        inside = join_columns(pieces, numeric=self._numeric)
        return take_columns(inside, self._chosen(inside).astype(np.int64))

    def result(self) -> PlotResult:
        """Read and answer; raises as :meth:`read`."""
        inside, samples = self.read(), self._samples
        before, after = self._bounds()
        columns = join_columns([before, inside, after], numeric=self._numeric)
        bound = np.ones(len(columns), dtype=np.bool_)
        bound[len(before) : len(before) + len(inside)] = False
        mark = as_signal(columns, numeric=self._numeric).severity == 2
        seen = () if self._condition is None else self._condition.damage
        damage = tuple(dict.fromkeys([*samples.damage, *seen]))
        told = (self.samples_used, damage, self.true_ns, self.unknown_ns)
        return PlotResult(samples.tag, columns, mark, bound, *told)

    def _bounds(self) -> tuple[SampleColumns, SampleColumns]:
        """Find the samples next to the window, those to which a line is drawn: 0 or 1 row each."""
        before = self._samples.previous(self._request.start_ns)
        after = self._samples.next(self._request.end_ns, inclusive=True)
        return (
            take_columns(before, slice(0, int(self._begins_true))),
            take_columns(after, slice(0, int(self._ends_true))),
        )

    def _chosen(self, inside: SampleColumns) -> Int64Array:
        """Rows that are drawn of those that were kept."""
        numeric, method = self._numeric, self._request.method
        signal = as_signal(inside, numeric=numeric)
        if method == "pi":
            return select(signal, self._edges, numeric=numeric)
        if method == "m4":
            broken = self._condition is not None
            return select_extremes(signal, self._edges, numeric=numeric, breaks=broken)
        rows = np.arange(len(inside))
        if method == "minmaxlttb":  # a column that was read in pieces has kept more
            rows = candidates(signal, self._kept_edges, numeric=True)
        return np.asarray(rows[select_triangles(signal.take(rows), self._edges)])

    def _filtered(self, piece: SampleColumns, spans: Spans) -> SampleColumns:
        """Samples of true spans, and a null where a line would go on beyond one."""
        if spans.start_ns[0] == self._request.start_ns:
            self._begins_true = self._drawn = bool(spans.state[0] == 1)
        self._ends_true = bool(spans.state[-1] == 1)
        self.true_ns = (self.true_ns or 0) + spans.time(1)
        self.unknown_ns = (self.unknown_ns or 0) + spans.time(0)
        kept = take_columns(piece, np.flatnonzero(spans.at(piece.timestamp_ns) == 1))
        self.samples_used += len(kept)
        ends = spans.start_ns[spans.state != 1]
        times = np.concatenate([kept.timestamp_ns, ends])
        order = np.argsort(times, kind="stable")
        sample = order < len(kept)
        # A null behind another one, or before any line, breaks nothing.
        needed = sample | np.append(self._drawn, sample)[:-1]
        if len(order):
            self._drawn = bool(sample[-1])
        none = np.zeros(len(ends), piece.value.value.dtype)
        nulls = SampleColumns(
            ends,
            np.full(len(ends), BAD_NO_DATA, np.uint32),
            ColumnData(piece.value.type, none, np.zeros(len(ends), np.bool_)),
            np.zeros(len(ends), np.uint64),
        )
        return join_columns([kept, nulls], order[needed], numeric=self._numeric)

    def _too_many(self, most: int, advice: str) -> LimitExceeded:
        got, where = f"more than {most} samples", f"tag {self._samples.tag.name!r}"
        return LimitExceeded("plot", got=got, want=advice, where=where)
