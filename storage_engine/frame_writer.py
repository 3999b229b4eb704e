"""Columns -> the bytes of a frame."""

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from storage_engine.checksum import crc32c
from storage_engine.errors import InvalidArgument, LimitExceeded
from storage_engine.frame_columns import Part, encode_column, padding
from storage_engine.frame_layout import (
    BYTES_MAX,
    CRC,
    DECLARATION,
    DECLARED_COLUMN,
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
    EventSection,
    Notice,
    SampleSection,
    SectionType,
)
from storage_engine.sample import EVENT_ID_DTYPE

_I8 = np.dtype("<i8")
_U4 = np.dtype("<u4")


def encode_frame(
    *,
    incarnation: bytes,
    producer_id: bytes,
    epoch: int,
    sequence: int,
    previous_crc: int,
    flags: int = 0,
    declarations: Sequence[Declaration] = (),
    samples: Sequence[SampleSection] = (),
    events: Sequence[EventSection] = (),
    notices: Sequence[Notice] = (),
) -> bytes:
    """Lay a frame out.

    Parameters
    ----------
    incarnation, producer_id : bytes
        16 bytes each.
    epoch, sequence : int
        0 to 2**64 - 1.
    previous_crc : int
        ``crc`` of the frame before, 0 for the first.
    flags : int
        ``FLAG_OBSERVED``, ``FLAG_ONE_SHOT``.
    declarations, samples, events, notices : sequences
        The body, in this order; sections without rows are left out.

    Returns
    -------
    bytes
        A multiple of 8 long.

    Raises
    ------
    InvalidArgument
        On wrong lengths, dtypes, strings or numbers out of range.
    LimitExceeded
        When no reader would take it: cut it into several frames.
    """
    if len(incarnation) != 16 or len(producer_id) != 16:
        raise InvalidArgument(
            f"cannot encode frame: got ids of {len(incarnation)} and {len(producer_id)} bytes, "
            "want 16 and 16"
        )
    body = _Body()
    body.add_declarations(declarations)
    for section in samples:
        body.add_samples(section)
    for event_section in events:
        body.add_events(event_section)
    for notice in notices:
        body.add_notice(notice)
    data = body.join()
    try:
        head = HEADER.pack(
            MAGIC, VERSION, HEADER_BYTES, HEADER_BYTES + len(data), flags, incarnation,
            producer_id, epoch, sequence, body.low, body.high, body.rows, body.sections,
            previous_crc,
        )  # fmt: skip
    except struct.error as error:
        raise InvalidArgument(
            f"cannot encode frame: got epoch {epoch!r}, sequence {sequence!r}, "
            f"previous_crc {previous_crc!r}, flags {flags!r}, want unsigned 64, 64, 32, 32 bits"
        ) from error
    return b"".join((head, CRC.pack(crc32c(data, crc32c(head))), data))


