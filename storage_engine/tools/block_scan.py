"""Blocks of a segment whose directory is lost: found by their form, named by their checksum.

The checksum of a block covers who it is: incarnation, segment, number, first stream. The run list
behind it says all of that and which rows belong to which stream. Where the list is damaged, the
checksum, undone, gives the first stream for an assumed number; it is believed when that stream is
known and has the block's columns, and the rows when they can be of one stream only.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from storage_engine.block import BlockIdentity, ColumnEntry, block_columns, decode_block
from storage_engine.columns import Rows
from storage_engine.errors import DataError
from storage_engine.frame import SlotKind
from storage_engine.sample import UInt32Array
from storage_engine.segment.layout import EDGE_BYTES
from storage_engine.segment.owners import FoundOwners
from storage_engine.segment.run_list import MAGIC, RunList, decode_run_list
from storage_engine.streams import StreamInfo
from storage_engine.tools.crc_inverse import last_field, seed_of

_ALIGN = 8
_PREFIX = struct.Struct("<16sQI")
_CODECS_MAX = 32
_DATA = 4
_NUMBERS_AHEAD = 64  # block numbers tried behind a gap
_EVENT_ID = 3


@dataclass(frozen=True, slots=True)
class FoundBlock:
    """A block that checks out without the directory.

    Attributes
    ----------
    offset : int
    number : int
    rows : Rows
    stream : uint32, shape (n,), or None
        None when rows of several streams cannot be told apart.
    first_stream : int
    """

    offset: int
    number: int
    rows: Rows
    stream: UInt32Array | None
    first_stream: int


@dataclass(frozen=True, slots=True)
class _Candidate:
    offset: int
    end: int
    columns: tuple[ColumnEntry, ...]


def scan_blocks(
    data: bytes, incarnation: bytes, segment_id: int, streams: Mapping[int, StreamInfo]
) -> list[FoundBlock]:
    """Find every block that checks out.

    Parameters
    ----------
    data : bytes
        The whole file.
    incarnation : bytes
    segment_id : int
    streams : mapping of int to StreamInfo
        Known from anywhere.

    Returns
    -------
    list of FoundBlock
        In order of their offsets.
    """
    scan = _Scan(data, incarnation, segment_id, streams)
    found = list(scan.run())
    return [_settled(block, found[place + 1 :]) for place, block in enumerate(found)]


class _Scan:
    def __init__(
        self,
        data: bytes,
        incarnation: bytes,
        segment_id: int,
        streams: Mapping[int, StreamInfo],
    ) -> None:
        self.data = data
        self.view = memoryview(data)
        self.incarnation = incarnation
        self.segment_id = segment_id
        self.streams = streams
        self.owners = FoundOwners(data)

    def run(self) -> Iterator[FoundBlock]:
        at, number = EDGE_BYTES, 0
        while at + _ALIGN <= len(self.data):
            candidate = self.candidate(at)
            block = None if candidate is None else self.block(candidate, number)
            if candidate is None or block is None:
                held = self.list_at(at)
                if held is None:
                    at += _ALIGN
                    continue
                # The block before it is damaged, its list is not: the count goes on behind it.
                number = max(number, held.block + 1)
                at += held.size + -held.size % _ALIGN
                continue
            yield block
            number = block.number + 1
            at = candidate.end + -candidate.end % _ALIGN
            held = self.list_at(at)
            if held is not None:
                at += held.size + -held.size % _ALIGN

    def candidate(self, at: int) -> _Candidate | None:
        """What may be a block here, by its form alone."""
        try:
            size, columns = block_columns(self.view[at:], at="")
        except DataError:
            return None
        sound = all(
            0 < c.codec < _CODECS_MAX and c.mask < _CODECS_MAX and c.role <= _DATA for c in columns
        )
        return _Candidate(at, at + size, columns) if sound else None

    def list_at(self, at: int) -> RunList | None:
        if self.data[at : at + 4] != MAGIC:
            return None
        try:
            return decode_run_list(self.view[at:], self.incarnation, self.segment_id, at="")
        except (DataError, ValueError, OverflowError, MemoryError):
            return None

    def block(self, candidate: _Candidate, number: int) -> FoundBlock | None:
        held = self.list_at(candidate.end + -candidate.end % _ALIGN)
        if held is not None:
            rows = self.decode(candidate, held.block, int(held.stream[0]))
            if rows is None:
                return None
            ends = np.append(held.start[1:], len(rows)).astype(np.int64)
            counts = ends - held.start.astype(np.int64)
            if (counts < 0).any():
                return None
            stream = np.repeat(held.stream, counts)
            if len(stream) != len(rows):
                return None
            return FoundBlock(candidate.offset, held.block, rows, stream, int(held.stream[0]))
        return self.by_checksum(candidate, number)

    def by_checksum(self, candidate: _Candidate, number: int) -> FoundBlock | None:
        """Work the first stream out of the checksum, for numbers that may follow."""
        piece = self.view[candidate.offset : candidate.end]
        seed = seed_of(piece[4:], int.from_bytes(piece[:4], "little"))
        types = [c.type for c in candidate.columns if c.role == _DATA]
        events = any(c.role == _EVENT_ID for c in candidate.columns)
        for assumed in range(number, number + _NUMBERS_AHEAD):
            prefix = _PREFIX.pack(self.incarnation, self.segment_id, assumed)
            first = last_field(prefix, seed)
            info = self.streams.get(first)
            if info is None or (info.kind is SlotKind.EVENTS) != events:
                continue
            if types != [int(c.type) for c in info.columns[: len(types)]]:
                continue
            rows = self.decode(candidate, assumed, first)
            if rows is not None:
                return FoundBlock(candidate.offset, assumed, rows, None, first)
        return None

    def decode(self, candidate: _Candidate, number: int, first: int) -> Rows | None:
        identity = BlockIdentity(self.incarnation, self.segment_id, number, first)
        piece = bytes(self.view[candidate.offset : candidate.end])
        try:
            at = f"byte {candidate.offset}"
            rows = decode_block(piece, identity, at=at, resolve=self.owners.column)
        except (DataError, ValueError, OverflowError, MemoryError):
            return None
        self.owners.note(candidate.offset, len(piece), identity)
        return rows


def _settled(block: FoundBlock, behind: list[FoundBlock]) -> FoundBlock:
    """Say of which stream the rows are, where a list does not: only when it can be one alone."""
    if block.stream is not None:
        return block
    following = behind[0] if behind else None
    alone = block.rows.event_id is not None or (
        following is not None
        and following.number == block.number + 1
        and following.first_stream == block.first_stream
        and following.rows.event_id is None
        and following.rows.data[0].type == block.rows.data[0].type
    )
    if not alone:
        return block
    stream = np.full(len(block.rows), block.first_stream, np.uint32)
    return FoundBlock(block.offset, block.number, block.rows, stream, block.first_stream)
