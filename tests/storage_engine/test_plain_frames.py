"""kernels/plain_frame.h: frames of the log joined to a head as a whole, or left to the decoder."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage_engine.changes import Change, Verb
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.errors import InvalidArgument
from storage_engine.frame import FLAG_ONE_SHOT, SlotKind
from storage_engine.head import ROW_BYTES, Head
from storage_engine.head_rows import RowLog
from storage_engine.log_scan import plain_frames, sound_records
from storage_engine.newest import FIRST, STALE, Newest
from storage_engine.prepare import record_prefix
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import Column, ValueType
from storage_engine.state import State
from storage_engine.testing import EventRow, Producer, SampleRow, SetClock

sys.path.insert(0, str(Path(__file__).parent))
from native import HEADERS

HERE = Path(__file__).parent
TYPES = (ValueType.FLOAT64, ValueType.FLOAT32, ValueType.INT64, ValueType.UINT64, ValueType.BOOL)
SERIES = (*TYPES, ValueType.TEXT)
VALUES = {
    ValueType.FLOAT64: st.sampled_from([None, 0.0, -0.0, 2.5, float("nan"), float("-inf")]),
    ValueType.FLOAT32: st.sampled_from([None, 0.0, 0.5, float("inf")]),
    ValueType.INT64: st.sampled_from([None, 0, -(2**63), 2**63 - 1]),
    ValueType.UINT64: st.sampled_from([None, 0, 2**64 - 1]),
    ValueType.BOOL: st.sampled_from([None, True, False]),
    ValueType.TEXT: st.sampled_from([None, "", "open"]),
}
NOTE = (Column("note", ValueType.TEXT),)

rows = st.sampled_from(SERIES).flatmap(
    lambda t: st.builds(
        SampleRow,
        st.just(SERIES.index(t)),
        st.just(t),
        st.integers(0, 6),
        VALUES[t],
        st.sampled_from([0, 0, 0, 0x80000000]),
    )
)
plain = st.lists(rows.filter(lambda row: row.type is not ValueType.TEXT), min_size=1, max_size=6)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("plain"), st.integers(0, 1), plain),
        st.tuples(st.just("plain"), st.integers(0, 1), plain),
        st.tuples(st.just("any"), st.integers(0, 1), st.lists(rows, max_size=5)),
        st.tuples(st.just("masked"), st.integers(0, 1), plain),
        st.tuples(st.just("once"), st.integers(2, 3), plain),
        st.tuples(st.just("event"), st.integers(0, 1), st.integers(0, 5)),
        st.tuples(st.just("epoch"), st.integers(0, 1), st.none()),
        st.tuples(st.just("bind"), st.integers(0, 1), st.none()),
        st.tuples(st.just("delete"), st.integers(0, 4), st.integers(0, 6)),
    ),
    max_size=14,
)


class Story:
    """A store whose log holds frames of two producers, and what else may stand between them."""

    def __init__(self, told: list) -> None:
        self.fs, self.clock = RecordingFileSystem(), SetClock()
        self.config = EngineConfig(
            free_bytes_min=0, head_bytes_max=12 * ROW_BYTES, record_time_step_ms=1
        )
        wide = EngineConfig(free_bytes_min=0, wal_file_bytes=1 << 14, record_time_step_ms=1)
        self.engine = engine = Engine.open(self.fs, wide, self.clock)
        self.streams = [
            engine.create_stream(bytes([t]) * 16, SlotKind.SERIES, (Column("value", t),))
            for t in (*SERIES, *SERIES)
        ][: len(SERIES)]
        other = [
            engine.create_stream(bytes([64 + t]) * 16, SlotKind.SERIES, (Column("value", t),))
            for t in SERIES
        ]
        self.both = (self.streams, other)
        self.notes = engine.create_stream(b"n" * 16, SlotKind.EVENTS, NOTE)
        self.producers = [Producer(bytes([65 + n]) * 16) for n in range(4)]
        for number in range(4):
            self.bind(number)
        lsn = 0
        for what, number, held in told:
            self.clock.time_ns += 700_000
            lsn = self.step(what, number, held) or lsn
        if lsn:
            engine.wait_durable(lsn)
        engine.close()

    def bind(self, number: int, turn: int = 0) -> None:
        slots = {**dict(enumerate(self.both[turn])), 9: self.notes}
        producer = self.producers[number]
        self.engine.bind(producer.producer_id, producer.epoch, slots)

    def step(self, what: str, number: int, held) -> int:
        if what == "delete":
            change = Change(Verb.DELETE, self.streams[number], held, held + 2, "p", "r")
            return self.engine.change(change)
        producer = self.producers[number]
        if what in {"epoch", "once"}:
            producer.epoch, producer.sequence = producer.epoch + 1, 0
            self.bind(number)
        if what == "epoch":
            return 0
        if what == "bind":
            self.bind(number, turn=1)
            return 0
        if what == "event":
            frame = producer.frame((), [EventRow(9, held, bytes([held]) * 16, ("x",))], NOTE)
        else:
            frame = producer.frame(held, flags=FLAG_ONE_SHOT if what == "once" else None)
        mask = None
        if what == "masked":
            mask = np.arange(len(held)) % 2 == 0
        return self.engine.append(frame, mask).lsn

    def seen(self) -> dict:
        """All that a replay puts into memory; nothing is written."""
        engine = Engine.open(self.fs, self.config, self.clock, read_only=True)
        state = engine._state
        heads = [*(frozen.head for frozen in state.frozen), state.front]
        found: dict = {
            "findings": engine.findings(),
            "states": state.producers.states,
            "applied": state.applied,
            "order": sorted(state.producers.states, key=lambda p: state.producers.states[p].lsn),
            "bound": [(key, b.epoch, b.items()) for key, b in state.producers.bound(1 << 62)],
            "times": [column.tolist() for column in state.times.columns()],
            "lsn": (state.applied_lsn, state.times.last_ns),
            "heads": [(head.rows, head.size_bytes, head.oldest_ns) for head in heads],
        }
        # Under a flag that says so nothing is meant: the next look reads it.
        flags = state.newest.flags[: state.streams.id_end]
        known = (flags & STALE) == 0
        found["flags"] = np.where(known, flags, flags & (STALE | FIRST)).tolist()
        for column in ("time", "cell", "stamp", "quality"):
            held = getattr(state.newest, column)[: state.streams.id_end]
            found[column] = np.where(known, held, 0).tolist()
        for stream_id in (*self.both[0], *self.both[1]):
            got = engine.read(stream_id, -(2**62), 2**62, all_revisions=True)
            found[stream_id] = (
                got.timestamp_ns.tolist(),
                got.quality.tolist(),
                got.lsn.tolist(),
                [repr(value) for value in got.value.objects()],
            )
        engine.close()
        return found


@settings(max_examples=200, deadline=None)
@given(steps)
def test_frames_taken_as_a_whole_leave_what_decoded_ones_leave(told):
    """Rows, newest samples, producers, bindings, record times and heads: one by one or not."""
    story = Story(told)
    offered = story.seen()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(State, "apply_frames", lambda state, frames: 0)
        assert story.seen() == offered


def test_plain_frames_are_not_left_to_the_decoder(monkeypatch):
    """The fast way is taken at all: a decoder that is gone is not missed."""
    held = [SampleRow(0, ValueType.FLOAT64, at, 2.5) for at in range(6)]
    story = Story([("plain", at % 2, [row]) for at, row in enumerate(held)])
    monkeypatch.setattr("storage_engine.recovery.decode_frame", None)

    assert 6 == len(story.seen()[story.streams[0]][0])


def body_of(count: int = 3) -> bytes:
    """Body of a record that is a plain frame with a section for every type of number."""
    numbers = (0.5, 0.25, -7, 9, True)
    held = [
        SampleRow(TYPES.index(t), t, n, numbers[TYPES.index(t)] if n else None, n)
        for t in TYPES
        for n in range(count)
    ]
    return record_prefix(None) + Producer(b"p" * 16).frame(held).raw


def taken(body: bytes) -> tuple[int, int]:
    """Frames and rows that a head takes of a record's body."""
    log, newest = RowLog(32, 8), Newest.empty(8)
    types = np.array([0, *TYPES, 0, 0], np.uint8)
    table = np.array([1, 2, 3, 4, 5], np.uint32)
    columns = (np.array([0]), np.array([len(body)], np.uint32), np.array([5], np.uint64))
    count, _ = plain_frames(log, body, *columns, types, newest, 6, 32, lambda *_: table)
    return count, log.used


