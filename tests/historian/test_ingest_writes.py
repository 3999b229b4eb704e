"""ingest: writes over HTTP on a real engine; each row is stored or named, each key counts once."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectors.columns import column_data
from historian.catalog_records import TagDraft
from historian.errors import Conflict, RequestInvalid
from historian.events import EVENT_KINDS
from historian.ingest import SeriesInput
from historian.ingest_testing import OpenIngest, run_ingest
from storage_engine.sample import (
    BAD,
    DTYPES,
    EVENT_ID_DTYPE,
    Column,
    ColumnData,
    EventBatch,
    ValueType,
    source_event_id,
)

F, F32, N, U = ValueType.FLOAT64, ValueType.FLOAT32, ValueType.INT64, ValueType.UINT64
B, S, T = ValueType.BOOL, ValueType.SYMBOL, ValueType.TEXT
NOW_NS = 1_790_000_000_000_000_000


def run(path: Path, work: Callable[[OpenIngest], Awaitable[None]], **config: Any) -> None:
    """Open with one tag per type (f, g, n, u, b, s), work, close."""

    async def prepared(store: OpenIngest) -> None:
        for name, type_ in {"f": F, "g": F32, "n": N, "u": U, "b": B, "s": S}.items():
            store.catalog.declare_tag(TagDraft(name, type_), "ann")
        await work(store)

    run_ingest(path, prepared, now_ns=NOW_NS, **config)


def write(
    tag: str,
    values: list[Any],
    type_: ValueType = F,
    *,
    times: list[int] | None = None,
    quality: int = 0,
) -> SeriesInput:
    """Columns of one tag; None is null."""
    valid = np.array([v is not None for v in values])
    zero = {T: "", S: "", B: False}.get(type_, 0)
    held = np.array([zero if v is None else v for v in values], DTYPES[type_])
    at = times or [NOW_NS + i for i in range(len(values))]
    return SeriesInput(
        tag,
        np.array(at, np.int64),
        np.full(len(values), quality, np.uint32),
        ColumnData(type_, held, None if valid.all() else valid),
    )


def arrivals(units: list[str], *, times: list[int] | None = None, start: int = 0) -> EventBatch:
    """``unit_arrived`` events with one column only."""
    ids = b"".join(source_event_id("s", start + i) for i in range(len(units)))
    at = times or [NOW_NS + start + i for i in range(len(units))]
    data = (ColumnData(T, np.array(units, np.object_)),)
    event_id = np.frombuffer(ids, EVENT_ID_DTYPE)
    return EventBatch("unit_arrived", np.array(at, np.int64), event_id, (Column("unit", T),), data)


def test_samples_of_many_tags_and_types_are_stored_in_one_write(tmp_path: Path) -> None:
    """An MES writes what it has in one request."""

    async def work(store: OpenIngest) -> None:
        receipt = await store.ingest.put_samples(
            [
                write("f", [1.5, None], times=[NOW_NS, NOW_NS + 1], quality=BAD),
                write("n", [2**62], N),
                write("s", ["on", "off"], T),
                write("b", [True], B),
                write("f", [2.5], times=[NOW_NS + 2]),
            ],
            "mes",
        )
        assert (7, 0, False) == (receipt.stored, receipt.rejected, receipt.duplicate)
        assert receipt.lsn <= store.engine.durable_lsn
        assert [(NOW_NS, 1.5, BAD), (NOW_NS + 1, None, BAD), (NOW_NS + 2, 2.5, 0)] == (
            store.values("f")
        )
        assert [2**62] == [v for _, v, _ in store.values("n")]
        assert ["on", "off"] == [v for _, v, _ in store.values("s")]
        assert 7.0 == store.count("rows_total", source="http:mes")

    run(tmp_path, work)


@pytest.mark.parametrize(
    ("tag", "given", "want"),
    [
        ("f", write("f", [3], N), [3.0]),
        ("f", write("f", [3], U), [3.0]),
        ("f", write("f", [0.5], F32), [0.5]),
        ("g", write("g", [0.1]), [float(np.float32(0.1))]),
        ("u", write("u", [3], N), [3]),
        ("n", write("n", [3], U), [3]),
        ("s", write("s", [None], F, quality=BAD), [None]),
        ("f", write("f", [float("inf")]), [float("inf")]),
    ],
)
def test_what_fits_a_tags_type_is_brought_into_it(
    tmp_path: Path, tag: str, given: SeriesInput, want: list[Any]
) -> None:
    """JSON knows one kind of number; nothing is changed that the tag can hold."""

    async def work(store: OpenIngest) -> None:
        assert 1 == (await store.ingest.put_samples([given], "mes")).stored
        assert want == [v for _, v, _ in store.values(tag)]

    run(tmp_path, work)


@pytest.mark.parametrize(
    ("given", "row", "reason"),
    [
        (write("nowhere", [1.0]), -1, "no tag is named 'nowhere'"),
        (write("n", [1.5]), -1, "the values are float64, the tag holds int64"),
        (write("f", ["1"], T), -1, "the values are text"),
        (write("b", [1], N), -1, "the values are int64, the tag holds bool"),
        (write("f", [True], B), -1, "the values are bool"),
        (write("f", [2**53 + 1], N), 0, "exactly"),
        (write("u", [-1], N), 0, "exactly"),
        (write("n", [2**63], U), 0, "exactly"),
        (write("g", [1e300]), 0, "exactly"),
        (write("f", [float("nan")]), 0, "NaN with good quality"),
        (write("f", [None]), 0, "no value with good quality"),
        (write("f", [1.0], times=[5]), 0, "ingest.time_min"),
        (write("f", [1.0], times=[2**62]), 0, "ingest.time_ahead_max_s"),
    ],
)
def test_a_row_that_cannot_be_stored_is_named_and_its_neighbours_are_stored(
    tmp_path: Path, given: SeriesInput, row: int, reason: str
) -> None:
    """The writer learns which row and why; the rest of the request counts."""

    async def work(store: OpenIngest) -> None:
        near = write("f", [7.0], times=[NOW_NS + 9])
        receipt = await store.ingest.put_samples([near, given], "mes")

        assert (1, 1) == (receipt.stored, receipt.rejected)
        assert (given.tag, row) == (receipt.rejects[0].tag, receipt.rejects[0].row)
        assert reason in receipt.rejects[0].reason
        assert [7.0] == [v for _, v, _ in store.values("f")]
        kept = store.events("quarantine")
        assert [given.tag] == kept.data["address"].objects()
        assert ["http:mes"] == kept.data["source"].objects()
        assert "historian_rejected_rows_total" in store.metrics.text().decode()

    run(tmp_path, work)


def test_rejected_rows_are_numbered_within_their_series(tmp_path: Path) -> None:
    """Series of a type are checked as one column; the numbers must still be the writer's."""

    async def work(store: OpenIngest) -> None:
        nan = float("nan")
        series = [
            write("f", [1.0, nan]),
            write("f", [nan, 2.0, nan], times=[NOW_NS + 5 + i for i in range(3)]),
        ]
        receipt = await store.ingest.put_samples(series, "mes")

        assert [1, 0, 2] == [reject.row for reject in receipt.rejects]
        assert [1.0, 2.0] == [v for _, v, _ in store.values("f")]

    run(tmp_path, work)


