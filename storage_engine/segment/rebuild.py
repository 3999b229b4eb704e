"""A directory made anew from the blocks and their run lists, where the file's own is damaged.

So a broken header, directory or trailer costs no row: docs/format/segment.md, section Damage.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from storage_engine.block import BlockIdentity, block_columns, decode_block
from storage_engine.columns import Rows
from storage_engine.errors import DataError
from storage_engine.segment.layout import EDGE_BYTES
from storage_engine.segment.owners import FoundOwners
from storage_engine.segment.run_list import MAGIC, RunList, decode_run_list
from storage_engine.segment.summary import summarize
from storage_engine.table import Table

_ALIGN = 8
_LOOK_BACK = 4 << 20  # a block is never larger


def rebuild_directory(
    data: bytes, incarnations: Iterable[bytes], segment_id: int
) -> tuple[bytes, Table] | None:
    """Look through a whole segment for blocks that check out.

    Parameters
    ----------
    data : bytes
        The file, as much as there is.
    incarnations : iterable of bytes
        Those that may have written it.
    segment_id : int

    Returns
    -------
    incarnation : bytes
    table : dict of str to array
        The arrays of a directory that reads need; a block that was not found has no rows.
        None instead of both when no block was found.
    """
    for incarnation in incarnations:
        blocks: list[tuple[int, int, int, int]] = []
        runs: list[Table] = []
        for number, offset, size, rows, held in _Search(data, incarnation, segment_id).blocks():
            blocks.append((number, offset, size, len(rows)))
            starts = held.start.astype(np.intp)
            runs.append(
                {
                    **summarize(rows, starts),
                    "run_stream": held.stream,
                    "run_block": np.full(len(starts), number, np.uint32),
                    "run_start": held.start.astype(np.uint32),
                    "run_rows": np.diff(np.append(starts, len(rows))).astype(np.uint32),
                }
            )
        if blocks:
            return incarnation, _table(blocks, runs)
    return None


def _table(blocks: list[tuple[int, int, int, int]], runs: list[Table]) -> Table:
    joined = {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}
    order = np.lexsort((joined["run_block"], joined["run_first"], joined["run_stream"]))
    last = max(number for number, *_ in blocks)
    places = np.zeros((last + 1, 3), np.uint64)
    for number, *facts in blocks:
        places[number] = facts
    return {
        "block_offset": places[:, 0],
        "block_length": places[:, 1].astype(np.uint32),
        "block_rows": places[:, 2].astype(np.uint32),
        **{name: values[order] for name, values in joined.items()},
    }


class _Search:
    """One pass over the bytes of a segment."""

    def __init__(self, data: bytes, incarnation: bytes, segment_id: int) -> None:
        self.data = data
        self.view = memoryview(data)
        self.incarnation = incarnation
        self.segment_id = segment_id
        self.owners = FoundOwners(data)

    def blocks(self) -> Iterator[tuple[int, int, int, Rows, RunList]]:
        """Blocks with a sound run list behind them: number, offset, size, rows, list."""
        begin, at = EDGE_BYTES, EDGE_BYTES
        while (at := self.data.find(MAGIC, at)) >= 0:
            held = self.list_at(at) if at % _ALIGN == 0 else None
            if held is None:
                at += 1
                continue
            found = self.block_before(begin, at, held)
            at += held.size + -held.size % _ALIGN
            begin = at
            if found is not None:
                offset, size, rows = found
                yield held.block, offset, size, rows, held

    def list_at(self, at: int) -> RunList | None:
        try:
            return decode_run_list(self.view[at:], self.incarnation, self.segment_id, at="")
        except (DataError, ValueError, OverflowError, MemoryError):
            return None

    def block_before(self, begin: int, end: int, held: RunList) -> tuple[int, int, Rows] | None:
        """Block that ends where its list begins; it starts at ``begin`` unless others are lost."""
        identity = BlockIdentity(self.incarnation, self.segment_id, held.block, int(held.stream[0]))
        for offset in chain((begin,), range(max(begin, end - _LOOK_BACK), end, _ALIGN)):
            try:
                size, _ = block_columns(self.view[offset:end], at="")
                if offset + size + -size % _ALIGN != end:
                    continue
                piece = bytes(self.view[offset : offset + size])
                rows = decode_block(piece, identity, at="", resolve=self.owners.column)
            except (DataError, ValueError, OverflowError, MemoryError):
                continue
            ends = np.append(held.start[1:], len(rows)).astype(np.int64)
            if (ends > held.start.astype(np.int64)).all():
                self.owners.note(offset, size, identity)
                return offset, size, rows
        return None
