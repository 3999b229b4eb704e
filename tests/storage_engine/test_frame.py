"""frame.py: any bytes give the frame that was written, or a named error."""

import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage_engine.checksum import crc32c
from storage_engine.errors import (
    CorruptData,
    DataError,
    InvalidArgument,
    LimitExceeded,
    TruncatedData,
    UnsupportedFormat,
)
from storage_engine.frame import (
    FLAG_OBSERVED,
    ZERO_ID,
    Declaration,
    EventSection,
    Frame,
    Notice,
    SampleSection,
    SlotKind,
    decode_frame,
    encode_frame,
    peek_envelope,
    split_frames,
)
from storage_engine.sample import BAD, DTYPES, Column, ColumnData, ValueType

ENVELOPE = {
    "incarnation": b"i" * 16,
    "producer_id": b"p" * 16,
    "epoch": 3,
    "sequence": 7,
    "previous_crc": 0xDEADBEEF,
    "flags": FLAG_OBSERVED,
}


def column(kind: ValueType, values: list[object], valid: list[bool] | None = None) -> ColumnData:
    value = np.empty(len(values), DTYPES[kind])
    value[:] = values
    return ColumnData(kind, value, None if valid is None else np.array(valid, np.bool_))


def samples(value: ColumnData, quality: int = 0) -> SampleSection:
    count = len(value)
    return SampleSection(
        np.arange(count, dtype=np.uint32) % 3,
        np.arange(count, dtype=np.int64) * -1_000_003,
        np.full(count, quality, np.uint32),
        value,
    )


def event_ids(count: int) -> np.ndarray:
    return np.frombuffer(random.Random(count).randbytes(16 * count), "V16")


def everything() -> dict[str, object]:
    text = column(ValueType.TEXT, ["", "größe", "x" * 30])
    return {
        **ENVELOPE,
        "declarations": (
            Declaration(0, SlotKind.SERIES, "opc", "ns=2;s=Ü", (Column("value", ValueType.INT64),)),
            Declaration(
                1, SlotKind.EVENTS, "mqtt", "", (Column("a", ValueType.TEXT), Column("b", 8))
            ),
        ),
        "samples": (
            samples(column(ValueType.FLOAT64, [1.5, float("inf"), -0.0]), BAD),
            samples(column(ValueType.SYMBOL, ["on", "off", "on", "ON"], [True, True, False, True])),
        ),
        "events": (
            EventSection(
                9,
                np.array([5, 6, 2**62], np.int64),
                event_ids(3),
                (text, column(ValueType.BYTES, [b"", b"\0", b"abc"], [False, True, True])),
            ),
        ),
        "notices": (Notice("gap", {"from": 1, "text": "ä", "list": [1, None]}),),
    }


SMALL = encode_frame(**everything())


def assert_same_column(want: ColumnData, got: ColumnData) -> None:
    assert want.type == got.type
    assert got.value.dtype == DTYPES[want.type]
    valid = np.ones(len(want), np.bool_) if want.valid is None else want.valid
    assert (want.valid is None) == (got.valid is None)
    if got.valid is not None:
        assert np.array_equal(want.valid, got.valid)
    if got.value.dtype == np.object_:
        assert want.value[valid].tolist() == got.value[valid].tolist()
    else:
        assert want.value[valid].tobytes() == got.value[valid].tobytes()


def assert_holds(frame: Frame, body: dict[str, object]) -> None:
    assert tuple(body.get("declarations", ())) == frame.declarations
    assert tuple(body.get("notices", ())) == frame.notices
    wanted = [s for s in body.get("samples", ()) if len(s)]
    for want, got in zip(wanted, frame.samples, strict=True):
        for name in ("slot", "timestamp_ns", "quality"):
            assert getattr(want, name).tobytes() == getattr(got, name).tobytes()
            assert getattr(want, name).dtype == getattr(got, name).dtype
        assert_same_column(want.value, got.value)
    wanted = [s for s in body.get("events", ()) if len(s)]
    for want, got in zip(wanted, frame.events, strict=True):
        assert want.slot == got.slot
        assert want.timestamp_ns.tobytes() == got.timestamp_ns.tobytes()
        assert want.event_id.tobytes() == got.event_id.tobytes()
        assert got.event_id.dtype == np.dtype("V16")
        for ours, theirs in zip(want.data, got.data, strict=True):
            assert_same_column(ours, theirs)


def test_a_frame_comes_back_as_it_was():
    """Envelope, declarations, rows, nulls, notices."""
    frame = decode_frame(SMALL)

    assert_holds(frame, everything())
    envelope = frame.envelope
    assert (b"i" * 16, b"p" * 16, 3, 7) == (
        envelope.incarnation,
        envelope.producer_id,
        envelope.epoch,
        envelope.sequence,
    )
    assert (envelope.previous_crc, envelope.flags) == (0xDEADBEEF, FLAG_OBSERVED)
    assert (envelope.row_count, envelope.min_time_ns) == (10, -3_000_009)
    assert envelope.max_time_ns == 2**62
    assert peek_envelope(SMALL) == envelope
    assert frame.raw is SMALL
    assert len(SMALL) % 8 == 0