def test_a_write_that_stores_nothing_still_answers(tmp_path: Path) -> None:
    """An empty or wholly rejected request is no error."""

    async def work(store: OpenIngest) -> None:
        empty = await store.ingest.put_samples([], "mes")
        nothing = await store.ingest.put_samples([write("f", [])], "mes")
        lost = await store.ingest.put_samples([write("x", [1.0] * 3)], "mes")

        assert (0, 0, 0) == (empty.stored, nothing.stored, lost.stored)
        assert 3 == lost.rejected
        assert 3.0 == store.count("rejected_rows_total", source="http:mes", reason="no_tag")
        assert '"rows":3' in str(store.events("quarantine").data["payload"].objects()[0])

    run(tmp_path, work)


def test_a_large_write_is_stored_whole_while_others_get_their_turn(tmp_path: Path) -> None:
    """It is cut into frames; the receipt covers all of them."""

    async def work(store: OpenIngest) -> None:
        many = write("f", list(range(50_001)))
        large, small = await asyncio.gather(
            store.ingest.put_samples([many], "mes"),
            store.ingest.put_samples([write("n", [1], N)], "mes"),
        )
        assert (50_001, 1) == (large.stored, small.stored)
        assert small.lsn < large.lsn
        assert 50_001 == len(store.values("f"))
        assert 0 == len(store.events("gap"))

    run(tmp_path, work)


