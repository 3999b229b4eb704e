"""Rows in key order cut into blocks: streams of many rows get blocks of their own.

Such blocks begin at the stream's first row, so tags of one scan are cut at the same times and share
their columns of times (docs/format/segment.md, codec 16). Streams of few rows share **pages**,
whole, since a checksum and a column table for each would outweigh them.
"""

from collections.abc import Callable

import numpy as np

from storage_engine.columns import Rows, join_rows
from storage_engine.sample import UInt32Array

Write = Callable[[UInt32Array, Rows], None]
_OWN_SHARE = 8  # a stream with this part of a block's rows gets blocks of its own


class Blocking:
    """Cuts the rows of one segment.

    Parameters
    ----------
    write : callable
        Takes stream and rows of one block.
    block_rows : int
        Rows of a block at most.

    Notes
    -----
    Held are less than a block of the stream at hand and less than a page, copied out of what they
    came in. Pages and blocks of one stream lie among each other in the file: two sequences, each in
    key order.
    """

    def __init__(self, write: Write, block_rows: int) -> None:
        self._write = write
        self._block_rows = block_rows
        self._own_rows = max(block_rows // _OWN_SHARE, 1)
        self._stream = -1  # the stream at hand
        self._rows: list[Rows] = []
        self._count = 0
        self._last: int | None = None  # time of the last row that is in a block of its own
        self._page: list[tuple[UInt32Array, Rows]] = []
        self._page_count = 0

    def add(self, stream: UInt32Array, rows: Rows) -> None:
        """Take rows of the column set at hand, behind those before in key order.

        Parameters
        ----------
        stream : uint32, shape (n,)
        rows : Rows
            n rows.
        """
        if len(stream) == 0:
            return
        starts = np.concatenate(([0], np.flatnonzero(stream[1:] != stream[:-1]) + 1))
        if int(stream[0]) != self._stream:
            self._end_stream()
        elif len(starts) == 1:
            self._go_on(int(stream[0]), rows)
            return
        else:
            self._go_on(self._stream, rows.take(slice(0, int(starts[1]))))
            self._end_stream()
            starts = starts[1:]
        # The last stream may go on; those before it are whole.
        counts = np.diff(starts)
        begin = int(starts[0])
        for place in np.flatnonzero(counts >= self._own_rows).tolist():
            first, end = int(starts[place]), int(starts[place + 1])
            self._add_to_page(stream[begin:first], rows.take(slice(begin, first)))
            self._go_on(int(stream[first]), rows.take(slice(first, end)))
            self._end_stream()
            begin = end
        last = int(starts[-1])
        self._add_to_page(stream[begin:last], rows.take(slice(begin, last)))
        self._go_on(int(stream[last]), rows.take(slice(last, None)))

    def end(self) -> None:
        """Write what is left, before rows of other columns or the end."""
        self._end_stream()
        self._write_page(whole=True)

    def _go_on(self, stream: int, rows: Rows) -> None:
        """Take rows of the stream at hand and write its whole blocks."""
        self._stream = stream
        self._rows.append(rows)
        self._count += len(rows)
        size = self._block_rows
        if self._count < size:
            # The whole piece stays in memory as long as a view of it does.
            self._rows[-1] = _copied(rows)
            return
        rows = join_rows(self._rows)
        end = len(rows) // size * size
        for begin in range(0, end, size):
            self._own_block(rows.take(slice(begin, begin + size)))
        self._count = len(rows) - end
        self._rows = [_copied(rows.take(slice(end, None)))] if self._count else []

    def _own_block(self, rows: Rows) -> None:
        self._write(np.full(len(rows), self._stream, np.uint32), rows)
        self._last = int(rows.timestamp_ns[-1])

    def _end_stream(self) -> None:
        if self._count:
            rows = join_rows(self._rows)
            # Rows of one time stay in one sequence: equal stamps have no other order.
            tied = self._last == int(rows.timestamp_ns[0])
            if self._count >= self._own_rows or tied:
                self._own_block(rows)
            else:
                self._add_to_page(np.full(len(rows), self._stream, np.uint32), rows)
        self._stream, self._rows, self._count, self._last = -1, [], 0, None

    def _add_to_page(self, stream: UInt32Array, rows: Rows) -> None:
        if len(stream) == 0:
            return
        self._page.append((stream, rows))
        self._page_count += len(stream)
        if self._page_count > self._block_rows:
            self._write_page(whole=False)
        else:
            self._page[-1] = (stream.copy(), _copied(rows))

    def _write_page(self, *, whole: bool) -> None:
        """Write pages of whole streams; unless all are wanted, the last one waits for more."""
        if not self._page:
            return
        stream = np.concatenate([part[0] for part in self._page])
        rows = join_rows([part[1] for part in self._page])
        ends = np.append(np.flatnonzero(stream[1:] != stream[:-1]) + 1, len(stream))
        begin = 0
        while len(stream) - begin > (0 if whole else self._block_rows):
            place = int(np.searchsorted(ends, begin + self._block_rows, "right")) - 1
            end = int(ends[place])
            part = slice(begin, end)
            self._write(stream[part], rows.take(part))
            begin = end
        rest = slice(begin, None)
        self._page_count = len(stream) - begin
        self._page = [(stream[rest].copy(), _copied(rows.take(rest)))] if self._page_count else []


def _copied(rows: Rows) -> Rows:
    return rows.take(np.arange(len(rows)))
