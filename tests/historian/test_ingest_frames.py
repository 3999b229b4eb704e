"""ingest: frames of collectors on a real engine; what is acknowledged is stored, once, or named."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from historian.catalog_rules import TagRules
from historian.config import TagRuleConfig
from historian.errors import NotReady, Overloaded
from historian.events import EVENT_KINDS
from historian.ingest import FramesReceipt
from historian.ingest_testing import OpenIngest, run_ingest
from storage_engine.frame import (
    FLAG_OBSERVED,
    ZERO_ID,
    Declaration,
    EventSection,
    Notice,
    SampleSection,
    SlotKind,
    encode_frame,
    peek_envelope,
)
from storage_engine.sample import (
    BAD,
    EVENT_ID_DTYPE,
    Column,
    ColumnData,
    EventBatch,
    ValueType,
    source_event_id,
)

F, N = ValueType.FLOAT64, ValueType.INT64
NOW_NS = 1_790_000_000_000_000_000
SECOND = 1_000_000_000
RULES = TagRules([TagRuleConfig(name="{source}/{1}", source="plc", address="ok[.](.*)")])


Plant = OpenIngest


def run(path: Path, work: Callable[[Plant], Awaitable[None]], **config: Any) -> None:
    """Open, work, close; called again it opens the same store."""
    run_ingest(path, work, now_ns=NOW_NS, rules=RULES, **config)


class Producer:
    """A collector's sending half."""

    def __init__(self, epoch: int = 1, name: bytes = b"p" * 16) -> None:
        self.id = name
        self.epoch = epoch
        self.sequence = 0
        self.crc = 0

    def frame(self, **body: Any) -> bytes:
        """Return the next frame of the chain."""
        self.sequence += 1
        raw = encode_frame(
            incarnation=body.pop("incarnation", ZERO_ID),
            producer_id=self.id,
            epoch=self.epoch,
            sequence=self.sequence,
            previous_crc=self.crc,
            flags=FLAG_OBSERVED,
            **body,
        )
        self.crc = peek_envelope(raw).crc
        return raw


def declare(slot: int, address: str, type_: ValueType = F, source: str = "plc") -> Declaration:
    return Declaration(slot, SlotKind.SERIES, source, address, (Column("value", type_),))


def samples(
    slots: list[int],
    values: list[Any],
    *,
    times: list[int] | None = None,
    quality: list[int] | None = None,
    type_: ValueType = F,
    valid: list[bool] | None = None,
) -> SampleSection:
    dtype = {F: np.float64, N: np.int64}.get(type_, np.object_)
    at = times or [NOW_NS + i * SECOND for i in range(len(slots))]
    mask = None if valid is None else np.array(valid)
    value = ColumnData(type_, np.array(values, dtype), mask)
    quality = quality or [0] * len(slots)
    return SampleSection(
        np.array(slots, np.uint32), np.array(at, np.int64), np.array(quality, np.uint32), value
    )


def arrivals(slot: int, units: list[str | None], times: list[int] | None = None) -> EventSection:
    """``unit_arrived`` events in the columns of the kind."""
    ids = b"".join(source_event_id("s", i) for i in range(len(units)))
    data = []
    for column in EVENT_KINDS["unit_arrived"]:
        held = units if column.name == "unit" else [None] * len(units)
        value = np.array(["" if u is None else u for u in held], np.object_)
        data.append(ColumnData(column.type, value, np.array([u is not None for u in held])))
    at = np.array(times or [NOW_NS + i for i in range(len(units))], np.int64)
    return EventSection(slot, at, np.frombuffer(ids, EVENT_ID_DTYPE), tuple(data))


ARRIVED = Declaration(9, SlotKind.EVENTS, "plc", "unit_arrived", EVENT_KINDS["unit_arrived"])


def statuses(receipt: FramesReceipt) -> list[str]:
    return [frame.status for frame in receipt.frames]