class _Body:
    """Sections laid out one behind the other, and what the header says of them."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.sections = 0
        self.items = 0
        self.rows = 0
        self.low = 0
        self.high = 0

    def join(self) -> bytes:
        if self.rows > ROWS_MAX or self.sections + self.items > ITEMS_MAX:
            raise LimitExceeded(
                f"cannot encode frame: got {self.rows} rows in {self.sections + self.items} "
                f"sections and columns, want at most {ROWS_MAX} in {ITEMS_MAX}"
            )
        data = b"".join(self.parts)
        if HEADER_BYTES + len(data) > BYTES_MAX:
            raise LimitExceeded(
                f"cannot encode frame: got {HEADER_BYTES + len(data)} bytes, "
                f"want at most {BYTES_MAX}"
            )
        return data

    def _times(self, array: Any) -> Any:
        time = _column(array, _I8, len(array))
        first, last = int(time.min()), int(time.max())
        self.low = min(self.low, first) if self.rows else first
        self.high = max(self.high, last) if self.rows else last
        self.rows += len(time)
        self.sections += 1
        return time

    def add_samples(self, section: SampleSection) -> None:
        if not len(section):
            return
        time = self._times(section.timestamp_ns)
        count = len(time)
        slot = _column(section.slot, _U4, count)
        quality = _column(section.quality, _U4, count)
        flags = SECTION_HAS_QUALITY if quality.any() else 0
        pad = padding(4 * count)
        column, size = encode_column(section.value, count)
        size += SECTION.size + 8 * count + (2 if flags else 1) * (4 * count + len(pad))
        self.parts += (SECTION.pack(SectionType.SAMPLES, flags, 1, count, size, 0), time, slot, pad)
        if flags:
            self.parts += (quality, pad)
        self.parts += column
        self.items += 1

    def add_events(self, section: EventSection) -> None:
        if not len(section):
            return
        time = self._times(section.timestamp_ns)
        count, columns = len(time), len(section.data)
        ids = section.event_id
        if ids.dtype != EVENT_ID_DTYPE or ids.shape != (count,):
            raise InvalidArgument(
                f"cannot encode frame: got event ids {ids.dtype} {ids.shape}, want V16 ({count},)"
            )
        if not 0 <= section.slot < 1 << 32 or columns >= 1 << 16:
            raise InvalidArgument(
                f"cannot encode frame: got slot {section.slot} with {columns} columns, "
                "want below 2**32 with below 2**16"
            )
        body: list[Part] = [time, ids.tobytes()]
        size = SECTION.size + 24 * count
        for data in section.data:
            column, length = encode_column(data, count)
            body += column
            size += length
        self.parts.append(SECTION.pack(SectionType.EVENTS, 0, columns, count, size, section.slot))
        self.parts += body
        self.items += columns

    def add_declarations(self, declarations: Sequence[Declaration]) -> None:
        if not declarations:
            return
        joined = b"".join(map(_declaration, declarations))
        pad = padding(len(joined))
        size = SECTION.size + len(joined) + len(pad)
        head = SECTION.pack(SectionType.DECLARATIONS, 0, 0, len(declarations), size, 0)
        self.parts += (head, joined, pad)
        self.sections += 1
        self.items += sum(1 + len(one.columns) for one in declarations)

    def add_notice(self, notice: Notice) -> None:
        kind, facts = _utf8(notice.kind), _facts(notice)
        length = NOTICE.size + len(kind) + len(facts)
        pad = padding(length)
        head = SECTION.pack(SectionType.NOTICE, 0, 0, 1, SECTION.size + length + len(pad), 0)
        self.parts += (head, NOTICE.pack(len(kind), len(facts)), kind, facts, pad)
        self.sections += 1


def _column(array: Any, dtype: np.dtype[Any], count: int) -> Any:
    """Check a number column; contiguous, in the byte order of the format."""
    if array.shape != (count,) or array.dtype != dtype:
        raise InvalidArgument(
            f"cannot encode frame: got a column {array.dtype} {array.shape}, "
            f"want {dtype} ({count},)"
        )
    return np.ascontiguousarray(array, dtype=dtype)


def _declaration(one: Declaration) -> bytes:
    source, address = _utf8(one.source), _utf8(one.address)
    names = [_utf8(column.name) for column in one.columns]
    longest = max(map(len, names), default=0)
    if not 0 <= one.slot < 1 << 32 or longest >= 1 << 16 or len(names) >= 1 << 16:
        raise InvalidArgument(
            f"cannot encode frame: got slot {one.slot} with {len(names)} columns and a name of "
            f"{longest} bytes, want below 2**32, 2**16 and 2**16"
        )
    parts = [
        DECLARATION.pack(one.slot, one.kind, 0, len(names), len(source), len(address)),
        source,
        address,
    ]
    for column, name in zip(one.columns, names, strict=True):
        parts += (DECLARED_COLUMN.pack(column.type, 0, len(name)), name)
    return b"".join(parts)


def _facts(notice: Notice) -> bytes:
    try:
        text = json.dumps(
            notice.facts, allow_nan=False, ensure_ascii=False, separators=(",", ":"), sort_keys=True
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument(
            f"cannot encode notice: got {error}, want facts that JSON can carry, at {notice.kind}"
        ) from error
    return _utf8(text)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgument(
            f"cannot encode frame: got a lone surrogate, want UTF-8 text, at {text!r:.60}"
        ) from error
