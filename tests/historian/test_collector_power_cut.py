"""collector/spool.py: a power cut at any step leaves every promised frame, in order."""

import numpy as np

from historian.collector.frames import FrameBuilder, Part
from historian.collector.spool import Spool
from storage_engine.frame import decode_frame
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import ColumnData, SampleBatch, ValueType

STATES_PER_MOMENT = 12


def batch(number, rows=8):
    return SampleBatch(
        ("x",),
        np.zeros(rows, np.int32),
        np.arange(rows, dtype=np.int64),
        np.zeros(rows, np.uint32),
        ColumnData(ValueType.FLOAT64, np.full(rows, float(number))),
    )


class Life:
    """One start of a spool after the other, with what was promised and sent at each moment."""

    def __init__(self, fs, *, drop_oldest=False, bytes_max=1 << 20):
        self.fs = fs
        self.bytes_max = bytes_max
        self.drop_oldest = drop_oldest
        self.promised = []  # (moment, number)
        self.sent = []
        self.start()

    def start(self):
        self.spool = Spool(self.fs, self.bytes_max, drop_oldest=self.drop_oldest)
        self.spool._file_bytes = 1_200
        self.builder = FrameBuilder(self.spool.identity)

    def write(self, number):
        frame = self.builder.build([Part("plc", batch(number))])
        self.spool.append(self.builder.sequence, frame)
        self.builder.committed(frame)
        self.promised.append((self.fs.position, number))

    def send(self, bytes_max):
        reading = self.spool.read(bytes_max)
        # At the server from here on, whether we remember it or not.
        self.sent += [(self.fs.position, number) for number in numbers(reading.frames)]
        self.spool.acknowledge(reading, len(reading.frames))


def numbers(frames):
    return [int(f.samples[0].value.value[0]) for f in map(decode_frame, frames) if f.samples]


def left_in(fs, **more):
    spool = Spool(fs, 1 << 20, **more)
    frames = []
    while (reading := spool.read(1_000)).frames:
        frames += reading.frames
        spool.acknowledge(reading, len(reading.frames))
    identity = spool.identity
    spool.close()
    return frames, identity


def test_every_promised_frame_is_sent_after_any_power_cut():
    """Append returned: from then on neither a torn write nor a lost name may take the frame."""
    life = Life(RecordingFileSystem())
    for number in range(6):
        life.write(number)
    life.send(1_000)
    life.send(1_000)
    life.write(6)
    life.spool.close()
    life.start()
    for number in range(7, 10):
        life.write(number)
    states = 0
    for what, fs in life.fs.crash_states(limit=STATES_PER_MOMENT):
        states += 1
        frames, identity = left_in(fs)
        found = numbers(frames)
        at_server = [number for moment, number in life.sent if moment <= fs.crashed_at]
        promised = [number for moment, number in life.promised if moment <= fs.crashed_at]
        assert sorted(found) == found, what
        assert set(promised) <= set(found) | set(at_server), what
        keys = [
            (e.producer_id, e.epoch, e.sequence) for e in (decode_frame(f).envelope for f in frames)
        ]
        assert len(set(keys)) == len(keys), what
        assert all(epoch < identity.epoch for _, epoch, _ in keys), what
    assert states > 100


def test_dropping_under_power_cuts_loses_frames_only_with_a_gap_frame():
    """Between the removal and the gap frame there must be no moment without both."""
    life = Life(RecordingFileSystem(), drop_oldest=True, bytes_max=3_600)
    for number in range(30):
        life.write(number)
    assert life.spool.dropped_frames
    for what, fs in life.fs.crash_states(limit=6):
        decoded = [decode_frame(frame) for frame in left_in(fs, drop_oldest=True)[0]]
        found = numbers([frame.raw for frame in decoded])
        promised = [number for moment, number in life.promised if moment <= fs.crashed_at]
        missing = set(promised) - set(found)
        told = sum(n.facts["count"] for f in decoded for n in f.notices if n.kind == "gap")
        assert sorted(found) == found, what
        assert told >= 8 * len(missing), what