def test_an_empty_frame_is_a_heartbeat():
    """No rows: both times are 0."""
    frame = decode_frame(
        encode_frame(**ENVELOPE, samples=(samples(column(ValueType.FLOAT64, [])),))
    )

    assert frame.samples == ()
    envelope = frame.envelope
    assert (envelope.row_count, envelope.min_time_ns, envelope.max_time_ns) == (0, 0, 0)


def test_float_bits_are_kept():
    """NaN payloads and the sign of zero are data."""
    bits = np.array([0x7FF8_0000_0000_0001, 0xFFF0_0000_0000_0002, 1 << 63, 1], np.uint64)
    value = ColumnData(ValueType.FLOAT64, bits.view(np.float64))

    got = decode_frame(encode_frame(**ENVELOPE, samples=(samples(value),))).samples[0].value

    assert bits.tolist() == got.value.view(np.uint64).tolist()


def test_numbers_are_views_and_read_only():
    """Nothing is copied that need not be, and nobody changes what the checksum covers."""
    value = column(ValueType.INT64, list(range(50)))
    raw = encode_frame(**ENVELOPE, samples=(samples(value, 7),))

    for data in (raw, memoryview(b"x" + raw)[1:]):
        section = decode_frame(data).samples[0]
        for array in (section.timestamp_ns, section.slot, section.quality, section.value.value):
            assert not array.flags.writeable
            assert array.flags.aligned
            assert array.base is not None


def test_every_prefix_is_truncated():
    """A connection may end anywhere."""
    for end in range(len(SMALL)):
        with pytest.raises(TruncatedData):
            decode_frame(SMALL[:end])


def test_every_flipped_bit_is_found():
    """A wrong value is never returned."""
    for at in range(len(SMALL)):
        for bit in range(8):
            flipped = bytearray(SMALL)
            flipped[at] ^= 1 << bit
            with pytest.raises((DataError, LimitExceeded)):
                decode_frame(flipped)


def sealed(data: bytearray) -> bytes:
    """The same bytes with a checksum that holds: what a hostile producer sends."""
    data[92:96] = struct.pack("<I", crc32c(data[96:], crc32c(data[:92])))
    return bytes(data)


def decodes_or_refuses(data: bytes) -> bool:
    try:
        frame = decode_frame(data)
    except (DataError, LimitExceeded):
        return False
    for section in frame.samples:
        assert len(section.value) == len(section.timestamp_ns) == len(section.slot)
        assert len(section.quality) == len(section.slot)
        section.value.objects()
    for event in frame.events:
        assert all(len(data) == len(event) == len(event.event_id) for data in event.data)
    assert frame.envelope.row_count == sum(map(len, (*frame.samples, *frame.events)))
    return True


@pytest.mark.parametrize("value", [0, 1, 0x7F, 0x80, 0xFF])
def test_a_hostile_byte_anywhere_is_refused_or_harmless(value):
    """A checksum proves the maker, not his intentions."""
    for at in range(4, len(SMALL)):
        data = bytearray(SMALL)
        data[at] = value
        decodes_or_refuses(sealed(data))


def test_random_hostile_changes_are_refused_or_harmless():
    """Several numbers wrong at once, sections cut out or repeated."""
    rng = random.Random(4)
    refused = 0
    for _ in range(4000):
        data = bytearray(SMALL)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(96, len(data), 4) if rng.random() < 0.8 else rng.randrange(64, 92, 4)
            number = rng.choice([0, 1, 2, 7, 8, 255, 65535, 1 << 31, 0xFFFFFFFF, len(data)])
            data[at : at + 4] = struct.pack("<I", number)
        if rng.random() < 0.2:
            a, b = sorted(rng.randrange(96, len(data), 8) for _ in range(2))
            data[a:b] = data[a:b] * rng.choice([0, 2])
            data[8:12] = struct.pack("<I", len(data))
        refused += not decodes_or_refuses(sealed(data))
    assert refused > 1000


_KINDS = st.sampled_from(list(ValueType))
_SCALARS = {
    ValueType.FLOAT64: st.floats(),
    ValueType.FLOAT32: st.floats(width=32),
    ValueType.INT64: st.integers(-(2**63), 2**63 - 1),
    ValueType.UINT64: st.integers(0, 2**64 - 1),
    ValueType.BOOL: st.booleans(),
    ValueType.SYMBOL: st.text(max_size=3),
    ValueType.TEXT: st.text(max_size=9),
    ValueType.BYTES: st.binary(max_size=9),
}


@st.composite
def columns(draw: st.DrawFn, count: int) -> ColumnData:
    kind = draw(_KINDS)
    values = draw(st.lists(_SCALARS[kind], min_size=count, max_size=count))
    valid = draw(st.none() | st.lists(st.booleans(), min_size=count, max_size=count))
    return column(kind, values, valid)


