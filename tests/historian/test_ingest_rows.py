"""ingest: rows of frames; each is stored where it belongs, or kept aside with its reason."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import historian.ingest_testing as kit
from historian.catalog_plant import assets
from historian.catalog_rules import TagRules
from historian.config import TagRuleConfig
from historian.events import EVENT_KINDS
from historian.ingest import FramesReceipt
from historian.ingest_testing import FrameProducer, OpenIngest, declare, run_ingest
from storage_engine.frame import Declaration, EventSection, Notice, SampleSection, SlotKind
from storage_engine.sample import BAD, Column, ValueType

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


def test_rows_are_stored_under_the_tags_that_the_rules_make(tmp_path: Path) -> None:
    """From an address nobody declared to a readable tag in one frame."""

    async def work(plant: Plant) -> None:
        producer = FrameProducer()
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
        producer = FrameProducer()
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
        body = FrameProducer().frame(
            declarations=[declare(0, "ok.t")],
            samples=[samples([0, 0], [float("nan"), 1.0], quality=[BAD, BAD], valid=[True, False])],
        )
        receipt = (await plant.ingest.put_frames(body, "e")).frames[0]

        assert 0 == receipt.rejected
        assert [None] == [v for _, v, _ in plant.values("plc/t")][1:]

    run(tmp_path, work)


def test_events_are_stored_and_told_once_durable(tmp_path: Path) -> None:
    """Genealogy lives on what it is told; it must never hear of what may be lost."""

    async def work(plant: Plant) -> None:
        producer = FrameProducer()
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
        first, second = FrameProducer(), FrameProducer(name=b"q" * 16)
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
        body = FrameProducer().frame(declarations=[declared], events=[arrivals(9, ["B1"])])

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
        body = FrameProducer().frame(notices=notices)
        await plant.ingest.put_frames(body * 2, "e")

        gap, state = plant.events("gap"), plant.events("source_state")
        assert [NOW_NS - 9] == gap.timestamp_ns.tolist()
        assert [4] == gap.data["count"].objects()
        assert ["connected"] == state.data["link"].objects()
        reject = plant.events("quarantine")
        assert ["no number"] == reject.data["reason"].objects()
        assert [NOW_NS] == reject.timestamp_ns.tolist()
        assert 1.0 == plant.count("rejected_rows_total", source="plc", reason="source")

    run(tmp_path, work)


def test_descriptions_fill_what_nobody_wrote(tmp_path: Path) -> None:
    """A source describes before its first sample; a person's words stay."""

    async def work(plant: Plant) -> None:
        producer = FrameProducer()
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


def test_a_source_that_knows_the_plant_puts_its_tags_on_the_tree(tmp_path: Path) -> None:
    """A namespace in topics, told before or after the first sample."""

    async def work(plant: Plant) -> None:
        producer = FrameProducer()
        facts = {"asset": "acme/press", "asset_levels": "enterprise/line"}
        said = [
            Notice("metadata", {"source": "plc", "items": [{"address": address, "facts": facts}]})
            for address in ("ok.a", "ok.b")
        ]
        await plant.ingest.put_frames(producer.frame(notices=said[:1]), "e")
        both = [declare(0, "ok.a"), declare(1, "ok.b")]
        await plant.ingest.put_frames(producer.frame(declarations=both), "e")
        await plant.ingest.put_frames(producer.frame(notices=said[1:]), "e")

        tags = [plant.catalog.find(name) for name in ("plc/a", "plc/b")]
        assert ["acme/press"] * 2 == [tag.asset for tag in tags if tag is not None]
        assert [("acme", "enterprise"), ("acme/press", "line")] == [
            (asset.path, asset.level) for asset in assets(plant.catalog)
        ]

    run(tmp_path, work)


def test_a_new_type_goes_to_a_further_series_of_the_tag(tmp_path: Path) -> None:
    """A source that now sends integers declares a new slot; the tag stays one."""

    async def work(plant: Plant) -> None:
        producer = FrameProducer()
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
        producer = FrameProducer()
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


def test_slots_beyond_the_bound_are_rejected_by_name(tmp_path: Path) -> None:
    """A slot number is an index into memory: it needs a bound."""

    async def work(plant: Plant) -> None:
        body = FrameProducer().frame(
            declarations=[declare(5_000, "ok.t")], samples=[samples([5_000], [1.0])]
        )
        receipt = (await plant.ingest.put_frames(body, "e")).frames[0]

        assert "ingest.slots_per_producer_max" in receipt.rejects[0][1]

    run(tmp_path, work, slots_per_producer_max=100)
