"""Blocks of a segment without a sound header, directory or trailer, from segment.md, Damage.

A run list behind each block names the block, its runs and, by its checksum, who wrote it.
"""

from collections.abc import Iterable

import numpy as np
from second_reader.checksum import crc32c
from second_reader.codecs import decode
from second_reader.segments import Segment
from second_reader.words import Cursor, DamagedError

_FIRST = 64


class FoundSegment(Segment):
    """A segment whose blocks were found one by one; what was not found has no rows."""

    def __init__(self, data: bytes, segment_id: int, incarnations: Iterable[bytes]) -> None:
        self.data = data
        self._owned = {}
        self.segment_id = segment_id
        for incarnation in incarnations:
            self.incarnation = incarnation
            if self._search():
                return
        raise DamagedError("no block that checks out")

    def _search(self) -> bool:
        self.first_streams: dict[int, int] = {}
        places: dict[int, tuple[int, int, int]] = {}
        runs: list[tuple[int, int, int, int]] = []
        begin = at = _FIRST
        while (at := self.data.find(b"LHRL", at)) >= 0:
            held = self._list(at) if at % 8 == 0 else None
            if held is None:
                at += 1
                continue
            number, listed, end = held
            found = self._before(begin, at, number, places)
            begin = at = end
            if found is None:
                continue
            places[number] = found
            starts = [start for _, start in listed] + [found[2]]
            for i, (stream, start) in enumerate(listed):
                runs.append((stream, number, start, starts[i + 1] - start))
        if not places:
            return False
        blank = (0, 0, 0)
        rows = [places.get(number, blank) for number in range(max(places) + 1)]
        columns = dict(
            zip(
                ("block_offset", "block_length", "block_rows"), zip(*rows, strict=True), strict=True
            )
        )
        names = ("run_stream", "run_block", "run_start", "run_rows")
        columns |= dict(zip(names, zip(*sorted(runs), strict=True), strict=True))
        self.table = {name: np.array(values) for name, values in columns.items()}
        return True

    def _list(self, at: int) -> tuple[int, list[tuple[int, int]], int] | None:
        """Number, runs and end of the run list at an offset, if it is sound."""
        part = Cursor(self.data, at + 4)
        try:
            crc, number, runs = part.number(4), part.number(4), part.number(4)
            sizes, codecs = (part.number(4), part.number(4)), (part.number(1), part.number(1))
            part.take(6)
            bodies = [part.take(size) for size in sizes]
            steps = [decode(c, b, "<u4", runs) for c, b in zip(codecs, bodies, strict=True)]
        except (DamagedError, ValueError, OverflowError, MemoryError):
            return None
        streams, starts = (np.cumsum(np.asarray(s), dtype=np.uint32).tolist() for s in steps)
        self.first_streams[number] = streams[0] if streams else 0
        if not streams or crc32c(self.identity(number), self.data[at + 8 : part.at]) != crc:
            return None
        end = part.at
        return number, list(zip(streams, starts, strict=True)), end + -end % 8

    def _before(
        self, begin: int, end: int, number: int, places: dict[int, tuple[int, int, int]]
    ) -> tuple[int, int, int] | None:
        """(offset, length, rows) of the block that ends where its run list begins."""
        for offset in (begin, *range(begin, end, 8)):
            rows = int.from_bytes(self.data[offset + 4 : offset + 8], "little")
            for length in range(end - offset, max(end - offset - 8, 12), -1):
                if self._size(offset) != length:
                    continue
                known = {**places, number: (offset, length, rows)}
                self.table = {
                    name: {one: known[one][i] for one in known}
                    for i, name in enumerate(("block_offset", "block_length", "block_rows"))
                }
                try:
                    self.block(number)
                except (DamagedError, KeyError, ValueError, OverflowError, MemoryError):
                    break
                return offset, length, rows
        return None

    def _size(self, offset: int) -> int:
        """Bytes of a block by its own column table, 0 when it has none."""
        part = Cursor(self.data, offset + 8)
        try:
            columns = part.number(2)
            part.take(2)
            entries = [
                [part.number(n) for n in (1, 1, 1, 1, 2, 2, 4, 4, 4)] for _ in range(columns)
            ]
        except DamagedError:
            return 0
        return 12 + 20 * columns + sum(entry[6] + entry[7] for entry in entries)
