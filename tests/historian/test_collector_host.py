"""collector/host.py, source_sink.py, supervisor.py: one bad neighbour costs the others nothing."""

import asyncio
import random
import sys

import numpy as np

from connectors.connector import SourceUnavailable
from connectors.sink import Gap, Link, Reject, SourceItem, SourceState
from historian.clock import SystemClock
from historian.collector.supervisor import Child, Supervisor
from historian.collector.testing import run_collector
from historian.events import EVENT_KINDS
from storage_engine.sample import (
    EVENT_ID_DTYPE,
    Column,
    ColumnData,
    EventBatch,
    SampleBatch,
    ValueType,
)


def samples(values, type_=ValueType.FLOAT64, dtype=np.float64):
    count = len(values)
    return SampleBatch(
        ("x",),
        np.zeros(count, np.int32),
        np.arange(count, dtype=np.int64),
        np.zeros(count, np.uint32),
        ColumnData(type_, np.array(values, dtype)),
    )


def reads(columns, data):
    count = len(data[0])
    ids = np.frombuffer(bytes(range(16)) * count, EVENT_ID_DTYPE)
    return EventBatch("meter_read", np.arange(count, dtype=np.int64), ids, columns, tuple(data))


def notices(far, kind):
    return [n.facts for f in far.frames for n in f.notices if n.kind == kind]


def values(far):
    return [v for f in far.frames for s in f.samples for v in s.value.objects()]


def test_a_wrong_source_is_named_and_its_neighbour_collects(tmp_path):
    """A person must see which source needs them."""

    async def good(sink, _run):
        await sink.put(samples([1.0, 2.0]))

    far = run_collector(
        tmp_path,
        lambda far: values(far) and notices(far, "source_state"),
        good={"play": good},
        bad={"wrong": 1},
    )

    assert [1.0, 2.0] == values(far)
    (state,) = notices(far, "source_state")
    assert (state["source"], state["link"], state["collector"]) == ("bad", "failed", "line1")
    assert "wrong" in state["detail"]


def test_a_source_that_breaks_or_is_away_is_run_again(tmp_path):
    """Both a lost line and a fault of ours end one run, not the source."""

    async def flaky(sink, run):
        if run == 1:
            raise SourceUnavailable("away")
        if run == 2:
            raise ZeroDivisionError
        await sink.put(samples([float(run)]))

    far = run_collector(tmp_path, values, flaky={"play": flaky})

    assert [3.0] == values(far)


def test_everything_a_sink_takes_reaches_the_server(tmp_path):
    """Samples larger than a frame, states, metadata, rejects, events in any order of columns."""
    meter = ColumnData(ValueType.TEXT, np.array(["E1"], object))
    register = ColumnData(ValueType.FLOAT64, np.array([5.0]))
    columns = (Column("register", ValueType.FLOAT64), Column("meter", ValueType.TEXT))

    async def everything(sink, _run):
        await sink.state(SourceState(Link.CONNECTED, "here", 5))
        await sink.describe((SourceItem("x", "Temperature", eng_unit="Cel"),))
        await sink.reject((Reject("topic", "no JSON", b"\xff{", 9),))
        await sink.gap((Gap(10, 20, "the queue overflowed", "x", 3), Gap(30, 40, "link lost")))
        receipt = await sink.put(samples([float(n) for n in range(250)]))
        await sink.stored(receipt)
        await sink.put(reads(columns, [register, meter]))
        await sink.put(reads((Column("shoe", ValueType.FLOAT64),), [register]))
        await sink.put(samples([1], ValueType.FLOAT64, np.int64))
        await sink.put(samples([-1.0]))

    far = run_collector(tmp_path, lambda far: -1.0 in values(far), plc={"play": everything})

    assert [*map(float, range(250)), -1.0] == values(far)
    (state,) = notices(far, "source_state")
    assert (state["link"], state["detail"], state["clock_offset_ns"]) == ("connected", "here", 5)
    (described,) = [facts["items"] for facts in notices(far, "metadata") if "items" in facts]
    assert described == [{"address": "x", "name": "Temperature", "eng_unit": "Cel"}]
    overflow, link = notices(far, "gap")
    assert ("x", 10, 20, 3) == tuple(
        overflow[k] for k in ("address", "start_ns", "end_ns", "count")
    )
    assert ("", "link lost", False) == (link["address"], link["reason"], "count" in link)
    topic, shoe, wrong = notices(far, "reject")
    assert (topic["address"], topic["payload"], topic["time_ns"]) == ("topic", "/3s=", 9)
    assert (2, "base64") == (topic["payload_bytes"], topic["payload_encoding"])
    assert "shoe" in shoe["reason"]
    assert "int64" in wrong["reason"]
    (section,) = [s for f in far.frames for s in f.events]
    (declared,) = [d for f in far.frames for d in f.declarations if d.address == "meter_read"]
    assert EVENT_KINDS["meter_read"] == declared.columns
    assert ["E1"] == section.data[0].objects()
    assert [5.0] == section.data[1].objects()


def test_a_child_that_ends_is_started_again_and_all_end_on_stop():
    """Serve's children live as long as serve, no longer."""
    forever = "import sys; sys.stdin.read()"

    async def play():
        children = [
            Child("short", (sys.executable, "-c", "raise SystemExit(3)")),
            Child("long", (sys.executable, "-c", forever)),
        ]
        supervisor = Supervisor(children, QuickClock(), random.Random(1))
        await supervisor.start()
        async with asyncio.timeout(30):
            short, long = supervisor.status["short"], supervisor.status["long"]
            while short.starts < 3 or long.pid is None:  # noqa: ASYNC110 - watches processes
                await asyncio.sleep(0.01)
        await supervisor.stop()
        return supervisor.status

    status = asyncio.run(play())

    assert status["short"].exit_code == 3
    assert status["long"].starts == 1
    assert status["long"].exit_code == 0


class QuickClock(SystemClock):
    """Waits a hundred times shorter."""

    async def sleep(self, seconds):
        await asyncio.sleep(seconds / 100)


def test_many_large_rejects_reach_the_server_in_parts_and_say_what_was_cut(tmp_path):
    """A device that sends rubbish of a hundred kilobytes does not make frames of megabytes."""
    rejects = [Reject(f"t{n}", "no JSON", b"x" * 70_000, 9) for n in range(40)]
    beginning = Reject("large", "too large", b"y" * 100, 9, 5_000_000)

    async def rubbish(sink, _run):
        await sink.reject((*rejects, beginning))
        await sink.stored(await sink.put(samples([1.0])))

    far = run_collector(tmp_path, values, rubbish={"play": rubbish})

    told = notices(far, "reject")
    assert [f"t{n}" for n in range(40)] + ["large"] == [facts["address"] for facts in told]
    assert {(65_536, 70_000), (100, 5_000_000)} == {
        (len(facts["payload"]), facts["payload_bytes"]) for facts in told
    }
    assert max(sum(len(str(n.facts)) for n in frame.notices) for frame in far.frames) < 5 << 20
