"""The query room on the real engine: whatever the rows lie in, the answers are the same."""

import sys
from pathlib import Path

import numpy as np
import pytest

from query.aggregates.registry import AGGREGATES
from query.engine import Query
from query.ports import Tag
from query.request import AggregateRequest, PlotRequest, QueryLimits, RawRequest
from query.testing import MemoryReader, MemoryResolver
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.filesystem import RealFileSystem
from storage_engine.frame import SampleSection, SlotKind, decode_frame, encode_frame
from storage_engine.sample import BAD, GOOD, UNCERTAIN, Column, ColumnData, ValueType

sys.path.insert(0, str(Path(__file__).parent))
from folding import reader_of

F64 = ValueType.FLOAT64
S = 1_000_000_000
BASE = 1_700_000_000 * S
FRAMES, ROWS = 30, 40
CLEAN = 1_500  # seconds without a bad sample
PRODUCER = b"p" * 16


class _Clock:
    def now_ns(self):
        return BASE


def _frames():
    """Frames of rows that are late, rewritten, bad and null; one series, then a second one."""
    rng = np.random.default_rng(11)
    for number in range(FRAMES):
        times = BASE + np.sort(rng.choice(3_000, ROWS, replace=False)) * S
        value = np.round(rng.normal(size=ROWS), 2)
        quality = rng.choice([GOOD, GOOD, GOOD, UNCERTAIN, BAD], ROWS).astype(np.uint32)
        quality[times < BASE + CLEAN * S] = GOOD
        valid = (quality != BAD) | (rng.random(ROWS) < 0.5)
        yield number, times.astype(np.int64), value, quality, valid


@pytest.fixture(scope="module", params=["head", "segments", "both"])
def readers(request, tmp_path_factory):
    """Two holders of the same rows: the engine, and lists."""
    root = tmp_path_factory.mktemp("store")
    engine = Engine.open(RealFileSystem(root), EngineConfig(free_bytes_min=0), _Clock())
    columns = (Column("value", F64),)
    series = [engine.create_stream(bytes([n]) * 16, SlotKind.SERIES, columns) for n in (1, 2)]
    engine.bind(PRODUCER, 1, {0: series[0], 1: series[1]})
    memory, crc = MemoryReader(), 0
    for number, times, value, quality, valid in _frames():
        slot = number * 2 // FRAMES
        raw = encode_frame(
            incarnation=engine.incarnation,
            producer_id=PRODUCER,
            epoch=1,
            sequence=number,
            previous_crc=crc,
            samples=[
                SampleSection(
                    np.full(ROWS, slot, dtype=np.uint32),
                    times,
                    quality,
                    ColumnData(F64, value, valid),
                )
            ],
        )
        frame = decode_frame(raw)
        crc = frame.envelope.crc
        lsn = engine.append(frame).lsn
        rows = zip(
            times.tolist(),
            [v if ok else None for v, ok in zip(value.tolist(), valid.tolist(), strict=True)],
            quality.tolist(),
            strict=True,
        )
        memory.add(series[slot], F64, rows, lsn=lsn)
        engine.wait_durable(lsn)
        if request.param == "segments" or (request.param == "both" and number == FRAMES // 2):
            engine.flush()
    yield tuple(series), reader_of(engine), memory
    engine.close()


def _pair(readers, *, stepped=False, chunk_rows=50):
    series, engine, memory = readers
    resolver = MemoryResolver(Tag("t", series, F64, stepped=stepped))
    limits = QueryLimits(chunk_rows=chunk_rows)
    return [Query(reader, resolver, lambda: BASE, limits) for reader in (engine, memory)]


def _facts(columns):
    return (
        columns.timestamp_ns.tolist(),
        columns.quality.tolist(),
        columns.value.objects(),
        columns.lsn.tolist(),
    )


@pytest.mark.parametrize("bounds", ["none", "outside", "interpolated"])
@pytest.mark.parametrize("all_revisions", [False, True])
@pytest.mark.parametrize("backward", [False, True])
def test_raw_pages_are_the_same_from_the_engine(readers, bounds, all_revisions, backward):
    """Rows of two series in the log, in memory and in segments read as one list."""
    answers = []
    for query in _pair(readers):
        token, pages = None, []
        while token is not None or not pages:
            request = RawRequest(
                "t",
                BASE + 5 * S,
                BASE + 2_000 * S + 1,
                bounds=bounds,
                max_count=97,
                backward=backward,
                all_revisions=all_revisions,
                continuation=token,
            )
            page = query.raw(request)
            pages.append(_facts(page.columns))
            token = page.continuation
        answers.append(pages)
    assert len(answers[1]) > 3
    assert answers[1] == answers[0]


@pytest.mark.parametrize("stepped", [False, True])
def test_aggregates_are_the_same_from_the_engine(readers, stepped):
    """Every digit: the same rows in the same pieces."""
    request = AggregateRequest("t", BASE - 50 * S, BASE + 3_100 * S, 70 * S, tuple(AGGREGATES))

    stored, plain = (query.aggregate(request) for query in _pair(readers, stepped=stepped))

    assert plain.samples_used.sum() > 500
    assert plain.percent_good.tolist() == stored.percent_good.tolist()
    for name, column in plain.columns.items():
        mine = stored.columns[name]
        assert column.status.tolist() == mine.status.tolist(), name
        assert column.value[column.valid].tolist() == mine.value[mine.valid].tolist(), name


@pytest.mark.parametrize("stepped", [False, True])
@pytest.mark.parametrize("interval", [13, 300, 4_000])
def test_folds_are_the_same_as_reads(readers, stepped, interval):
    """One series folds; floats add up in another order, all else to the bit."""
    series, engine, memory = readers
    tag = Tag("t", series[:1], F64, stepped=stepped)
    request = AggregateRequest(
        "t", BASE - 50 * S, BASE + 3_100 * S, interval * S, tuple(AGGREGATES)
    )
    queries = [Query(r, MemoryResolver(tag), lambda: BASE) for r in (engine, memory)]

    stored, plain = (query.aggregate(request) for query in queries)

    edges = np.arange(BASE, BASE + CLEAN * S, interval * S)
    assert interval > CLEAN or (engine.fold(series[0], edges).bad == 0).all()
    assert plain.percent_good.tolist() == stored.percent_good.tolist()
    for name, column in plain.columns.items():
        mine = stored.columns[name]
        assert column.status.tolist() == mine.status.tolist(), name
        assert (column.time_ns is None) == (mine.time_ns is None), name
        if column.time_ns is not None:
            assert column.time_ns.tolist() == mine.time_ns.tolist(), name
        values, others = column.value[column.valid], mine.value[mine.valid]
        assert values == pytest.approx(others, rel=1e-9, abs=1e-9), name


def test_plot_and_latest_are_the_same_from_the_engine(readers):
    """What the page of trends asks."""
    stored, plain = _pair(readers)
    request = PlotRequest("t", BASE + 100 * S, BASE + 2_900 * S, 40)

    assert _facts(plain.plot(request).columns) == _facts(stored.plot(request).columns)
    ours, theirs = plain.latest(["t"]), stored.latest(["t"])
    assert ours.timestamp_ns.tolist() == theirs.timestamp_ns.tolist()
    assert ours.quality.tolist() == theirs.quality.tolist()
    assert ours.value == theirs.value
