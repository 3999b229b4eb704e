"""The bytes of a frame -> columns. Any bytes give the frame that was written, or an error."""

import json
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from storage_engine.checksum import crc32c
from storage_engine.errors import CorruptData, LimitExceeded, TruncatedData, UnsupportedFormat
from storage_engine.frame_columns import Reader, decode_column, numbers_at
from storage_engine.frame_layout import (
    ALIGN,
    BYTES_MAX,
    CRC,
    CRC_AT,
    DECLARATION,
    DECLARED_COLUMN,
    FLAGS_MUST_KNOW,
    HEADER,
    HEADER_BYTES,
    ITEMS_MAX,
    MAGIC,
    NOTICE,
    ROWS_MAX,
    SECTION,
    SECTION_HAS_QUALITY,
    VERSION,
    Declaration,
    Envelope,
    EventSection,
    Frame,
    Notice,
    SampleSection,
    SectionType,
    SlotKind,
)
from storage_engine.frame_scan import plain_sections
from storage_engine.sample import EVENT_ID_DTYPE, Column, ValueType

if TYPE_CHECKING:
    from typing_extensions import Buffer

_I8 = np.dtype("<i8")
_U4 = np.dtype("<u4")
_TYPES = {int(t): t for t in ValueType}
_KINDS = {int(k): k for k in SlotKind}


def _header(data: memoryview) -> tuple[Envelope, int, int]:
    """Envelope, frame_bytes and section_count; the checksum is not looked at."""
    if data.nbytes < HEADER_BYTES:
        if bytes(data[:4]) != MAGIC[: data.nbytes]:
            raise CorruptData("cannot decode frame: got no frame magic, want LHF1, at byte 0")
        raise TruncatedData(
            f"cannot decode frame: got {data.nbytes} bytes, want a header of {HEADER_BYTES}"
        )
    magic, version, header_bytes, size, flags, *rest = HEADER.unpack_from(data)
    incarnation, producer, epoch, sequence, low, high, rows, sections, previous = rest
    if magic != MAGIC:
        raise CorruptData(f"cannot decode frame: got magic {magic!r}, want {MAGIC!r}, at byte 0")
    if version != VERSION or flags & FLAGS_MUST_KNOW:
        raise UnsupportedFormat(
            f"cannot decode frame: got version {version} with flags {flags:#x}, "
            f"want version {VERSION} with flags below 0x10000",
            version=version,
        )
    if header_bytes != HEADER_BYTES or size < HEADER_BYTES or size % ALIGN:
        raise CorruptData(
            f"cannot decode frame: got {header_bytes} of {size} bytes as header, "
            f"want {HEADER_BYTES} of a multiple of {ALIGN}"
        )
    (crc,) = CRC.unpack_from(data, CRC_AT)
    envelope = Envelope(
        incarnation, producer, epoch, sequence, previous, rows, low, high, flags, crc
    )
    return envelope, size, sections


def _bytes_of(data: "Buffer") -> memoryview:
    view = memoryview(data)
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")


def peek_envelope(data: "Buffer") -> Envelope:
    """Read the header of a frame without checking the body.

    Raises
    ------
    TruncatedData, CorruptData, UnsupportedFormat
        When there is no header of this version at the start.
    """
    return _header(_bytes_of(data))[0]


def split_frames(data: "Buffer") -> Iterator[memoryview]:
    """Cut a body of concatenated frames; each piece is for :func:`decode_frame`.

    Raises
    ------
    TruncatedData
        When the last frame ends early; the whole ones before it were given already.
    CorruptData, UnsupportedFormat
        When a piece does not start with a header; nothing behind it can be found.
    """
    view = _bytes_of(data)
    at = 0
    while at < view.nbytes:
        size = _header(view[at:])[1]
        if size > view.nbytes - at:
            raise TruncatedData(
                f"cannot split frames: got {view.nbytes - at} bytes, want {size}, at byte {at}",
                offset=at,
            )
        yield view[at : at + size]
        at += size