def test_rows_are_stored_under_the_tags_that_the_rules_make(tmp_path: Path) -> None:
    """From an address nobody declared to a readable tag in one frame."""

    async def work(plant: Plant) -> None:
        producer = Producer()
        body = producer.frame(
            declarations=[declare(0, "ok.t"), declare(1, "ok.p")],
            samples=[samples([0, 1, 0], [1.5, 2.5, 3.5])],
        )
        receipt = await plant.ingest.put_frames(body, "edge")

        assert ["stored"] == statuses(receipt)
        assert (3, 0) == (receipt.frames[0].rows, receipt.frames[0].rejected)
        assert [(NOW_NS, 1.5, 0), (NOW_NS + 2 * SECOND, 3.5, 0)] == plant.values("plc/t")
        assert [(NOW_NS + SECOND, 2.5, 0)] == plant.values("plc/p")
        assert plant.engine.durable_lsn >= 1
        assert 3.0 == plant.count("rows_total", source="plc")
        assert "edge" == plant.catalog.database.audit()[0].principal

    run(tmp_path, work)


def test_a_frame_sent_again_is_a_duplicate_and_changes_nothing(tmp_path: Path) -> None:
    """A collector that lost the answer sends again; also to a server that was restarted."""
    producer = Producer()
    body = producer.frame(
        declarations=[declare(0, "ok.t"), declare(1, "bad")],
        samples=[samples([0, 1], [1.0, 2.0])],
    )

    async def first(plant: Plant) -> None:
        assert ["stored", "duplicate"] == statuses(await plant.ingest.put_frames(body * 2, "e"))

    async def second(plant: Plant) -> None:
        receipt = await plant.ingest.put_frames(body, "e")
        assert ["duplicate"] == statuses(receipt)
        assert 1 == receipt.frames[0].rejected
        assert [(NOW_NS, 1.0, 0)] == plant.values("plc/t")
        assert 1 == len(plant.events("quarantine"))

    run(tmp_path, first)
    run(tmp_path, second)


def test_slots_declared_before_a_restart_still_hold_after_it(tmp_path: Path) -> None:
    """A collector declares once per epoch; the server may restart in the middle of one."""
    producer = Producer()
    head = producer.frame(
        declarations=[declare(0, "ok.t"), ARRIVED, declare(2, "unruled")],
        samples=[samples([0], [1.0])],
    )
    rest = producer.frame(
        samples=[samples([0, 2], [2.0, 3.0], times=[NOW_NS + 1, NOW_NS + 2])],
        events=[arrivals(9, ["B1"])],
    )

    async def first(plant: Plant) -> None:
        await plant.ingest.put_frames(head, "e")

    async def second(plant: Plant) -> None:
        receipt = await plant.ingest.put_frames(rest, "e")
        assert [(1, "the slot was never declared in this epoch, at slot 2")] == list(
            receipt.frames[0].rejects
        )
        assert [1.0, 2.0] == [v for _, v, _ in plant.values("plc/t")]
        assert ["B1"] == plant.events("unit_arrived").data["unit"].objects()

    run(tmp_path, first)
    run(tmp_path, second)


BAD_ROWS: list[tuple[str, dict[str, Any]]] = [
    ("no tag rule matches", {"slots": [1]}),
    ("the slot was never declared", {"slots": [7]}),
    ("the slot was never declared", {"slots": [40_000]}),
    ("the type is not the one declared", {"slots": [2]}),
    ("before ingest.time_min", {"slots": [0], "times": [0]}),
    ("further ahead", {"slots": [0], "times": [NOW_NS + 86_401 * SECOND]}),
    ("NaN with good quality", {"slots": [0], "values": [float("nan")]}),
    ("no value with good quality", {"slots": [0], "valid": [False]}),
]


