"""ingest: frames of collectors on a real engine; acknowledged means stored, once, or named."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import historian.ingest_testing as kit
from historian.catalog_rules import TagRules
from historian.config import TagRuleConfig
from historian.errors import NotReady, Overloaded
from historian.events import EVENT_KINDS
from historian.ingest import FramesReceipt
from historian.ingest_testing import FrameProducer, OpenIngest, declare, run_ingest
from storage_engine.frame import Declaration, EventSection, SampleSection, SlotKind
from storage_engine.sample import EventBatch, ValueType

F, N = ValueType.FLOAT64, ValueType.INT64
NOW_NS = 1_790_000_000_000_000_000
SECOND = 1_000_000_000
RULES = TagRules([TagRuleConfig(name="{source}/{1}", source="plc", address="ok[.](.*)")])


Plant = OpenIngest


def run(path: Path, work: Callable[[Plant], Awaitable[None]], **config: Any) -> None:
    """Open, work, close; called again it opens the same store."""
    run_ingest(path, work, now_ns=NOW_NS, rules=RULES, **config)


def samples(slots: list[int], values: list[Any], **more: Any) -> SampleSection:
    """Samples a second apart from now on."""
    times = more.pop("times", None) or [NOW_NS + i * SECOND for i in range(len(slots))]
    return kit.samples(slots, values, times, **more)


def arrivals(slot: int, units: list[str | None], times: list[int] | None = None) -> EventSection:
    """``unit_arrived`` events from now on."""
    return kit.arrivals(slot, units, times or [NOW_NS + i for i in range(len(units))])


ARRIVED = Declaration(9, SlotKind.EVENTS, "plc", "unit_arrived", EVENT_KINDS["unit_arrived"])


def statuses(receipt: FramesReceipt) -> list[str]:
    return [frame.status for frame in receipt.frames]


def test_a_frame_sent_again_is_a_duplicate_and_changes_nothing(tmp_path: Path) -> None:
    """A collector that lost the answer sends again; also to a server that was restarted."""
    producer = FrameProducer()
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
    producer = FrameProducer()
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


def test_a_broken_frame_is_refused_and_its_neighbours_are_stored(tmp_path: Path) -> None:
    """Bytes rot in spools; what can be found behind the damage is taken."""

    async def work(plant: Plant) -> None:
        producer = FrameProducer()
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
        producer = FrameProducer()
        own = producer.frame(incarnation=plant.engine.incarnation)
        foreign = producer.frame(incarnation=b"x" * 16)
        receipt = await plant.ingest.put_frames(own + foreign, "e")

        assert ["stored", "refused"] == statuses(receipt)
        assert plant.engine.incarnation.hex() in str(receipt.frames[1].reason)

    run(tmp_path, work)


def test_a_slot_declared_twice_with_other_contents_refuses_the_frame(tmp_path: Path) -> None:
    """Believing either would store rows under the wrong tag."""

    async def work(plant: Plant) -> None:
        producer = FrameProducer()
        body = producer.frame(declarations=[declare(0, "ok.a")]) + producer.frame(
            declarations=[declare(0, "ok.b")], samples=[samples([0], [1.0])]
        )

        assert ["stored", "refused"] == statuses(await plant.ingest.put_frames(body, "e"))

    run(tmp_path, work)


def test_producers_beyond_the_bound_are_forgotten_and_found_again(tmp_path: Path) -> None:
    """The engine keeps the bindings; memory keeps only those heard last."""

    async def work(plant: Plant) -> None:
        producers = [FrameProducer(name=bytes([i]) * 16) for i in range(1, 5)]
        for i, producer in enumerate(producers):
            declared = [declare(0, f"ok.t{i}")]
            await plant.ingest.put_frames(producer.frame(declarations=declared), "e")
        for i, producer in enumerate(producers):
            body = producer.frame(samples=[samples([0], [float(i)])])
            assert 0 == (await plant.ingest.put_frames(body, "e")).frames[0].rejected

        assert [[2.0]] == [[v for _, v, _ in plant.values("plc/t2")]]

    run(tmp_path, work, producers_max=2)


def test_too_many_rows_in_a_frame_refuse_it(tmp_path: Path) -> None:
    """The bound is told, and no other frame suffers."""

    async def work(plant: Plant) -> None:
        producer = FrameProducer()
        small = producer.frame(declarations=[declare(0, "ok.t")], samples=[samples([0], [1.0])])
        large = producer.frame(samples=[samples([0] * 11, [1.0] * 11)])
        receipt = await plant.ingest.put_frames(small + large, "e")

        assert ["stored", "refused"] == statuses(receipt)

    run(tmp_path, work, rows_per_request_max=10)


def test_bodies_beyond_the_bound_in_flight_are_asked_to_come_back(tmp_path: Path) -> None:
    """Waiting work is bounded in bytes; one large body alone always passes."""

    async def work(plant: Plant) -> None:
        bodies = [
            FrameProducer(name=bytes([i]) * 16).frame(declarations=[declare(0, f"ok.{i}")])
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
            await plant.ingest.put_frames(FrameProducer().frame(), "e")

    run(tmp_path, work)


def test_a_caller_that_leaves_does_not_keep_events_from_the_listeners(tmp_path: Path) -> None:
    """The rows are stored when a client disconnects; genealogy must hear of them."""

    async def work(plant: Plant) -> None:
        body = FrameProducer().frame(declarations=[ARRIVED], events=[arrivals(9, ["B1"])])
        put = asyncio.create_task(plant.ingest.put_frames(body, "e"))
        while plant.engine.producer(b"p" * 16) is None:
            await plant.clock.sleep(0)
        put.cancel()
        await asyncio.gather(put, return_exceptions=True)
        await plant.ingest.put_frames(FrameProducer(name=b"q" * 16).frame(), "e")
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
        body = FrameProducer().frame(declarations=[ARRIVED], events=[arrivals(9, ["B1"])])

        assert ["stored"] == statuses(await plant.ingest.put_frames(body, "e"))
        assert 1.0 == plant.count("failures_total", what="listener")

    run(tmp_path, work)


def test_many_producers_at_once_lose_and_mix_nothing(tmp_path: Path) -> None:
    """Appends share one sync; each producer's frames stay in order."""

    async def work(plant: Plant) -> None:
        async def send(number: int) -> None:
            producer = FrameProducer(name=bytes([number]) * 16)
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
