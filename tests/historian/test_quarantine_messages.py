"""quarantine_messages.py: what no mapping took is kept as it came, and replayed once."""

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.payload.testing import map_messages
from connectors.sink import Reject
from historian.catalog_rules import TagRules
from historian.collector.source_sink import payload_facts
from historian.config import TagRuleConfig
from historian.errors import RequestInvalid
from historian.ingest_testing import FrameProducer, OpenIngest, run_ingest
from historian.quarantine_messages import QuarantineMessages, Wanted
from storage_engine.frame import Notice

NOW_NS = 1_795_348_400_000_000_000
SECOND_NS = 1_000_000_000
EVERY = Wanted(0, 1 << 62)
MAPPING = {
    "topic": "press/+",
    "kind": "samples",
    "address": "{topic[1]}/{key}",
    "time": {"path": "ts", "unit": "s"},
}
RULES = TagRules([TagRuleConfig(source="*", address="(.*)", name="{source}/{1}")])


def rejected(topic: str, payload: bytes, second: int = 0, bytes_max: int = 65_536) -> Notice:
    """A notice as a collector writes it."""
    facts: dict[str, Any] = {
        "collector": "edge",
        "source": "line",
        "address": topic,
        "reason": "cannot map message: got no mapping for this topic, want one",
        **payload_facts(Reject(topic, "", payload), bytes_max),
        "time_ns": NOW_NS + second * SECOND_NS,
    }
    return Notice("reject", facts)


def of(store: OpenIngest) -> QuarantineMessages:
    """The quarantine of an open store."""
    return QuarantineMessages(
        store.ingest,
        store.reader.read_events,
        lambda id_: store.engine.producer(id_) is not None,
    )


async def keep(store: OpenIngest, *notices: Notice) -> None:
    """Have a collector send notices."""
    await store.ingest.put_frames(FrameProducer().frame(notices=list(notices)), "e")


def body(second: int, **values: float) -> bytes:
    """A payload of the press."""
    return json.dumps({"ts": 1_795_348_376 + second, **values}).encode()


def test_messages_are_mapped_and_stored_once(tmp_path: Path) -> None:
    """A dry run stores nothing; a second run, also after a restart, stores nothing twice."""

    async def first(store: OpenIngest) -> None:
        await keep(
            store, rejected("press/p1", body(0, t=1.5)), rejected("press/p2", body(1, t=2.5), 1)
        )
        dry = await of(store).replay(EVERY, [MAPPING], "ann", dry=True)
        assert (2, 2, 2, 0) == (dry.messages, dry.mapped, dry.rows, dry.already)
        assert ["p1/t", "p2/t"] == [example["address"] for example in dry.examples]
        assert store.catalog.find("line/p1/t") is None
        assert ["waiting", "waiting"] == [one.state for one in of(store).find(EVERY)]

        done = await of(store).replay(EVERY, [MAPPING], "ann", dry=False)
        assert (2, 2, 0) == (done.mapped, done.rows, done.rejected_rows)

    async def again(store: OpenIngest) -> None:
        twice = await of(store).replay(EVERY, [MAPPING], "ann", dry=False)
        assert (2, 0, 2, 0) == (twice.messages, twice.mapped, twice.already, twice.rows)
        assert ["replayed", "replayed"] == [one.state for one in of(store).find(EVERY)]
        assert [(1_795_348_376 * SECOND_NS, 1.5, 0)] == store.values("line/p1/t")
        assert [(1_795_348_377 * SECOND_NS, 2.5, 0)] == store.values("line/p2/t")

    run_ingest(tmp_path, first, now_ns=NOW_NS, rules=RULES)
    run_ingest(tmp_path, again, now_ns=NOW_NS, rules=RULES)


def test_a_replay_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    """Each message is a frame of its own: what is done is done."""

    async def work(store: OpenIngest) -> None:
        await keep(store, *(rejected("press/p1", body(n, t=n), n) for n in range(4)))
        some = await of(store).replay(Wanted(0, 1 << 62, limit=2), [MAPPING], "ann", dry=False)
        rest = await of(store).replay(EVERY, [MAPPING], "ann", dry=False)
        assert (2, 2, 2) == (some.mapped, rest.mapped, rest.already)
        assert [0.0, 1.0, 2.0, 3.0] == [value for _, value, _ in store.values("line/p1/t")]

    run_ingest(tmp_path, work, now_ns=NOW_NS, rules=RULES)


def test_messages_are_found_by_source_topic_and_reason(tmp_path: Path) -> None:
    """Topics by MQTT filter; refused rows are listed, but are no messages."""

    async def work(store: OpenIngest) -> None:
        await keep(store, rejected("press/p1", b"{}"), rejected("oven/o1", b"{}", 1))
        found = of(store)

        def topics(**wanted: Any) -> list[str]:
            return [one.topic for one in found.find(Wanted(0, 1 << 62, **wanted))]

        assert ["press/p1", "oven/o1"] == topics()
        assert ["press/p1"] == topics(topic="press/#")
        assert [] == topics(source="other")
        assert ["press/p1"] == topics(reason="no mapping", limit=1)
        assert [] == topics(reason="no such words")

    run_ingest(tmp_path, work, now_ns=NOW_NS, rules=RULES)