def test_any_bytes_are_taken_as_rows_or_left():
    """Every prefix and every flipped bit: never more rows than are there, and no crash."""
    body = body_of()
    assert taken(body) == (1, 15)
    for size in range(1, len(body)):
        assert taken(body[:size]) == (0, 0)
    for bit in range(8 * len(body)):
        spoiled = bytearray(body)
        spoiled[bit // 8] ^= 1 << bit % 8
        assert taken(bytes(spoiled)) in {(0, 0), (1, 15)}


def test_a_door_checks_where_frames_lie():
    """Offsets come from a scan, yet the door believes nobody."""
    log, newest, types = RowLog(4, 8), Newest.empty(8), np.zeros(8, np.uint8)
    lsn = np.array([1], np.uint64)
    for place, size in ((-1, 8), (0, 999), (10**6, 1), (0, 0)):
        columns = (np.array([place]), np.array([size], np.uint32), lsn)
        with pytest.raises(InvalidArgument, match="outside"):
            plain_frames(log, bytes(200), *columns, types, newest, 4, 4, lambda *_: None)
    with pytest.raises(InvalidArgument, match="differ in length"):
        plain_frames(
            log, bytes(9), np.array([0]), np.zeros(0, np.uint32), lsn, types, newest, 4, 4, id
        )
    with pytest.raises(InvalidArgument, match="byte -1"):
        sound_records(b"", -1, 0, 0)


def test_a_head_begins_with_good_rows_in_used_memory():
    """Memory of an earlier head is used again; its qualities and nulls are not."""
    for _ in range(3):
        head, newest = Head(5000 * ROW_BYTES, 1, 8), Newest.empty(8)
        columns = (np.full(5000, 7), np.full(5000, 9, np.uint64))
        head._log.append(
            np.ones(5000, np.uint32),
            *columns,
            np.full(5000, 3, np.uint32),
            np.zeros(5000, np.uint8),
            2,
            newest,
            8,
        )
        assert head._log.missing.all()
        del head
        fresh = RowLog(5000, 8)
        assert not fresh.quality.any()
        assert not fresh.missing.any()


@pytest.mark.slow
def test_the_kernel_reads_no_byte_too_many(tmp_path):
    """Every prefix and every flip again, in memory that ends where the bytes do."""
    program, body = tmp_path / "plain", tmp_path / "body"
    body.write_bytes(body_of())
    flags = ["-std=c11", "-D_GNU_SOURCE", "-g", "-O1", "-Wall", "-Wextra", "-Werror"]
    build = [os.environ.get("CC", "cc"), *flags, "-Wno-unused-function"]
    sanitize = ["-fsanitize=address,undefined", HEADERS]
    source = str(HERE / "plain_frame_flips.c")
    subprocess.run([*build, *sanitize, source, "-o", str(program)], check=True)

    run = subprocess.run([str(program), str(body)], capture_output=True, text=True, check=False)

    assert run.stderr == ""
    assert run.returncode == 0