@pytest.mark.parametrize(("reason", "row"), BAD_ROWS)
def test_a_bad_row_is_quarantined_and_its_neighbours_are_stored(
    tmp_path: Path, reason: str, row: dict[str, Any]
) -> None:
    """One broken sensor must not hold up the line."""

    async def work(plant: Plant) -> None:
        producer = Producer()
        row.setdefault("values", [66.0])
        times = [NOW_NS - 2, NOW_NS - 1, row.get("times", [NOW_NS])[0]]
        valid = [True, True, *row["valid"]] if "valid" in row else None
        body = producer.frame(
            declarations=[declare(0, "ok.t"), declare(1, "strange"), declare(2, "ok.n", N)],
            samples=[
                samples([0, 0, *row["slots"]], [1.0, 2.0, *row["values"]], times=times, valid=valid)
            ],
        )
        receipt = (await plant.ingest.put_frames(body, "e")).frames[0]

        assert ("stored", 3, 1) == (receipt.status, receipt.rows, receipt.rejected)
        assert 2 == receipt.rejects[0][0]
        assert reason in receipt.rejects[0][1]
        assert [1.0, 2.0] == [v for _, v, _ in plant.values("plc/t")]
        kept = plant.events("quarantine")
        assert reason in str(kept.data["reason"].objects()[0])
        assert f'"time_ns":{times[2]}' in str(kept.data["payload"].objects()[0])
        counted = plant.metrics.text().decode()
        assert "historian_rejected_rows_total{" in counted

    run(tmp_path, work)


def test_a_bad_sample_needs_no_value_and_may_be_nan(tmp_path: Path) -> None:
    """Bad quality says that the value means nothing."""

    async def work(plant: Plant) -> None:
        body = Producer().frame(
            declarations=[declare(0, "ok.t")],
            samples=[samples([0, 0], [float("nan"), 1.0], quality=[BAD, BAD], valid=[True, False])],
        )
        receipt = (await plant.ingest.put_frames(body, "e")).frames[0]

        assert 0 == receipt.rejected
        assert [None] == [v for _, v, _ in plant.values("plc/t")][1:]

    run(tmp_path, work)


def test_a_broken_frame_is_refused_and_its_neighbours_are_stored(tmp_path: Path) -> None:
    """Bytes rot in spools; what can be found behind the damage is taken."""

    async def work(plant: Plant) -> None:
        producer = Producer()
        first = producer.frame(declarations=[declare(0, "ok.t")], samples=[samples([0], [1.0])])
        broken = bytearray(producer.frame(samples=[samples([0], [2.0], times=[NOW_NS + 1])]))
        broken[-20] ^= 1
        third = producer.frame(samples=[samples([0], [3.0], times=[NOW_NS + 2])])
        receipt = await plant.ingest.put_frames(first + bytes(broken) + third + b"rest", "e")

        assert ["stored", "refused", "stored", "refused"] == statuses(receipt)
        assert "crc32c" in str(receipt.frames[1].reason)
        assert (producer.id, 2) == (receipt.frames[1].producer, receipt.frames[1].sequence)
        assert [1.0, 3.0] == [v for _, v, _ in plant.values("plc/t")]
        gap = plant.events("gap")
        assert [1] == gap.data["count"].objects()
        assert 1.0 == plant.count("missing_frames_total")
        assert 2.0 == plant.count("frames_total", status="refused")

    run(tmp_path, work)


def test_a_frame_for_another_store_is_refused(tmp_path: Path) -> None:
    """A restored store is another one: the collector decides what it sends again."""

    async def work(plant: Plant) -> None:
        producer = Producer()
        own = producer.frame(incarnation=plant.engine.incarnation)
        foreign = producer.frame(incarnation=b"x" * 16)
        receipt = await plant.ingest.put_frames(own + foreign, "e")

        assert ["stored", "refused"] == statuses(receipt)
        assert plant.engine.incarnation.hex() in str(receipt.frames[1].reason)

    run(tmp_path, work)


def test_a_slot_declared_twice_with_other_contents_refuses_the_frame(tmp_path: Path) -> None:
    """Believing either would store rows under the wrong tag."""

    async def work(plant: Plant) -> None:
        producer = Producer()
        body = producer.frame(declarations=[declare(0, "ok.a")]) + producer.frame(
            declarations=[declare(0, "ok.b")], samples=[samples([0], [1.0])]
        )

        assert ["stored", "refused"] == statuses(await plant.ingest.put_frames(body, "e"))

    run(tmp_path, work)


