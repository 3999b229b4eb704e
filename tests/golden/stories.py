"""What the golden stores hold: one story per store, and a collector's spool."""

import math
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from golden.story import CONFIG, Story, plain

from historian.collector.frames import FrameBuilder, Part
from historian.collector.spool import Spool
from storage_engine.changes import Verb
from storage_engine.filesystem import RealFileSystem
from storage_engine.frame import Notice
from storage_engine.sample import Column, EventBatch, SampleBatch, ValueType
from storage_engine.streams import Duplicates
from storage_engine.testing import (
    DAY_NS,
    SECOND_NS,
    EventRow,
    SampleRow,
    SetClock,
    bits,
    column_of,
)

NOW = SetClock().time_ns
NAN = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_0000_0123))[0]
NAN32 = struct.unpack("<f", struct.pack("<I", 0xFFC0_0123))[0]
TEXTS = ["RUN", "", "Ä\x00 grüß", "\U0001f600 \U00020bb7", "e\u0301", "x" * 300, None]
VALUES: dict[ValueType, list[Any]] = {
    ValueType.FLOAT64: [0.0, -0.0, 1.5, NAN, -math.inf, math.inf, 5e-324, 1.7e308, None],
    ValueType.FLOAT32: [0.0, -0.0, 1.5, NAN32, math.inf, -math.inf, None],
    ValueType.INT64: [0, -1, 2**63 - 1, -(2**63), None],
    ValueType.UINT64: [0, 1, 2**63, 2**64 - 1, None],
    ValueType.BOOL: [True, False, None],
    ValueType.SYMBOL: TEXTS,
    ValueType.TEXT: [*TEXTS, "line\nline"],
    ValueType.BYTES: [b"", b"\x00\xff", b"\xed\xa0\x80", bytes(range(256)), None],
}
TYPES = list(VALUES)
BAD = 0x8000_0000
UNIT = (Column("unit", ValueType.TEXT), Column("value", ValueType.FLOAT64))
WIDE = (*UNIT, *(Column(f"c{int(t)}", t) for t in TYPES))
EVENTS, MORE = 100, 101


def types(story: Story) -> None:
    """Every value of every type, in blocks of its own, in shared blocks, and in the log."""
    for slot, value_type in enumerate(TYPES):
        story.series(slot, value_type)
    story.event_stream(EVENTS, UNIT)
    rows = [
        SampleRow(slot, t, NOW + k * SECOND_NS, value, [0, 0, BAD, 0x4094_0000][k % 4])
        for slot, t in enumerate(TYPES)
        for k, value in enumerate(VALUES[t])
    ]
    story.append(rows)
    story.append(
        events=[
            EventRow(EVENTS, NOW, b"a" * 16, ("u1", NAN)),
            EventRow(EVENTS, NOW, bytes(16), (None, None)),
        ],
        columns=UNIT,
    )
    story.engine.flush()
    story.wait(7)
    story.grow(EVENTS, WIDE)
    wide = [
        EventRow(
            EVENTS,
            NOW + k * SECOND_NS,
            k.to_bytes(16, "big"),
            ("Ü", 1.0, *(VALUES[t][k % len(VALUES[t])] for t in TYPES)),
        )
        for k in range(9)
    ]
    story.append(events=wide, columns=WIDE)
    story.append(events=[EventRow(EVENTS, NOW - 1, b"n" * 16, ("narrow", 2.0))], columns=UNIT)
    # Long enough for blocks of one stream, and for every codec.
    long = [SampleRow(0, TYPES[0], NOW + k * 10**7, math.sin(k)) for k in range(1000, 1150)]
    long += [SampleRow(2, TYPES[2], NOW + k * 10**7 + k % 3, 10**12 + k) for k in range(1000, 1100)]
    long += [SampleRow(3, TYPES[3], NOW + k * 10**7, 7) for k in range(1000, 1100)]
    long += [SampleRow(4, TYPES[4], NOW + k * 10**7, k > 1050) for k in range(1000, 1100)]
    long += [SampleRow(5, TYPES[5], NOW + k * 10**7, "ABC"[k % 3]) for k in range(1000, 1100)]
    long += [SampleRow(6, TYPES[6], NOW + k * 10**7, f"text {k}") for k in range(1000, 1050)]
    story.append(long, rejected=[3, 4, 200])
    story.engine.flush()
    story.wait(7)
    story.append(rows, observed=False, name=b"w" * 16)
    later = [
        SampleRow(s, t, NOW + 60 * SECOND_NS, v) for s, t in enumerate(TYPES) for v in VALUES[t]
    ]
    story.append(later, wide[:2], WIDE, name=b"k" * 16, one_shot=True, rejected=[1])
    story.append(events=[EventRow(EVENTS, NOW, b"a" * 16, ("u2", NAN))], columns=UNIT)


