"""manifest.py: one generation is whole or not there; the newest sound one is the store."""

import numpy as np
import pytest

from storage_engine.errors import CorruptData
from storage_engine.findings import Findings
from storage_engine.frame import SlotKind
from storage_engine.manifest import (
    Manifest,
    decode_manifest,
    encode_manifest,
    generations,
    load_manifest,
    newest_table,
    read_newest,
    read_streams,
    store_manifest,
    stream_table,
)
from storage_engine.newest import Newest
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import Column, ValueType
from storage_engine.segment.layout import SegmentInfo
from storage_engine.streams import StreamInfo

SEGMENT = SegmentInfo(3, "2025-06-15", "default", 100, 7, -5, 5, 1, 9)
STREAMS = [
    StreamInfo(1, b"a" * 16, SlotKind.SERIES, (Column("value", ValueType.FLOAT64),), "default"),
    StreamInfo(5, b"b" * 16, SlotKind.SERIES, (Column("value", ValueType.SYMBOL),), "long"),
    StreamInfo(6, b"c" * 16, SlotKind.EVENTS, (Column("x", ValueType.TEXT),), "default"),
]


def manifest(generation=4):
    return Manifest(b"i" * 16, generation, 9, (SEGMENT,), stream_table(STREAMS))


def test_a_generation_comes_back():
    """Segments, checkpoint, streams with their classes."""
    decoded = decode_manifest(encode_manifest(manifest()), at="x")

    assert (b"i" * 16, 4, 9, (SEGMENT,)) == (
        decoded.incarnation,
        decoded.generation,
        decoded.checkpoint_lsn,
        decoded.segments,
    )
    assert STREAMS == read_streams(decoded.table, at="x")


def test_every_flipped_byte_is_found():
    """Header and body are under checksums."""
    data = encode_manifest(manifest())
    for place in range(len(data)):
        damaged = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises(CorruptData):
            decode_manifest(damaged, at="x")
    for size in range(len(data)):
        with pytest.raises(CorruptData):
            decode_manifest(data[:size], at="x")


def test_the_newest_sound_generation_is_taken_and_the_damaged_one_named():
    """The older one is kept for this."""
    fs, findings = RecordingFileSystem(), Findings(9)
    store_manifest(fs, manifest(4))
    store_manifest(fs, manifest(5))
    fs.open_write("manifest/0000000000000005").write_at(70, b"\xff")

    found = load_manifest(fs, findings)

    assert [5, 4] == generations(fs)
    assert found is not None
    assert 4 == found.generation
    assert ["manifest/0000000000000005"] == [finding.path for finding in findings.list()]


def test_newest_samples_come_back_with_their_strings():
    """Codes belong to a head; the manifest holds the strings."""
    newest = Newest.empty(8)
    newest.time[[1, 5]], newest.stamp[[1, 5]] = (10, 20), (3, 5)
    newest.cell[[1, 5]], newest.flags[[1, 5]] = (7, 99), (3, 3)
    table = newest_table(newest, {5: "RÜN"})
    again, interned = Newest.empty(1), []

    def intern(text):
        interned.append(text)
        return 42

    types = np.zeros(8, np.uint8)
    for info in STREAMS:
        types[info.id] = info.value_type
    read_newest(table, again, types, intern)

    assert ["RÜN"] == interned
    assert [(10, 7, 3), (20, 42, 3)] == [
        (again.time[n], again.cell[n], again.flags[n]) for n in (1, 5)
    ]
    assert not again.flags[[0, 2, 3, 4]].any()
    assert np.uint64 == again.cell.dtype