def test_events_are_stored_and_told_once_durable(tmp_path: Path) -> None:
    """Genealogy lives on what it is told; it must never hear of what may be lost."""

    async def work(plant: Plant) -> None:
        producer = Producer()
        good, old = NOW_NS, 5
        body = producer.frame(
            declarations=[ARRIVED],
            events=[arrivals(9, ["B1", "B2", None], times=[good, old, good + 1])],
        )
        receipt = (await plant.ingest.put_frames(body * 2, "e")).frames[0]

        assert 1 == receipt.rejected
        told = [t for t in plant.told if t[0] == "unit_arrived"]
        assert 1 == len(told)
        assert ["B1", None] == told[0][1].data[0].objects()
        assert told[0][2] <= plant.engine.durable_lsn
        assert ["B1", None] == plant.events("unit_arrived").data["unit"].objects()
        assert EVENT_KINDS["unit_arrived"] == told[0][1].columns

    run(tmp_path, work)


def test_an_event_of_a_known_key_with_other_content_is_a_named_conflict(tmp_path: Path) -> None:
    """Events are never replaced: the first stands, the other is kept aside and reported."""

    async def work(plant: Plant) -> None:
        first, second = Producer(), Producer(name=b"q" * 16)
        one = first.frame(declarations=[ARRIVED], events=[arrivals(9, ["B1"])])
        same = second.frame(declarations=[ARRIVED], events=[arrivals(9, ["B1"])])
        other = second.frame(events=[arrivals(9, ["B2"])])
        receipt = await plant.ingest.put_frames(one + same + other, "e")

        assert [0, 0, 1] == [frame.rejected for frame in receipt.frames]
        assert "other content" in receipt.frames[2].rejects[0][1]
        assert ["B1"] == plant.events("unit_arrived").data["unit"].objects()
        assert "B2" in str(plant.events("quarantine").data["payload"].objects()[0])
        assert 1.0 == plant.count("rejected_rows_total", source="plc", reason="event_conflict")

    run(tmp_path, work)


@pytest.mark.parametrize(
    "declared",
    [
        Declaration(9, SlotKind.EVENTS, "plc", "no_such_kind", ()),
        Declaration(9, SlotKind.EVENTS, "plc", "unit_arrived", (Column("nest", ValueType.SYMBOL),)),
    ],
)
def test_events_of_unknown_kind_or_columns_are_rejected(
    tmp_path: Path, declared: Declaration
) -> None:
    """Columns are taken by place, so a foreign order would mix fields."""

    async def work(plant: Plant) -> None:
        body = Producer().frame(declarations=[declared], events=[arrivals(9, ["B1"])])

        assert 1 == (await plant.ingest.put_frames(body, "e")).frames[0].rejected
        assert 0 == len(plant.events("unit_arrived"))

    run(tmp_path, work)


def test_notices_become_events_once(tmp_path: Path) -> None:
    """Gaps, states and rejects of a source are history like everything else."""

    async def work(plant: Plant) -> None:
        common = {"collector": "c1", "source": "plc"}
        notices = [
            Notice("gap", {**common, "start_ns": NOW_NS - 9, "end_ns": NOW_NS, "count": 4}),
            Notice("source_state", {**common, "time_ns": NOW_NS - 5, "link": "connected"}),
            Notice("reject", {**common, "time_ns": 2**62, "address": "a", "reason": "no number"}),
            Notice("heartbeat", common),
        ]
        body = Producer().frame(notices=notices)
        await plant.ingest.put_frames(body * 2, "e")

        gap, state = plant.events("gap"), plant.events("source_state")
        assert [(NOW_NS - 9, 4)] == list(zip(gap.timestamp_ns, gap.data["count"].objects()))  # noqa: B905
        assert ["connected"] == state.data["link"].objects()
        reject = plant.events("quarantine")
        assert ["no number"] == reject.data["reason"].objects()
        assert [NOW_NS] == reject.timestamp_ns.tolist()
        assert 1.0 == plant.count("rejected_rows_total", source="plc", reason="source")

    run(tmp_path, work)