def decode_frame(data: "Buffer", *, rows_max: int = ROWS_MAX, bytes_max: int = BYTES_MAX) -> Frame:
    """Check and open one frame.

    Parameters
    ----------
    data : buffer
        Exactly one frame; ``bytes`` are kept, anything else is copied once.
    rows_max, bytes_max : int
        Bounds that this reader holds.

    Returns
    -------
    Frame
        Number columns are read-only views of ``raw``.

    Raises
    ------
    TruncatedData
        The bytes end early.
    CorruptData
        Checksum or structure do not hold.
    UnsupportedFormat
        Written by a newer version.
    LimitExceeded
        A sound header announces more than the bounds.
    """
    envelope, size, sections = _header(_bytes_of(data))
    if size > bytes_max or envelope.row_count > rows_max:
        raise LimitExceeded(
            f"cannot decode frame: got {envelope.row_count} rows in {size} bytes, "
            f"want at most {rows_max} in {bytes_max}",
            rows=envelope.row_count,
            bytes=size,
        )
    raw = data if type(data) is bytes else bytes(data)
    if len(raw) < size:
        raise TruncatedData(f"cannot decode frame: got {len(raw)} bytes, want {size}")
    if len(raw) > size:
        raise CorruptData(f"cannot decode frame: got {len(raw)} bytes, want {size}, one frame")
    plain = plain_sections(raw)
    if plain is not None:
        sections_read = tuple(_section(raw, *places) for places in plain)
        return Frame(envelope, (), sections_read, (), (), raw)
    view = memoryview(raw)
    found = crc32c(view[HEADER_BYTES:], crc32c(view[:CRC_AT]))
    if found != envelope.crc:
        raise CorruptData(
            f"cannot decode frame: crc32c is {found:#010x}, want {envelope.crc:#010x}",
            got=found,
            want=envelope.crc,
        )
    try:
        return _Body(raw, envelope, sections).read()
    except (struct.error, ValueError, OverflowError) as error:
        raise CorruptData(f"cannot decode frame: got {error}, want a sound body") from error


def _section(raw: bytes, kind: int, rows: int, *places: int) -> SampleSection:
    """Views of a section whose places the kernel has checked."""
    time, slot, quality, valid, value = places
    return SampleSection(
        np.frombuffer(raw, _U4, rows, slot),
        np.frombuffer(raw, _I8, rows, time),
        np.zeros(rows, _U4) if quality < 0 else np.frombuffer(raw, _U4, rows, quality),
        numbers_at(raw, kind, rows, value, valid),
    )