def test_an_idempotency_key_stores_its_request_once(tmp_path: Path) -> None:
    """A writer that lost the answer sends again; also after a restart of the server."""
    series = [write("f", [1.0]), write("x", [1.0])]

    async def first(store: OpenIngest) -> None:
        receipt = await store.ingest.put_samples(series, "mes", "k1")
        again = await store.ingest.put_samples(series, "mes", "k1")
        assert (False, True) == (receipt.duplicate, again.duplicate)
        assert receipt.lsn == again.lsn
        assert 1 == again.stored
        assert 1 == len(store.events("quarantine"))

    async def second(store: OpenIngest) -> None:
        assert (await store.ingest.put_samples(series, "mes", "k1")).duplicate
        assert not (await store.ingest.put_samples(series, "other", "k1")).duplicate
        with pytest.raises(Conflict, match="idempotency key"):
            await store.ingest.put_samples([write("f", [2.0])], "mes", "k1")
        assert [1.0] == [v for _, v, _ in store.values("f")]

    run(tmp_path, first)
    run_ingest(tmp_path, second, now_ns=NOW_NS)


def test_the_same_key_for_events_tells_its_listeners_once(tmp_path: Path) -> None:
    """Samples and events share the rule."""

    async def work(store: OpenIngest) -> None:
        one = await store.ingest.put_events(arrivals(["B1"]), "mes", "k")
        two = await store.ingest.put_events(arrivals(["B1"]), "mes", "k")
        assert (False, True) == (one.duplicate, two.duplicate)
        assert 1 == len(store.told)
        with pytest.raises(Conflict):
            await store.ingest.put_events(arrivals(["B2"]), "mes", "k")

    run(tmp_path, work)


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_a_key_of_bad_length_is_refused_before_anything_is_stored(tmp_path: Path, key: str) -> None:
    """An empty key would make all writers one."""

    async def work(store: OpenIngest) -> None:
        with pytest.raises(RequestInvalid, match="characters"):
            await store.ingest.put_samples([write("f", [1.0])], "mes", key)
        assert [] == store.values("f")

    run(tmp_path, work)


def test_a_rewrite_with_another_value_is_a_revision(tmp_path: Path) -> None:
    """HTTP writes are authoritative: a correction is kept beside what it corrects."""

    async def work(store: OpenIngest) -> None:
        for value in (1.0, 2.0, 2.0, 1.0):
            await store.ingest.put_samples([write("f", [value])], "mes")
        assert [1.0, 2.0, 1.0] == [v for _, v, _ in store.values("f")]

    run(tmp_path, work)


def test_columns_of_unequal_length_or_dtype_refuse_the_request(tmp_path: Path) -> None:
    """A misaligned request would store values at wrong times."""

    async def work(store: OpenIngest) -> None:
        good = write("f", [1.0, 2.0])
        short = SeriesInput("f", good.timestamp_ns[:1], good.quality, good.value)
        typed = SeriesInput("f", good.timestamp_ns.astype(np.float64), good.quality, good.value)
        for bad in (short, typed):
            with pytest.raises(RequestInvalid, match="at 'f'"):
                await store.ingest.put_samples([good, bad], "mes")
        with pytest.raises(RequestInvalid, match="at most 1"):
            await store.ingest.put_samples([good], "mes")
        assert [] == store.values("f")

    run(tmp_path, work, rows_per_request_max=1)


def test_events_take_columns_in_any_order_and_leave_the_rest_null(tmp_path: Path) -> None:
    """A writer names what it knows."""

    async def work(store: OpenIngest) -> None:
        units = arrivals(["B1"])
        columns = (Column("station", T), *units.columns)
        data = (ColumnData(T, np.array(["st1"], np.object_)), *units.data)
        batch = EventBatch(units.kind, units.timestamp_ns, units.event_id, columns, data)
        assert 1 == (await store.ingest.put_events(batch, "mes")).stored

        found = store.events("unit_arrived").data
        assert [["B1"], ["st1"], [None]] == [
            found[name].objects() for name in ("unit", "station", "nest")
        ]
        kind, told, lsn = store.told[0]
        assert ("unit_arrived", EVENT_KINDS["unit_arrived"]) == (kind, told.columns)
        assert lsn <= store.engine.durable_lsn

    run(tmp_path, work)