def history(story: Story) -> None:
    """Late data over days, months and years; rewrites, redeliveries, conflicts; three rules."""
    kinds = {0: ValueType.FLOAT64, 1: ValueType.FLOAT64, 2: ValueType.SYMBOL, 3: ValueType.INT64}
    for slot, value_type in kinds.items():
        story.series(slot, value_type)
    story.event_stream(EVENTS, UNIT)
    ago = [0, 1, 2, 40, 41, 75, 800, 3000, 20_259]
    words = {0: 1.5, 1: -0.0, 2: "RUN", 3: 5}
    again = {0: 2.5, 1: 0.0, 2: "STOP", 3: 6}
    for part in range(3):
        for days in ago[part:]:
            when = NOW - days * DAY_NS
            rows = [
                SampleRow(s, kinds[s], when + k, words[s]) for s in kinds for k in range(part + 1)
            ]
            story.append(rows)
            event = EventRow(EVENTS, when, bytes([part]) * 16, ("unit", float(part)))
            story.append(events=[event], columns=UNIT)
        story.deliver_again()
        story.engine.flush()
        story.wait(3600)
    for observed in (True, False, True, False):
        for values in (again, words):
            rows = [
                SampleRow(s, kinds[s], NOW - d * DAY_NS, values[s]) for s in kinds for d in (0, 40)
            ]
            story.append(rows, observed=observed, name=b"pw"[observed : observed + 1] * 16)
        conflict = EventRow(EVENTS, NOW, bytes(16), ("other", float(observed)))
        story.append(events=[conflict], columns=UNIT)
        story.engine.flush()
        story.wait(60)
    twice = [SampleRow(0, kinds[0], NOW + 9, v) for v in (1.0, 2.0, 1.0, 2.0, NAN, NAN)]
    story.append(twice, observed=False, name=b"w" * 16)
    places = [(slot, NOW - days * DAY_NS) for slot in kinds for days in range(0, 90, 9)]
    past = [SampleRow(slot, kinds[slot], time, words[slot]) for slot, time in places]
    story.bulk(past, [EventRow(EVENTS, NOW - DAY_NS, b"i" * 16, ("imported", None))])
    corrected = [SampleRow(s, kinds[s], NOW - 9 * DAY_NS, again[s]) for s in kinds]
    story.bulk(corrected, authoritative=True)
    story.set_stream(1, duplicates=Duplicates.FIRST)
    story.set_stream(2, duplicates=Duplicates.ALL)
    story.append(twice, name=b"o" * 16)


def changes(story: Story) -> None:
    """Deletions, erasures, edits, annotations, before and behind flushes; classes; compaction."""
    for slot, name in enumerate(["default", "short", "default"]):
        story.series(slot, ValueType.FLOAT64, name)
    story.event_stream(EVENTS, UNIT)

    def write(value: float, *, observed: bool = True) -> None:
        rows = [
            SampleRow(slot, ValueType.FLOAT64, NOW - d * DAY_NS + k * SECOND_NS, value)
            for slot in range(3)
            for d in (0, 1, 40)
            for k in range(5)
        ]
        events = [EventRow(EVENTS, NOW + k * SECOND_NS, b"e" * 16, ("u", value)) for k in range(5)]
        story.append(rows, events, UNIT, observed=observed)
        story.wait(30)

    write(1.0)
    story.engine.flush()
    story.change(Verb.DELETE, 0, NOW, NOW + 2 * SECOND_NS, "wrong sensor")
    story.change(Verb.DELETE, EVENTS, NOW + SECOND_NS, NOW + 3 * SECOND_NS)
    write(1.0)
    story.change(Verb.ERASE, 1, NOW - DAY_NS, NOW + SECOND_NS, "privacy")
    story.change(Verb.ERASE, EVENTS, NOW + 3 * SECOND_NS, NOW + 4 * SECOND_NS)
    story.engine.flush()
    write(1.0, observed=False)
    story.change(Verb.EDIT, 2, NOW, NOW + 1, "by hand")
    write(2.0, observed=False)
    story.set_stream(2, name="long")
    story.engine.flush()
    story.change(Verb.ANNOTATE, 2, NOW, NOW + 1, "Lager heiß \U0001f525")
    write(1.0)
    write(3.0)
    story.engine.flush()
    story.engine.compact(lambda size_bytes: None)
    story.wait(40 * 86_400)
    write(4.0)
    story.engine.flush()
    story.engine.compact(lambda size_bytes: None)
    story.change(Verb.DELETE, 2, NOW - 50 * DAY_NS, NOW + DAY_NS)
    write(4.0)
    write(1.0, observed=False)
    story.change(Verb.ERASE, 0, NOW + 2 * SECOND_NS, NOW + 4 * SECOND_NS)