class _Body:
    """One pass over the sections. The checksum holds, but the maker may still be hostile."""

    def __init__(self, raw: bytes, envelope: Envelope, sections: int) -> None:
        self.raw = raw
        self.envelope = envelope
        self.sections = sections
        self.items = sections
        self.rows = 0
        self.low: list[int] = []
        self.high: list[int] = []
        self.declarations: list[Declaration] = []
        self.samples: list[SampleSection] = []
        self.events: list[EventSection] = []
        self.notices: list[Notice] = []

    def read(self) -> Frame:
        at, before = HEADER_BYTES, 0
        self.spend(0)
        for _ in range(self.sections):
            at, before = self.section(at, before)
        envelope = self.envelope
        bounds = (min(self.low), max(self.high)) if self.rows else (0, 0)
        if at != len(self.raw) or self.rows != envelope.row_count:
            raise CorruptData(
                f"cannot decode frame: got {self.rows} rows in {at} bytes, "
                f"want {envelope.row_count} in {len(self.raw)}"
            )
        if bounds != (envelope.min_time_ns, envelope.max_time_ns):
            raise CorruptData(
                f"cannot decode frame: got times {bounds[0]} to {bounds[1]}, "
                f"want {envelope.min_time_ns} to {envelope.max_time_ns}"
            )
        return Frame(
            envelope,
            tuple(self.declarations),
            tuple(self.samples),
            tuple(self.events),
            tuple(self.notices),
            self.raw,
        )

    def spend(self, items: int) -> None:
        """Bound the Python objects that a few bytes can ask for."""
        self.items += items
        if self.items > ITEMS_MAX:
            raise LimitExceeded(
                f"cannot decode frame: got {self.items} sections, declarations and columns, "
                f"want at most {ITEMS_MAX}"
            )

    def section(self, at: int, before: int) -> tuple[int, int]:
        head = Reader(self.raw, at, len(self.raw)).take(SECTION.size)
        kind, flags, columns, count, size, slot = SECTION.unpack_from(self.raw, head)
        end = at + size
        if kind < before or size < SECTION.size or size % ALIGN or end > len(self.raw) or not count:
            raise CorruptData(
                f"cannot decode frame: got section type {kind} of {size} bytes and {count} items "
                f"behind type {before}, want one in order and within the frame, at byte {at}",
                offset=at,
            )
        reader = Reader(self.raw, at + SECTION.size, end)
        if kind == SectionType.SAMPLES and columns == 1 and flags <= SECTION_HAS_QUALITY:
            self.read_samples(reader, flags, count)
        elif kind == SectionType.EVENTS and not flags:
            self.read_events(reader, columns, count, slot)
        elif kind == SectionType.DECLARATIONS and not flags:
            self.read_declarations(reader, count)
        elif kind == SectionType.NOTICE and not flags and count == 1:
            self.read_notice(reader)
        else:
            raise CorruptData(
                f"cannot decode frame: got section type {kind}, flags {flags}, {columns} columns, "
                f"want a known section, at byte {at}",
                offset=at,
            )
        if end - reader.at >= ALIGN:
            raise CorruptData(
                f"cannot decode frame: got {end - reader.at} bytes too many, at byte {reader.at}",
                offset=reader.at,
            )
        return end, kind

    def times(self, reader: Reader, count: int) -> Any:
        time = reader.array(_I8, count)
        self.low.append(int(np.minimum.reduce(time)))
        self.high.append(int(np.maximum.reduce(time)))
        self.rows += count
        return time

    def read_samples(self, reader: Reader, flags: int, count: int) -> None:
        self.spend(1)
        time = self.times(reader, count)
        slot = reader.array(_U4, count)
        quality = reader.array(_U4, count) if flags else np.zeros(count, _U4)
        self.samples.append(SampleSection(slot, time, quality, decode_column(reader, count)))

    def read_events(self, reader: Reader, columns: int, count: int, slot: int) -> None:
        self.spend(columns)
        time = self.times(reader, count)
        ids = reader.array(EVENT_ID_DTYPE, count)
        data = tuple(decode_column(reader, count) for _ in range(columns))
        self.events.append(EventSection(slot, time, ids, data))

    def read_declarations(self, reader: Reader, count: int) -> None:
        self.spend(count)
        for _ in range(count):
            at = reader.take(DECLARATION.size)
            slot, kind, zero, columns, source, address = DECLARATION.unpack_from(self.raw, at)
            if kind not in _KINDS or zero:
                raise CorruptData(f"cannot decode frame: got slot kind {kind}, at byte {at}")
            self.spend(columns)
            source, address = self.text(reader, source), self.text(reader, address)
            declared = []
            for _ in range(columns):
                at = reader.take(DECLARED_COLUMN.size)
                code, zero, length = DECLARED_COLUMN.unpack_from(self.raw, at)
                if code not in _TYPES or zero:
                    raise CorruptData(f"cannot decode frame: got type {code}, at byte {at}")
                declared.append(Column(self.text(reader, length), _TYPES[code]))
            self.declarations.append(
                Declaration(slot, _KINDS[kind], source, address, tuple(declared))
            )

    def read_notice(self, reader: Reader) -> None:
        kind_bytes, json_bytes = NOTICE.unpack_from(self.raw, reader.take(NOTICE.size))
        kind, text = self.text(reader, kind_bytes), self.text(reader, json_bytes)
        self.notices.append(Notice(kind, _facts(text)))

    def text(self, reader: Reader, size: int) -> str:
        at = reader.take(size)
        return self.raw[at : at + size].decode()


def _no_constant(name: str) -> object:
    raise CorruptData(f"cannot decode notice: got {name}, want JSON numbers")


def _facts(text: str) -> dict[str, object]:
    try:
        facts = json.loads(text, parse_constant=_no_constant)
        if "\\u" in text:  # an escape may hide a lone surrogate, which no UTF-8 text can carry
            json.dumps(facts, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise CorruptData(f"cannot decode notice: got {error}, want a JSON object") from error
    if not isinstance(facts, dict):
        raise CorruptData(f"cannot decode notice: got {type(facts).__name__}, want a JSON object")
    return facts
