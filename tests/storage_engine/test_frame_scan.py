"""frame_scan: frames of numbers found by the kernel, as the reader in Python finds them."""

import numpy as np

from storage_engine.checksum import crc32c
from storage_engine.errors import StorageError
from storage_engine.frame import decode_frame
from storage_engine.frame_scan import bound_streams, plain_sections
from storage_engine.sample import ValueType
from storage_engine.testing import Producer, SampleRow

NUMBERS = (ValueType.FLOAT64, ValueType.FLOAT32, ValueType.INT64, ValueType.UINT64, ValueType.BOOL)


def plain_frame() -> bytes:
    """A frame with a section for every type of number, with nulls and qualities in some."""
    numbers = (0.5, 0.25, -7, 9, True)
    held = [
        SampleRow(n, t, 10 * n - k, numbers[n] if k or n % 2 else None, k * (n % 3))
        for n, t in enumerate(NUMBERS)
        for k in range(5)
    ]
    return Producer(b"p" * 16).frame(held).raw


def said(raw: bytes) -> object:
    """What decoding gives, as plain values, or the words of the error."""
    try:
        frame = decode_frame(raw)
    except StorageError as error:
        return type(error), str(error)
    columns = [
        (
            part.slot.tolist(),
            part.timestamp_ns.tolist(),
            part.quality.tolist(),
            part.value.type,
            part.value.value.tobytes(),
            None if part.value.valid is None else part.value.valid.tolist(),
        )
        for part in frame.samples
    ]
    return frame.envelope, frame.declarations, columns, frame.events, frame.notices


def test_a_frame_of_numbers_is_read_alike_both_ways(monkeypatch):
    """By the kernel, and section by section: the same columns, the same refusals."""
    raw = plain_frame()
    assert len(NUMBERS) == len(plain_sections(raw) or ())
    spoiled = [raw, raw + bytes(8)]
    for bit in range(0, 8 * len(raw), 3):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        spoiled.append(bytes(flipped))
        # A maker may be hostile: the sum holds, the structure may not.
        crc = crc32c(bytes(flipped[96:]), crc32c(bytes(flipped[:92])))
        flipped[92:96] = crc.to_bytes(4, "little")
        spoiled.append(bytes(flipped))
    spoiled += [raw[:size] for size in range(0, len(raw), 7)]
    fast = [said(one) for one in spoiled]

    monkeypatch.setattr("storage_engine.frame_reader.plain_sections", lambda raw: None)

    assert fast == [said(one) for one in spoiled]


def test_slots_are_bound_by_one_pass_or_not_at_all():
    """An unbound slot, one beyond the table, one of another type: the caller finds out which."""
    table, types = np.array([0, 1, 2, 9], np.uint32), np.array([0, 1, 2], np.uint8)

    def bound(*slots):
        return bound_streams(np.array(slots, np.uint32), table, types, 1)

    assert [1, 1] == bound(1, 1).tolist()
    assert bound(0) is bound(2) is bound(3) is bound(4) is bound(1, 2**32 - 1) is None