def signals(rows: int, seed: int) -> dict[ValueType | str, list[Any]]:
    """What a plant measures, in columns that each suit another codec."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, 0.02, rows))
    held = np.maximum.accumulate(np.where(rng.random(rows) < 0.01, np.arange(rows), 0))
    states = np.array(["RUN", "IDLE", "FAULT", "Wartung \xfc"], object)
    return {
        "process": np.round(walk + 70, 2).tolist(),
        "transmitter": (np.rint(2000 + 5000 * walk) * (10.0 / 4095.0)).tolist(),
        "totaliser": np.round(np.cumsum(np.abs(rng.normal(0.01, 0.004, rows))) + 9e4, 3).tolist(),
        "computed": (walk * 1.8 + 32 + rng.normal(0, 1e-3, rows)).tolist(),
        "noise": rng.normal(0, 1, rows).tolist(),
        "set point": (rng.integers(100, 900, rows)[held] / 10).tolist(),
        "few": rng.choice([0.0, -0.0, math.pi, math.inf, NAN], rows).tolist(),
        ValueType.FLOAT32: np.round(walk + 20, 1).astype(np.float32).tolist(),
        ValueType.INT64: np.cumsum(rng.integers(0, 50, rows)).tolist(),
        ValueType.UINT64: (rng.integers(0, 2**63, rows).astype(np.uint64) * 2).tolist(),
        ValueType.BOOL: (np.cumsum(rng.random(rows) < 0.05) % 2 == 1).tolist(),
        ValueType.SYMBOL: states[rng.integers(0, 4, rows)].tolist(),
    }


STRETCHES: list[tuple[int, int, int, tuple[ValueType | str, ...]]] = [
    (NOW - 60 * DAY_NS, 1, 1040, ("process", "noise", ValueType.INT64)),
    (NOW, 2, 100, ()),
    (NOW + DAY_NS, 3, 1040, ("process", "transmitter")),
]


def fast(story: Story) -> None:
    """Fast tags of one scan: blocks of their own, shared columns, pyramids; old rows are cold."""
    for slot, kind in enumerate(signals(1, 1)):
        story.series(slot, kind if isinstance(kind, ValueType) else ValueType.FLOAT64)
    for begin, seed, rows, chosen in STRETCHES:
        rng = np.random.default_rng(seed)
        at = (begin + np.arange(rows) * SECOND_NS + rng.integers(0, 4, rows) * 10**6).tolist()
        quality = np.repeat(rng.choice([0, 0, 0, BAD, 0x4000_0000], rows // 20), 20).tolist()
        gap = (rng.random(rows) < 0.02).tolist()
        samples = [
            SampleRow(
                slot,
                kind if isinstance(kind, ValueType) else ValueType.FLOAT64,
                at[k],
                None if gap[k] else value,
                quality[k],
            )
            for slot, (kind, values) in enumerate(signals(rows, seed).items())
            if not chosen or kind in chosen
            for k, value in enumerate(values)
        ]
        story.bulk(samples)
        story.wait(1)
    story.engine.compact(lambda size_bytes: None)


STORIES = {"types": types, "history": history, "changes": changes, "fast": fast}
CONFIGS = {"fast": replace(CONFIG, block_rows=2048)}


def spool(root: Path) -> list[list[Any]]:
    """A collector's spool of two starts; gives what is in it, from the plain rows."""
    rows: list[list[Any]] = []
    for start in range(2):
        held = Spool(RealFileSystem(root), 1 << 20)
        builder = FrameBuilder(held.identity)
        for number in range(3):
            parts = []
            for value_type, values in VALUES.items():
                times = [NOW + start * DAY_NS + number * SECOND_NS + k for k in range(len(values))]
                qualities = [BAD * (k % 2) for k in range(len(values))]
                address = f"ns=2;s=Ofen {int(value_type)}"
                batch = SampleBatch(
                    (address,),
                    np.zeros(len(values), np.int32),
                    np.array(times, np.int64),
                    np.array(qualities, np.uint32),
                    column_of(value_type, values),
                )
                parts.append(Part("plc", batch))
                for time, quality, value in zip(times, qualities, values, strict=True):
                    cell = plain(value_type, bits(value))
                    rows.append(["plc", address, True, time, quality, [cell]])
            event = EventBatch(
                "inspection",
                np.array([NOW + number], np.int64),
                np.array([bytes([number]) * 16], "V16"),
                UNIT,
                (column_of(UNIT[0].type, ["Ü1"]), column_of(UNIT[1].type, [None])),
            )
            notice = Notice("heartbeat", {"source": "aoi", "start": start})
            parts.append(Part("aoi", event, (notice,)))
            one = bytes([number]).hex() * 16
            rows.append(["aoi", "inspection", True, NOW + number, one, ["Ü1", None]])
            frame = builder.build(parts)
            held.append(builder.sequence, frame)
            builder.committed(frame)
        held.acknowledge(held.read(1), 1)
        held.close()
    return rows
