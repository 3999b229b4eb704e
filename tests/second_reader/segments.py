"""Segments, from segment.md: header, trailer, directory, blocks, runs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from second_reader.checksum import crc32c
from second_reader.codecs import decode, read_table
from second_reader.summaries import (
    SUMMED,
    VECTOR,
    Told,
    check_run,
    check_vector,
    read_pyramid,
    told_of,
)
from second_reader.words import BYTES, FIXED, TEXT, Column, Cursor, DamagedError, NewerError, Row

TIME, STAMP, QUALITY, EVENT_ID, DATA = range(5)
SHARED = 16
_ROLES = {TIME: "<i8", STAMP: "<u8", QUALITY: "<u4", EVENT_ID: "|V16"}


@dataclass
class Block:
    """A decoded block: columns by (role, index)."""

    rows: int
    columns: dict[tuple[int, int], Column]


class Segment:
    """A segment whose header, trailer and directory are sound."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._owned: dict[tuple[int, int, int, bool], np.ndarray] = {}
        head, tail = data[:64], data[-64:]
        for edge, magic in ((head, b"LHSEGMT1"), (tail, b"LHSEGEND")):
            if len(edge) < 64 or edge[:8] != magic:
                raise DamagedError("segment magic")
            if crc32c(edge[:60]) != int.from_bytes(edge[60:], "little"):
                raise DamagedError("segment header or trailer checksum")
            if int.from_bytes(edge[8:12], "little") not in (1, 2):
                raise NewerError("segment version")
        if head[16:40] != tail[16:40]:
            raise DamagedError("header and trailer name different segments")
        self.incarnation = head[16:32]
        self.segment_id = int.from_bytes(head[32:40], "little")
        offset, length = (int.from_bytes(tail[a : a + 8], "little") for a in (40, 48))
        directory = data[offset : offset + length]
        if crc32c(directory) != int.from_bytes(tail[12:16], "little"):
            raise DamagedError("segment directory checksum")
        self.table = read_table(directory)
        self.facts = json.loads(self.table["facts"].tobytes())
        self.schemas = json.loads(self.table["schemas"].tobytes())
        names = ("run_block", "run_start", "run_stream")
        places = zip(*(self.table[k].tolist() for k in names), strict=True)
        self.first_streams = {block: stream for block, start, stream in places if start == 0}

    def identity(self, number: int) -> bytes:
        """What the checksums of a block and of its run list begin with."""
        return (
            self.incarnation
            + self.segment_id.to_bytes(8, "little")
            + number.to_bytes(4, "little")
            + self.first_streams[number].to_bytes(4, "little")
        )

    def run_list(self, number: int) -> list[tuple[int, int]]:
        """(stream, first row) of the runs of a block, from the list behind it."""
        start = int(self.table["block_offset"][number]) + int(self.table["block_length"][number])
        part = Cursor(self.data, start)
        part.align()
        at = part.at
        if part.take(4) != b"LHRL":
            raise DamagedError(f"block {number} has no run list")
        crc, same, runs = part.number(4), part.number(4), part.number(4)
        sizes, codecs = (part.number(4), part.number(4)), (part.number(1), part.number(1))
        part.take(6)
        bodies = [part.take(size) for size in sizes]
        if crc32c(self.identity(number), self.data[at + 8 : part.at]) != crc or same != number:
            raise DamagedError(f"run list of block {number} checksum")
        steps = [decode(c, b, "<u4", runs) for c, b in zip(codecs, bodies, strict=True)]
        lists = [np.cumsum(np.asarray(s), dtype=np.uint32).tolist() for s in steps]
        return list(zip(*lists, strict=True))

    def block(self, number: int) -> Block:
        """Block `number`, its checksum and identity verified."""
        offset, length, rows = (
            int(self.table[k][number]) for k in ("block_offset", "block_length", "block_rows")
        )
        data = self.data[offset : offset + length]
        part = Cursor(data)
        crc = part.number(4)
        if crc32c(self.identity(number), data[4:]) != crc:
            raise DamagedError(f"block {number} checksum")
        count, columns, zero = part.number(4), part.number(2), part.number(2)
        if count != rows or zero:
            raise DamagedError(f"block {number} has {count} rows, directory says {rows}")
        entries = [[part.number(n) for n in (1, 1, 1, 1, 2, 2, 4, 4, 4)] for _ in range(columns)]
        found = {}
        for role, value_type, codec, valid_codec, index, _zero, size, valid_size, _ in entries:
            dtype = _ROLES[role] if role != DATA else FIXED.get(value_type)
            body, valid = part.take(size), part.take(valid_size)
            if codec == SHARED:
                values = self._shared(number, body, dtype, rows)
            else:
                values = decode(codec, body, dtype, rows)
            mask = None
            if valid_codec == SHARED:
                mask = self._shared(number, valid, "u1", rows, validity=True) == 1
            elif valid_codec:
                mask = decode(valid_codec, valid, "u1", rows) == 1
            found[role, index] = Column(value_type, values, mask)
        return Block(rows, found)

    def _shared(
        self, number: int, body: bytes, dtype: str | None, rows: int, *, validity: bool = False
    ) -> np.ndarray:
        """A column that an earlier block has."""
        part = Cursor(body)
        block, role, index, crc = part.number(4), part.number(1), part.number(2), part.number(4)
        if block >= number or dtype is None or part.at != len(body):
            raise DamagedError(f"block {number} shares with block {block}")
        key = (block, role, index, validity)
        if key not in self._owned:
            owner = self.block(block).columns.get((role, index))
            values = None if owner is None else owner.valid if validity else owner.values
            if not isinstance(values, np.ndarray):
                raise DamagedError(f"block {block} has no column {key}")
            self._owned[key] = values.astype("u1") if validity else values
        values = self._owned[key]
        if len(values) != rows or values.itemsize != np.dtype(dtype).itemsize:
            raise DamagedError(f"block {number} shares a column of another form")
        if crc32c(values.tobytes()) != crc:
            raise DamagedError(f"block {number} shares other values than its own")
        return values.view(dtype)

    def runs(self) -> Iterator[tuple[int, int, int, int]]:
        """(stream, block, start, rows) of every run."""
        names = ("run_stream", "run_block", "run_start", "run_rows")
        yield from zip(*(self.table[k].tolist() for k in names), strict=True)

    def streams(self) -> Iterator[tuple[int, bytes, int, list[tuple[str, int]]]]:
        """(id, uuid, kind, columns) of the streams in the segment."""
        t = self.table
        for i, stream in enumerate(t["stream_id"].tolist()):
            columns = self.schemas[int(t["stream_schema"][i])]
            uuid = t["stream_uuid"][i].tobytes()
            yield stream, uuid, int(t["stream_kind"][i]), [(n, int(k)) for n, k in columns]

    def check_summaries(self) -> None:
        """The directory's facts of each run against the rows; needs all blocks whole."""
        t = self.table
        blocks = [self.block(n) for n in range(len(t["block_rows"]))]
        rows, lsns, times = 0, [], []
        for number in range(len(blocks)):
            mine = [(stream, start) for stream, b, start, _ in self.runs() if b == number]
            if sorted(mine) != sorted(self.run_list(number)):
                raise DamagedError(f"run list of block {number}")
        for i, (_, block, start, count) in enumerate(self.runs()):
            held = blocks[block].columns
            time = np.asarray(held[TIME, 0].values)[start : start + count]
            stamp = np.asarray(held[STAMP, 0].values)[start : start + count]
            strict = bool(np.all(np.diff(time) > 0))
            said = (t["run_first"][i], t["run_last"][i], bool(t["run_flags"][i] & 1))
            stamps = (t["run_stamp_min"][i], t["run_stamp_max"][i])
            if said != (time[0], time[-1], strict) or stamps != (stamp.min(), stamp.max()):
                raise DamagedError(f"summary of run {i}")
            rows += count
            lsns += [int(stamp.min()) >> 1, int(stamp.max()) >> 1]
            times += [int(time[0]), int(time[-1])]
        if "run_exact" in t:
            self._check_values(blocks)
        want = {"rows": rows, "lsn_min": min(lsns), "lsn_max": max(lsns)}
        want |= {"first": min(times), "last": max(times)}
        if any(self.facts.get(k, v) != v for k, v in want.items()):
            raise DamagedError(f"facts of the segment: got {self.facts}, want {want}")

    def _check_values(self, blocks: list[Block]) -> None:
        """What version 2 says of values, in runs and in pyramids."""
        t, cells = self.table, [_rows(block) for block in blocks]
        vectors: dict[int, list[Told]] = {}
        types: dict[int, int] = {}
        for i, (stream, number, start, count) in enumerate(self.runs()):
            held = blocks[number].columns
            if (QUALITY, 0) not in held:
                continue
            value_type = types[stream] = held[DATA, 0].value_type
            cuts = [start, *range(start - start % VECTOR + VECTOR, start + count, VECTOR)]
            for first, end in zip(cuts, [*cuts[1:], start + count], strict=True):
                part = _told(value_type, cells[number][first:end], summed=count >= SUMMED)
                vectors.setdefault(stream, []).append(part)
            run = cells[number][start : start + count]
            check_run(t, i, _told(value_type, run, summed=count >= SUMMED))
        names = ("stream_id", "stream_pyramid_offset", "stream_pyramid_length")
        for stream, offset, length in zip(*(t[k].tolist() for k in names), strict=True):
            if not length:
                continue
            identity = self.incarnation + self.segment_id.to_bytes(8, "little")
            identity += stream.to_bytes(4, "little")
            value_type, found = read_pyramid(self.data[offset : offset + length], identity)
            want = vectors[stream]
            kinds = {TEXT: TEXT, BYTES: TEXT}
            if kinds.get(types[stream], types[stream]) != value_type or len(found) != len(want):
                raise DamagedError(f"pyramid of stream {stream}")
            for i, (got, one) in enumerate(zip(found, want, strict=True)):
                check_vector(got, one, f"vector {i} of stream {stream}")