def test_alarms_keep_states_that_are_true_false_or_unknown(tmp_path: Path) -> None:
    """The kinds of the plant before had no booleans."""

    async def work(store: OpenIngest) -> None:
        states = [True, False, None]
        columns = (Column("active", B), Column("severity", N))
        data = (column_data(B, states), column_data(N, [900, None, 1]))
        ids = np.frombuffer(b"".join(source_event_id("s", i) for i in range(3)), EVENT_ID_DTYPE)
        at = np.array([NOW_NS, NOW_NS + 1, NOW_NS + 2], np.int64)
        batch = EventBatch("alarm", at, ids, columns, data)
        assert 3 == (await store.ingest.put_events(batch, "line")).stored
        assert 0 == len((await store.ingest.put_events(batch, "line")).rejects)

        found = store.events("alarm").data
        assert [states, [900, None, 1], [None] * 3] == [
            found[name].objects() for name in ("active", "severity", "acked")
        ]

    run(tmp_path, work)


def test_wrong_events_are_refused_or_named(tmp_path: Path) -> None:
    """What is wrong with the request refuses it; what is wrong with a row rejects the row."""

    async def work(store: OpenIngest) -> None:
        good = arrivals(["B1", "B2", "B3"], times=[NOW_NS, 5, NOW_NS + 2])
        receipt = await store.ingest.put_events(good, "mes")
        assert (2, 1, 1) == (receipt.stored, receipt.rejected, receipt.rejects[0].row)
        other = arrivals(["B1", "BX"], times=[NOW_NS, NOW_NS + 7])
        changed = EventBatch(
            other.kind,
            np.array([NOW_NS + 2, NOW_NS + 7], np.int64),
            np.concatenate([good.event_id[2:], other.event_id[1:]]),
            other.columns,
            other.data,
        )
        receipt = await store.ingest.put_events(changed, "mes")
        assert (1, 1) == (receipt.stored, receipt.rejected)
        assert (0, "other content" in receipt.rejects[0].reason) == (receipt.rejects[0].row, True)
        assert 2 == len(store.events("quarantine"))
        assert [2, 1] == [len(batch) for kind, batch, _ in store.told if kind == good.kind]

        for kind, columns in (("nothing", good.columns), (good.kind, (Column("colour", T),))):
            wrong = EventBatch(kind, good.timestamp_ns, good.event_id, columns, good.data)
            with pytest.raises(RequestInvalid, match="want one of"):
                await store.ingest.put_events(wrong, "mes")
        typed = EventBatch(
            "meter_read",
            good.timestamp_ns,
            good.event_id,
            (Column("register", T),),
            good.data,
        )
        with pytest.raises(RequestInvalid, match="register"):
            await store.ingest.put_events(typed, "mes")
        with pytest.raises(RequestInvalid, match="at most 4"):
            await store.ingest.put_events(arrivals(["x"] * 5), "mes")

    run(tmp_path, work, events_per_request_max=4)


def test_a_clock_that_fell_back_does_not_make_our_own_writes_duplicates(tmp_path: Path) -> None:
    """Our producer's epoch is the start time; a flat battery must not swallow writes."""

    async def write_one(store: OpenIngest) -> None:
        at = [store.clock.ns]
        assert 1 == (await store.ingest.put_samples([write("f", [1.0], times=at)], "mes")).stored

    run(tmp_path, write_one)
    for now_ns in (NOW_NS - 10**18 // 10, NOW_NS - 10**18 // 20):
        run_ingest(tmp_path, write_one, now_ns=now_ns)

    async def look(store: OpenIngest) -> None:
        assert 3 == len(store.values("f"))
        assert 0 == len(store.events("gap"))

    run_ingest(tmp_path, look, now_ns=NOW_NS)
