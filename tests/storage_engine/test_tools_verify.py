"""tools/verify.py: what is sound passes, what is not is named, whatever the damage."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest

from storage_engine.checksum import crc32c
from storage_engine.compact_table import decode_directory
from storage_engine.engine import Engine
from storage_engine.frame import Declaration, SlotKind, encode_frame
from storage_engine.manifest import (
    Manifest,
    decode_manifest,
    encode_manifest,
    generations,
)
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import Column, ValueType
from storage_engine.segment.layout import TRAILER_MAGIC, Edge, decode_edge
from storage_engine.table import encode_table, json_column, read_json
from storage_engine.testing import DAY_NS, Producer, SampleRow, SetClock
from storage_engine.tools.crc_inverse import last_field, seed_of
from storage_engine.tools.kinds import Kind, kind_of
from storage_engine.tools.verify import verify_file, verify_store

sys.path.insert(0, str(Path(__file__).parent))
from tools_story import CONFIG, KINDS, copy_of, damage, files_of, read, records_of, story

STORE = story()


def spool_file(frames: int = 3) -> bytes:
    """Frames as a spool keeps them."""
    producer = Producer(b"q" * 16)
    rows = [[SampleRow(0, ValueType.INT64, 10**9 + k, k)] for k in range(frames)]
    return b"".join(producer.frame(row).raw for row in rows)


def test_a_sound_store_and_each_of_its_files_pass():
    """Nothing is called damaged that is not."""
    fs = copy_of(STORE)

    assert [] == verify_store(fs).findings
    for path in files_of(fs):
        assert [] == verify_file(fs, path).findings, path
    assert verify_store(fs).rows == sum(
        verify_file(fs, path).rows for path in files_of(fs, "segments")
    )


@pytest.mark.parametrize("directory", ["manifest", "segments"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_damage_of_what_is_sealed_is_named(directory, kind):
    """Every byte of a segment and a manifest is under a checksum or a rule."""
    rng = random.Random(f"{directory} {kind}")
    paths = files_of(STORE, directory)
    for number in range(100):
        fs = copy_of(STORE)
        path = paths[number % len(paths)]
        if not damage(fs, path, kind, rng):
            continue
        store = verify_store(fs)
        named = {finding.path for finding in store.findings}
        older = directory == "manifest" and kind == "missing"
        assert older or any(path in one or directory in one for one in named), (path, number)
        if kind != "missing":
            assert verify_file(fs, path).findings, (path, number)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_of_the_log_is_named_or_was_never_durable(kind):
    """Where records are gone or changed, findings or the note of a torn tail say so."""
    rng = random.Random(kind)
    paths = [path for path in files_of(STORE, "wal") if "spare" not in path]
    sound = {path: records_of(STORE, path) for path in paths}
    changed = 0
    for number in range(150):
        fs = copy_of(STORE)
        path = paths[number % len(paths)]
        damage(fs, path, kind, rng)
        done = verify_store(fs)
        if not fs.exists(path):
            assert done.findings or done.notes or path == paths[-1], path
            continue
        verify_file(fs, path)
        if records_of(fs, path) == sound[path]:
            continue
        changed += 1
        last = path == paths[-1]
        lost_tail = last and records_of(fs, path) == sound[path][: len(records_of(fs, path))]
        assert done.findings or done.notes or lost_tail, (path, number)
        if not last:
            assert done.findings, (path, number)
    assert changed or kind == "missing"


@pytest.mark.parametrize("kind", ["flip", "cut", "zeros"])
def test_damage_of_frames_is_named(kind):
    """A spool's file has no byte outside a checksum; zeros at its end were never promised."""
    rng = random.Random(kind)
    whole = spool_file()
    for _ in range(100):
        fs = RecordingFileSystem()
        fs.make_directories("wal")
        fs.create("wal/a.frames").append(whole)
        changed = damage(fs, "wal/a.frames", kind, rng)
        done = verify_file(fs, "wal/a.frames")
        sound = [whole[: len(whole) * k // 3] for k in range(4)]
        harmless = read(fs, "wal/a.frames").rstrip(b"\0") in [one.rstrip(b"\0") for one in sound]
        assert done.findings or not changed or harmless


def test_slots_that_a_spool_keeps_declared_have_no_order():
    """They are frames of sequence 0, one behind the other, and sound."""
    value = (Column("value", ValueType.FLOAT64),)
    frames = [
        encode_frame(
            incarnation=bytes(16),
            producer_id=b"p" * 16,
            epoch=1,
            sequence=0,
            previous_crc=0,
            declarations=[Declaration(slot, SlotKind.SERIES, "s", f"a{slot}", value)],
        )
        for slot in range(3)
    ]
    fs = RecordingFileSystem()
    fs.make_directories("declared")
    fs.create("declared/1.frames").append(b"".join(frames))

    assert list(verify_file(fs, "declared/1.frames").findings) == []


def forge(fs, path, **columns):
    """Write a directory that lies, with checksums that hold."""
    data = read(fs, path)
    trailer = decode_edge(data[-64:], TRAILER_MAGIC, at=path)
    table = decode_directory(data[trailer.offset : -64], at=path)
    for name, change in columns.items():
        table[name] = change(table[name].copy())
    body = encode_table(table)
    edge = Edge(trailer.incarnation, trailer.segment_id, crc32c(body), trailer.offset, len(body))
    fs.remove(path)
    fs.create(path).append(data[: trailer.offset] + body + edge.encode(TRAILER_MAGIC))


def one_more(values):
    values[0] = values[0] + 1
    return values


@pytest.mark.parametrize(
    "name",
    [
        *("run_first", "run_last", "run_stamp_min", "run_stamp_max", "run_flags", "run_good"),
        *("run_minimum", "run_maximum", "run_sum", "run_squares", "run_stepped_ns"),
        *("run_forward_ns", "run_covered_ns", "run_increase", "run_exact", "run_ends"),
        *("run_rows", "run_start", "run_stream", "block_rows", "block_offset", "stream_id"),
    ],
)
def test_a_directory_that_lies_under_sound_checksums_is_found(name):
    """Every array is computed again from the rows."""
    fs = copy_of(STORE)
    path = next(p for p in files_of(fs, "segments") if "2025-06" in p)
    forge(fs, path, **{name: one_more})

    assert verify_file(fs, path).findings


@pytest.mark.parametrize("name", ["rows", "first", "last", "lsn_min", "lsn_max", "partition"])
def test_facts_that_lie_are_found(name):
    """The directory's facts, against its rows."""
    fs = copy_of(STORE)
    path = files_of(fs, "segments")[0]

    def lie(values):
        facts = read_json({"facts": values}, "facts", at="x")
        facts[name] = "1999" if name == "partition" else facts.get(name, 0) + 1
        return json_column(facts)

    forge(fs, path, facts=lie)

    assert verify_file(fs, path).findings


def test_manifest_and_segments_are_held_against_each_other():
    """What the manifest says of a segment, and references to streams that are not there."""
    fs = copy_of(STORE)
    path = f"manifest/{generations(fs)[0]:016x}"
    manifest = decode_manifest(read(fs, path), at=path)
    listed = [manifest.segments[0], *manifest.segments]
    table = {**manifest.table, "binding_stream": manifest.table["binding_stream"] + np.uint32(90)}
    worse = Manifest(manifest.incarnation, manifest.generation, 5, tuple(listed), table)
    fs.remove(path)
    fs.create(path).append(encode_manifest(worse))

    said = " ".join(finding.what for finding in verify_store(fs).findings)

    assert "listed twice" in said
    assert "which is not there" in said


def test_a_store_that_is_being_written_is_sound():
    """The tool takes no lock and looks again when the store moved on."""
    fs = copy_of(STORE)
    engine = Engine.open(fs, CONFIG, SetClock())

    before = verify_store(fs).findings
    engine.flush()

    assert ([], []) == (before, verify_store(fs).findings)
    engine.close()


def test_what_a_file_is_shows_in_its_first_bytes():
    """Under any name; a name that promises a kind is believed."""
    fs = RecordingFileSystem()
    for place, (path, kind) in enumerate(
        [(files_of(STORE, "segments")[0], Kind.SEGMENT), (files_of(STORE, "wal")[0], Kind.LOG)]
    ):
        fs.create(f"file{place}").append(read(STORE, path))
        assert kind is kind_of(fs, f"file{place}")
    fs.create("odd").append(b"hello there, who are you")
    assert Kind.UNKNOWN is kind_of(fs, "odd")
    assert verify_file(fs, "odd").findings


def test_a_checksum_can_be_undone():
    """The seed and the last field follow from the bytes and the sum."""
    rng = random.Random(1)
    for size in (0, 1, 7, 8, 1000, 70_000):
        data, seed = rng.randbytes(size), rng.getrandbits(32)
        assert seed == seed_of(data, crc32c(data, seed))
    prefix = rng.randbytes(28)
    assert 4711 == last_field(prefix, crc32c(prefix + (4711).to_bytes(4, "little")))


def test_what_a_compaction_wrote_is_sound():
    """Erased rows are gone, days have become months: every rule still holds."""
    fs = copy_of(STORE)
    engine = Engine.open(fs, CONFIG, SetClock(SetClock().time_ns + 80 * DAY_NS))
    engine.flush()
    report = engine.compact(lambda size_bytes: None)
    engine.close()
    assert report.segments_written > 0

    done = verify_store(fs)

    assert ([], True) == (done.findings, done.rows > 0)


def test_the_greatest_numbers_pass_without_a_warning():
    """Sums that overflow are compared as they are."""
    fs = RecordingFileSystem()
    engine = Engine.open(fs, CONFIG, SetClock())
    value = (Column("value", ValueType.FLOAT64),)
    engine.bind(b"p" * 16, 1, {0: engine.create_stream(b"v" * 16, SlotKind.SERIES, value)})
    held = [1.7e308, 1.7e308, -1.7e308, float("nan"), float("inf")]
    rows = [SampleRow(0, ValueType.FLOAT64, 10**18 + k * 10**12, v) for k, v in enumerate(held)]
    engine.wait_durable(engine.append(Producer(b"p" * 16).frame(rows)).lsn)
    engine.flush()
    engine.close()

    assert [] == verify_store(fs).findings