@st.composite
def sample_sections(draw: st.DrawFn) -> SampleSection:
    count = draw(st.integers(0, 12))
    words = st.lists(st.integers(0, 2**32 - 1), min_size=count, max_size=count)
    times = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=count, max_size=count)
    return SampleSection(
        np.array(draw(words), np.uint32),
        np.array(draw(times), np.int64),
        np.array(draw(words), np.uint32),
        draw(columns(count)),
    )


@st.composite
def event_sections(draw: st.DrawFn) -> EventSection:
    count = draw(st.integers(0, 6))
    times = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=count, max_size=count)
    data = draw(st.lists(columns(count), max_size=4))
    slot = draw(st.integers(0, 2**32 - 1))
    return EventSection(slot, np.array(draw(times), np.int64), event_ids(count), tuple(data))


@settings(max_examples=150, deadline=None)
@given(st.lists(sample_sections(), max_size=3), st.lists(event_sections(), max_size=2))
def test_any_columns_come_back_bit_for_bit(sample_list, event_list):
    """Whatever the values, nulls and lengths are."""
    raw = encode_frame(**ENVELOPE, samples=sample_list, events=event_list)
    frame = decode_frame(raw)

    assert_holds(frame, {"samples": sample_list, "events": event_list})
    again = encode_frame(
        **ENVELOPE, samples=frame.samples, events=frame.events, declarations=frame.declarations
    )
    assert raw == again


def test_a_body_of_frames_is_split():
    """The header carries the size; what ends early or is no frame is named."""
    first, second = encode_frame(**ENVELOPE), SMALL
    body = first + second

    assert [first, second] == [bytes(f) for f in split_frames(body)]
    assert list(split_frames(b"")) == []
    pieces = split_frames(body[:-8])
    assert bytes(next(pieces)) == first
    with pytest.raises(TruncatedData):
        next(pieces)
    with pytest.raises(CorruptData):
        list(split_frames(first + b"garbage that is longer than nothing"))
    with pytest.raises(CorruptData, match="one frame"):
        decode_frame(body)


def test_a_newer_version_says_so():
    """The remedy is an upgrade, not a repair."""
    data = bytearray(SMALL)
    data[4] = 2
    with pytest.raises(UnsupportedFormat, match="version 2"):
        decode_frame(sealed(data))
    data = bytearray(SMALL)
    data[14] = 1
    with pytest.raises(UnsupportedFormat):
        decode_frame(sealed(data))


def test_the_bounds_of_the_reader_hold():
    """Refused by the header, before anything is allocated."""
    with pytest.raises(LimitExceeded):
        decode_frame(SMALL, rows_max=9)
    with pytest.raises(LimitExceeded):
        decode_frame(SMALL, bytes_max=len(SMALL) - 1)
    assert decode_frame(SMALL, rows_max=10, bytes_max=len(SMALL))


def test_many_tiny_things_are_bounded():
    """A few bytes each must not become a Python object each without end."""
    notices = [Notice("heartbeat", {})] * 140_000
    with pytest.raises(LimitExceeded):
        encode_frame(**ENVELOPE, notices=notices)


@pytest.mark.parametrize(
    "body",
    [
        {"incarnation": b"short"},
        {"epoch": -1},
        {"sequence": 2**64},
        {"previous_crc": 2**32},
        {"samples": (samples(ColumnData(ValueType.INT64, np.zeros(2, np.int32))),)},
        {"samples": (samples(column(ValueType.FLOAT64, [1.0], [True, False])),)},
        {"samples": (samples(ColumnData(ValueType.TEXT, np.array(["a", 3], object))),)},
        {"samples": (samples(column(ValueType.SYMBOL, ["\ud800"])),)},
        {"declarations": (Declaration(-1, SlotKind.SERIES, "", "", ()),)},
        {"declarations": (Declaration(0, SlotKind.SERIES, "", "\ud800", ()),)},
        {"notices": (Notice("gap", {"x": float("nan")}),)},
        {"notices": (Notice("gap", {"x": object()}),)},
        {"events": (EventSection(0, np.zeros(1, np.int64), np.zeros(1, "V8"), ()),)},
    ],
)
def test_what_no_frame_can_carry_is_refused(body):
    """By the encoder, before it is in anybody's spool."""
    with pytest.raises(InvalidArgument):
        encode_frame(**{**ENVELOPE, **body})


def test_version_1_keeps_its_bytes():
    """Frames lie in spools and logs for years: these bytes decode for ever."""
    raw = encode_frame(
        incarnation=ZERO_ID,
        producer_id=bytes(range(16)),
        epoch=1,
        sequence=2,
        previous_crc=3,
        flags=0,
        samples=(samples(column(ValueType.BOOL, [True, False], [True, False]), BAD),),
    )
    assert raw.hex() == GOLDEN


GOLDEN = (
    "4c48463101006000a800000000000000000000000000000000000000000000000001020304050607"
    "08090a0b0c0d0e0f01000000000000000200000000000000bdbdf0ffffffffff0000000000000000"
    "02000000010000000300000073bac7aa020101000200000048000000000000000000000000000000"
    "bdbdf0ffffffffff0000000001000000000000800000008005010000180000000100000000000000"
    "0100000000000000"
)