def _told(value_type: int, rows: list[Row], *, summed: bool) -> Told:
    return told_of(
        value_type,
        [row.time for row in rows],
        [row.cells[0] for row in rows],
        [row.quality for row in rows],
        summed=summed,
    )


def segment_rows(
    segment: Segment, widths: dict[int, int]
) -> tuple[dict[int, list[Row]], list[str]]:
    """Rows per stream in stored order, and what could not be read.

    Parameters
    ----------
    widths:
        columns of each stream; a block without a column reads as null.
    """
    bad: dict[int, str] = {}
    blocks: dict[int, Block] = {}
    for number, rows in enumerate(segment.table["block_rows"].tolist()):
        if not rows:  # not found: there is no directory to say what it held
            bad[number] = f"block {number} is nowhere"
            continue
        try:
            blocks[number] = segment.block(number)
        except DamagedError as problem:
            bad[number] = str(problem)
    found: dict[int, list[Row]] = {}
    lists = {n: _rows(block) for n, block in blocks.items()}
    for stream, block, start, count in segment.runs():
        if block in lists:
            width = widths.get(stream, 0)
            part = [row.padded(width) for row in lists[block][start : start + count]]
            found.setdefault(stream, []).extend(part)
    return found, list(bad.values())


def _rows(block: Block) -> list[Row]:
    held = block.columns
    times = held[TIME, 0].cells()
    stamps = held[STAMP, 0].cells()
    qualities = held[QUALITY, 0].cells() if (QUALITY, 0) in held else [0] * block.rows
    ids = [b""] * block.rows
    if (EVENT_ID, 0) in held:
        ids = [bytes(v) for v in held[EVENT_ID, 0].values]
    width = max((i + 1 for role, i in held if role == DATA), default=0)
    nulls: list[int | bytes | None] = [None] * block.rows
    data = [held[DATA, i].cells() if (DATA, i) in held else nulls for i in range(width)]
    cells = zip(*data, strict=True) if data else [()] * block.rows
    return [Row(*r) for r in zip(times, stamps, ids, qualities, cells, strict=True)]