def test_descriptions_fill_what_nobody_wrote(tmp_path: Path) -> None:
    """A source describes before its first sample; a person's words stay."""

    async def work(plant: Plant) -> None:
        producer = Producer()
        items = [{"address": "ok.t", "name": "T", "eng_unit": "degC"}]
        said = Notice("metadata", {"source": "plc", "items": items})
        await plant.ingest.put_frames(producer.frame(notices=[said]), "e")
        await plant.ingest.put_frames(producer.frame(declarations=[declare(0, "ok.t")]), "e")
        tag = plant.catalog.find("plc/t")
        assert tag is not None
        assert ("T", "degC") == (tag.description, tag.eng_unit)

        plant.catalog.edit_tag("plc/t", {"eng_unit": "°C"}, "ann")
        await plant.ingest.put_frames(producer.frame(notices=[said]), "e")
        assert "°C" == plant.catalog.resolve("plc/t").eng_unit

    run(tmp_path, work)


def test_a_new_type_goes_to_a_further_series_of_the_tag(tmp_path: Path) -> None:
    """A source that now sends integers declares a new slot; the tag stays one."""

    async def work(plant: Plant) -> None:
        producer = Producer()
        body = producer.frame(
            declarations=[declare(0, "ok.t"), declare(1, "ok.t", N)],
            samples=[samples([0], [1.5]), samples([1], [7], type_=N, times=[NOW_NS + 1])],
        )
        await plant.ingest.put_frames(body, "e")

        assert [(NOW_NS, 1.5, 0), (NOW_NS + 1, 7, 0)] == plant.values("plc/t")

    run(tmp_path, work)


def test_quarantine_is_bounded_per_source_and_hour_but_the_count_is_complete(
    tmp_path: Path,
) -> None:
    """A sensor gone mad for a week must not fill the disk, and must not hide."""

    async def work(plant: Plant) -> None:
        producer = Producer()
        many = samples([1] * 50, [1.0] * 50)
        body = producer.frame(declarations=[declare(1, "strange")], samples=[many])
        receipt = (await plant.ingest.put_frames(body, "e")).frames[0]
        assert (50, 3) == (receipt.rejected, len(receipt.rejects))
        assert 10 == len(plant.events("quarantine"))
        assert 50.0 == plant.count("rejected_rows_total", source="plc", reason="no_tag")
        assert 40.0 == plant.ingest.gauges()["quarantine_not_kept_rows"]

        plant.clock.ns += 3_600 * SECOND
        await plant.ingest.put_frames(producer.frame(samples=[many]), "e")
        assert 20 == len(plant.events("quarantine"))

    run(tmp_path, work, quarantine_rows_per_hour_max=10, rejects_listed_max=3)


def test_producers_beyond_the_bound_are_forgotten_and_found_again(tmp_path: Path) -> None:
    """The engine keeps the bindings; memory keeps only those heard last."""

    async def work(plant: Plant) -> None:
        producers = [Producer(name=bytes([i]) * 16) for i in range(1, 5)]
        for i, producer in enumerate(producers):
            declared = [declare(0, f"ok.t{i}")]
            await plant.ingest.put_frames(producer.frame(declarations=declared), "e")
        for i, producer in enumerate(producers):
            body = producer.frame(samples=[samples([0], [float(i)])])
            assert 0 == (await plant.ingest.put_frames(body, "e")).frames[0].rejected

        assert [[2.0]] == [[v for _, v, _ in plant.values("plc/t2")]]

    run(tmp_path, work, producers_max=2)


def test_slots_beyond_the_bound_are_rejected_by_name(tmp_path: Path) -> None:
    """A slot number is an index into memory: it needs a bound."""

    async def work(plant: Plant) -> None:
        body = Producer().frame(
            declarations=[declare(5_000, "ok.t")], samples=[samples([5_000], [1.0])]
        )
        receipt = (await plant.ingest.put_frames(body, "e")).frames[0]

        assert "ingest.slots_per_producer_max" in receipt.rejects[0][1]

    run(tmp_path, work, slots_per_producer_max=100)


