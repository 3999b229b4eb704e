"""Readers that fold: over an engine, and over lists with the engine's own kernels."""

import numpy as np

from historian.runtime_folds import edges_behind, folded_columns, occurs_again
from historian.runtime_reader import StoreReader
from query.testing import MemoryReader
from storage_engine.fold import FoldColumns
from storage_engine.fold_reads import Folded
from storage_engine.fold_state import DURATIONS, EVERY_SUM, FOLD_TYPES
from storage_engine.segment.summary import fold_cells


class FoldingReader(MemoryReader):
    """As its parent, and windows are folded."""

    folds = 0

    def fold(self, series_id, edges_ns, wanted=(), *, known_at_lsn=None):
        rows = self.read(series_id, int(edges_ns[0]), int(edges_ns[-1]), known_at_lsn=known_at_lsn)
        found = folded_columns(self._folded(rows, edges_ns), wanted)
        if found is None:
            return None
        self.folds += 1
        for name, field in (("minimum", "more_minima"), ("maximum", "more_maxima")):
            if "ties" in wanted:
                edges = edges_behind(edges_ns, found, f"{name}_ns")
                rest = folded_columns(self._folded(rows, edges), ())
                getattr(found, field)[:] = occurs_again(found, rest, name)
        return found

    @staticmethod
    def _folded(rows, edges):
        kind, valid, cells = FOLD_TYPES[rows.value.type], rows.value.valid, fold_cells(rows.value)
        states = FoldColumns.fold(
            kind,
            rows.timestamp_ns,
            cells,
            rows.quality,
            None if valid is None else valid.view(np.uint8),
            np.searchsorted(rows.timestamp_ns, edges),
            wanted=np.full(len(edges) - 1, EVERY_SUM | DURATIONS, np.uint8),
        )
        return Folded(edges, (states,), ((0, 0),))


def reader_of(engine):
    """What query reads an engine by."""
    reader = StoreReader()
    reader.use(engine, None)
    return reader
