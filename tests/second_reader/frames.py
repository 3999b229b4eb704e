"""Frames, from frame.md: header, declarations, samples, events, notices."""

import json
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from second_reader.checksum import crc32c
from second_reader.words import (
    BYTES,
    FIXED,
    SYMBOL,
    TEXT,
    Column,
    Cursor,
    DamagedError,
    NewerError,
    cut,
    signed,
)

MAGIC = b"LHF1"
OBSERVED, ONE_SHOT = 1, 2
HEADER_BYTES = 96


class Declaration(NamedTuple):
    """What a slot stands for."""

    slot: int
    kind: int
    source: str
    address: str
    columns: tuple[tuple[str, int], ...]


class FrameRow(NamedTuple):
    """One row of a frame with its number in it."""

    number: int
    kind: int
    slot: int
    time: int
    event_id: bytes
    quality: int
    cells: tuple[int | bytes | None, ...]


@dataclass
class Frame:
    """A decoded frame."""

    flags: int
    incarnation: bytes
    producer: bytes
    epoch: int
    sequence: int
    previous_crc: int
    crc: int
    size: int
    declarations: list[Declaration] = field(default_factory=list)
    rows: list[FrameRow] = field(default_factory=list)
    notices: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    @property
    def observed(self) -> bool:
        return bool(self.flags & OBSERVED)


def read_frame(data: bytes) -> Frame:
    """The frame at the start of `data`, which may go on behind it."""
    head = Cursor(data)
    if head.take(4) != MAGIC:
        raise DamagedError("no frame: magic")
    version, header_bytes, size = head.number(2), head.number(2), head.number(4)
    if version > 1:
        raise NewerError(f"frame version {version}")
    if (version, header_bytes) != (1, HEADER_BYTES) or size % 8 or not 96 <= size <= len(data):
        raise DamagedError(f"frame header: version {version}, {size} bytes of {len(data)}")
    if crc32c(data[:92], data[96:size]) != int.from_bytes(data[92:96], "little"):
        raise DamagedError("frame checksum")
    flags = head.number(4)
    if flags >> 16:
        raise NewerError(f"frame flags {flags:#x}")
    incarnation, producer = head.take(16), head.take(16)
    epoch, sequence = head.number(8), head.number(8)
    low, high = signed(head.number(8)), signed(head.number(8))
    rows, sections, previous, crc = (head.number(4) for _ in range(4))
    frame = Frame(flags, incarnation, producer, epoch, sequence, previous, crc, size)
    body = Cursor(data[:size], HEADER_BYTES)
    kinds = [_section(body, frame) for _ in range(sections)]
    if body.at != size or kinds != sorted(kinds) or kinds.count(1) > 1:
        raise DamagedError("sections are out of order")
    times = [r.time for r in frame.rows]
    if len(times) != rows or (min(times, default=0), max(times, default=0)) != (low, high):
        raise DamagedError("rows and header differ")
    return frame


def _section(body: Cursor, frame: Frame) -> int:
    start = body.at
    kind, flags, columns = body.number(1), body.number(1), body.number(2)
    count, size, slot = body.number(4), body.number(4), body.number(4)
    part = Cursor(body.data[: start + size], body.at)
    if kind == 1:
        frame.declarations = [_declaration(part) for _ in range(count)]
    elif kind == 2:
        _samples(part, frame, count, quality=bool(flags & 1))
    elif kind == 3:
        _events(part, frame, count, columns, slot)
    elif kind == 4:
        frame.notices.append(_notice(part))
    else:
        raise DamagedError(f"section type {kind}")
    part.align()
    body.take(size - 16)
    if part.at != start + size:
        raise DamagedError(f"section at {start} has {size} bytes and uses {part.at - start}")
    return kind


def _declaration(part: Cursor) -> Declaration:
    slot, kind, zero, columns = (part.number(n) for n in (4, 1, 1, 2))
    source, address = part.number(4), part.number(4)
    if zero or kind > 1:
        raise DamagedError("declaration")
    names = (part.take(source).decode(), part.take(address).decode())
    listed = []
    for _ in range(columns):
        value_type, _zero, size = part.number(1), part.number(1), part.number(2)
        listed.append((part.take(size).decode(), value_type))
    return Declaration(slot, kind, *names, tuple(listed))


def _samples(part: Cursor, frame: Frame, count: int, *, quality: bool) -> None:
    times = part.array("<i8", count).tolist()
    slots = part.array("<u4", count).tolist()
    part.align()
    qualities = [0] * count
    if quality:
        qualities = part.array("<u4", count).tolist()
        part.align()
    cells = _column(part, count).cells()
    for slot, time, sort, cell in zip(slots, times, qualities, cells, strict=True):
        frame.rows.append(FrameRow(len(frame.rows), 0, slot, time, b"", sort, (cell,)))


def _events(part: Cursor, frame: Frame, count: int, columns: int, slot: int) -> None:
    times = part.array("<i8", count).tolist()
    ids = [part.take(16) for _ in range(count)]
    lists = [_column(part, count).cells() for _ in range(columns)]
    for i, (time, event_id) in enumerate(zip(times, ids, strict=True)):
        cells = tuple(column[i] for column in lists)
        frame.rows.append(FrameRow(len(frame.rows), 1, slot, time, event_id, 0, cells))


def _notice(part: Cursor) -> tuple[str, dict[str, object]]:
    kind, size = part.number(4), part.number(4)
    return part.take(kind).decode(), json.loads(part.take(size))


def _column(part: Cursor, count: int) -> Column:
    start = part.at
    value_type, flags, _zero, size = (part.number(n) for n in (1, 1, 2, 4))
    valid = None
    if flags & 1:
        bits = part.array("u1", -(-count // 8))
        valid = np.unpackbits(bits, bitorder="little")[:count] == 1
        part.align()
    if value_type in FIXED:
        values: np.ndarray | list[bytes] = part.array(FIXED[value_type], count)
    elif value_type == SYMBOL:
        words, word_bytes = part.number(4), part.number(4)
        codes = part.array("<u4", count).tolist()
        offsets = part.array("<u4", words + 1)
        entries = cut(offsets, part.take(word_bytes))
        if any(code >= words for code in codes):
            raise DamagedError("symbol without a word")
        values = [entries[code] for code in codes]
    elif value_type in (TEXT, BYTES):
        offsets = part.array("<u4", count + 1)
        values = cut(offsets, part.take(int(offsets[-1])))
    else:
        raise DamagedError(f"value type {value_type}")
    part.align()
    if part.at != start + size:
        raise DamagedError(f"column at {start} has {size} bytes and uses {part.at - start}")
    return Column(value_type, values, valid)


def split_frames(data: bytes) -> tuple[list[tuple[int, Frame]], list[tuple[int, int]]]:
    """(offset, frame) of concatenated frames, and the (start, end) of bytes that are none.

    Behind a bad place the next frame is found by its magic at multiples of 8 (spool.md).
    """
    frames: list[tuple[int, Frame]] = []
    bad: list[tuple[int, int]] = []
    at = 0
    while at < len(data):
        start = at
        while at < len(data):
            if data[at : at + 4] == MAGIC:
                try:
                    frame = read_frame(data[at:])
                    break
                except DamagedError:
                    pass
            at += 8
        at = min(at, len(data))
        if at > start:
            bad.append((start, at))
        if at < len(data):
            frames.append((at, frame))
            at += frame.size
    return frames, bad