def test_too_many_rows_in_a_frame_refuse_it(tmp_path: Path) -> None:
    """The bound is told, and no other frame suffers."""

    async def work(plant: Plant) -> None:
        producer = Producer()
        small = producer.frame(declarations=[declare(0, "ok.t")], samples=[samples([0], [1.0])])
        large = producer.frame(samples=[samples([0] * 11, [1.0] * 11)])
        receipt = await plant.ingest.put_frames(small + large, "e")

        assert ["stored", "refused"] == statuses(receipt)

    run(tmp_path, work, rows_per_request_max=10)


def test_bodies_beyond_the_bound_in_flight_are_asked_to_come_back(tmp_path: Path) -> None:
    """Waiting work is bounded in bytes; one large body alone always passes."""

    async def work(plant: Plant) -> None:
        bodies = [
            Producer(name=bytes([i]) * 16).frame(declarations=[declare(0, f"ok.{i}")])
            for i in range(1, 4)
        ]
        puts = [asyncio.create_task(plant.ingest.put_frames(b, "e")) for b in bodies]
        outcomes = await asyncio.gather(*puts, return_exceptions=True)

        assert isinstance(outcomes[0], FramesReceipt)
        assert all(isinstance(o, Overloaded) for o in outcomes[1:])
        assert 0.0 == plant.ingest.gauges()["ingest_in_flight_bytes"]

    run(tmp_path, work, in_flight_bytes_max=10)


def test_a_closed_gate_says_why(tmp_path: Path) -> None:
    """503 with a reason, and nothing stored."""

    async def work(plant: Plant) -> None:
        plant.ingest.close("the engine stopped")
        with pytest.raises(NotReady, match="the engine stopped"):
            await plant.ingest.put_frames(Producer().frame(), "e")

    run(tmp_path, work)


def test_a_caller_that_leaves_does_not_keep_events_from_the_listeners(tmp_path: Path) -> None:
    """The rows are stored when a client disconnects; genealogy must hear of them."""

    async def work(plant: Plant) -> None:
        body = Producer().frame(declarations=[ARRIVED], events=[arrivals(9, ["B1"])])
        put = asyncio.create_task(plant.ingest.put_frames(body, "e"))
        while plant.engine.producer(b"p" * 16) is None:
            await plant.clock.sleep(0)
        put.cancel()
        await asyncio.gather(put, return_exceptions=True)
        await plant.ingest.put_frames(Producer(name=b"q" * 16).frame(), "e")
        while not plant.told:
            await plant.clock.sleep(0)

        assert ["B1"] == plant.told[0][1].data[0].objects()

    run(tmp_path, work)


def test_a_listener_that_fails_does_not_fail_the_writer(tmp_path: Path) -> None:
    """The rows are stored: an error would make the collector send them for ever."""

    async def work(plant: Plant) -> None:
        def fail(kind: str, batch: EventBatch, lsn: int) -> None:
            raise ValueError(kind)

        plant.ingest.add_listener(fail)
        body = Producer().frame(declarations=[ARRIVED], events=[arrivals(9, ["B1"])])

        assert ["stored"] == statuses(await plant.ingest.put_frames(body, "e"))
        assert 1.0 == plant.count("failures_total", what="listener")

    run(tmp_path, work)


def test_many_producers_at_once_lose_and_mix_nothing(tmp_path: Path) -> None:
    """Appends share one sync; each producer's frames stay in order."""

    async def work(plant: Plant) -> None:
        async def send(number: int) -> None:
            producer = Producer(name=bytes([number]) * 16)
            for k in range(20):
                declared = [declare(0, f"ok.t{number}")] if k == 0 else []
                times = [NOW_NS + k * 10 + i for i in range(10)]
                section = samples([0] * 10, [float(k)] * 10, times=times)
                body = producer.frame(declarations=declared, samples=[section])
                assert ["stored"] == statuses(await plant.ingest.put_frames(body, "e"))

        await asyncio.gather(*(send(n) for n in range(1, 9)))
        for number in range(1, 9):
            got = [v for _, v, _ in plant.values(f"plc/t{number}")]
            assert [float(k) for k in range(20) for _ in range(10)] == got
        assert 0 == len(plant.events("gap"))

    run(tmp_path, work)