def test_bytes_that_are_no_text_come_back_as_they_were(tmp_path: Path) -> None:
    """A picture, or text in another encoding, is kept in base64."""
    payloads = [bytes(range(256)), b"\xff" * 60_000, "ä".encode("latin-1"), "ä\x00€".encode()]

    async def work(store: OpenIngest) -> None:
        await keep(store, *(rejected(f"x/{n}", p, n) for n, p in enumerate(payloads)))
        found = of(store).find(EVERY)
        assert payloads == [one.payload for one in found]
        assert {"waiting"} == {one.state for one in found}

    run_ingest(tmp_path, work, now_ns=NOW_NS)


@pytest.mark.parametrize("payload", [b"7" * 101, "ä".encode() * 120, b"\xff" * 101])
@pytest.mark.parametrize(("collector_max", "server_max"), [(100, 65_536), (65_536, 70)])
def test_a_message_that_was_cut_is_named_and_never_mapped(
    tmp_path: Path, payload: bytes, collector_max: int, server_max: int
) -> None:
    """Its beginning might be a message of its own: 7 of 77."""

    async def work(store: OpenIngest) -> None:
        await keep(store, rejected("x/1", payload, 0, collector_max))
        bare = {"topic": "#", "kind": "values", "type": "text"}
        report = await of(store).replay(EVERY, [bare], "ann", dry=False)
        assert (1, 1, 0) == (report.messages, report.cut, report.mapped)
        assert ["cut"] == [one.state for one in of(store).find(EVERY)]

    run_ingest(tmp_path, work, now_ns=NOW_NS, quarantine_payload_bytes_max=server_max)


def test_messages_that_the_mapping_refuses_wait_on_with_reasons(tmp_path: Path) -> None:
    """One may try another mapping."""

    async def work(store: OpenIngest) -> None:
        await keep(store, rejected("press/p1", b"{}"), rejected("press/p1", b"[", 1))
        report = await of(store).replay(EVERY, [MAPPING], "ann", dry=False)
        assert (2, 0, 2) == (report.refused, report.mapped, sum(report.reasons.values()))
        assert ["waiting", "waiting"] == [one.state for one in of(store).find(EVERY)]

    run_ingest(tmp_path, work, now_ns=NOW_NS, rules=RULES)


def test_pairs_are_paired_as_they_would_have_been(tmp_path: Path) -> None:
    """The event has the id it would have had, and starts replayed before are known again."""
    stamp = {"UtcTime": "2026-11-22T11:52:56Z", "Source": {"VideoSource": "1"}}
    true = json.dumps({**stamp, "Data": {"State": True}}).encode()
    false = json.dumps({**stamp, "Data": {"State": False}}).encode()
    topic, mapping = "c/onvif-ej/VideoSource/MotionAlarm/&1", {"topic": "#", "kind": "onvif"}

    async def work(store: OpenIngest) -> None:
        await keep(store, rejected(topic, true), rejected(topic, false, 1))
        await of(store).replay(Wanted(0, 1 << 62, limit=1), [mapping], "ann", dry=False)
        assert 0 == len(store.events("vision_event"))
        await of(store).replay(EVERY, [mapping], "ann", dry=False)
        live = map_messages(mapping, (topic, true), (topic, false)).events
        found = store.events("vision_event")
        assert [event["event_id"] for event in live] == [i.tobytes().hex() for i in found.event_id]

    run_ingest(tmp_path, work, now_ns=NOW_NS, rules=RULES)


def test_wrong_mappings_are_refused(tmp_path: Path) -> None:
    """As a request, not as a fault."""

    async def work(store: OpenIngest) -> None:
        await keep(store, rejected("x", b"1"))
        with pytest.raises(RequestInvalid, match="kind"):
            await of(store).replay(EVERY, [{"topic": "#", "kind": "magic"}], "ann", dry=True)

    run_ingest(tmp_path, work, now_ns=NOW_NS)


def test_messages_are_kept_within_the_bound_of_their_source(tmp_path: Path) -> None:
    """A device gone mad fills no disk; the metrics count what was not kept."""

    async def work(store: OpenIngest) -> None:
        await keep(store, *(rejected("x", b"%d" % n, n) for n in range(30)))
        assert 10 == len(of(store).find(EVERY))
        assert 20 == store.ingest.gauges()["quarantine_not_kept_rows"]

    run_ingest(tmp_path, work, now_ns=NOW_NS, quarantine_rows_per_hour_max=10)
