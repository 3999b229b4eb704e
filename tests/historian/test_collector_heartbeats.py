"""collector/host.py: heartbeats tell what it does, its next start how long it did not."""

import asyncio
import json

import pytest

from connectors.connector import ConnectorStatus
from connectors.sink import Link, SourceState
from historian.clock import SystemClock
from historian.collector.spool_files import read_alive, write_alive
from historian.collector.testing import run_collector
from storage_engine.filesystem import RealFileSystem


class QuickClock(SystemClock):
    """Waits a hundred times shorter."""

    async def sleep(self, seconds):
        await asyncio.sleep(seconds / 100)


def notices(far, kind):
    return [n.facts for f in far.frames for n in f.notices if n.kind == kind]


async def idle(sink, _run):
    await sink.state(SourceState(Link.CONNECTED, "here"))


def test_a_source_that_says_nothing_beats_all_the_same(tmp_path):
    """That nothing changed is known only because somebody looked."""
    status = ConnectorStatus(Link.CONNECTED, received=7, gaps=2, extra={"pending": 3.0})

    far = run_collector(
        tmp_path,
        lambda far: len(notices(far, "heartbeat")) >= 4,
        clock=QuickClock(),
        plc={"play": idle, "status": status},
        bad={"wrong": 1},
    )

    beats = {facts["source"]: facts for facts in notices(far, "heartbeat")}
    assert {"plc", "bad"} == set(beats)
    plc = beats["plc"]
    assert ("connected", 7, 2, 3.0) == tuple(
        plc[k] for k in ("link", "received", "gaps", "pending")
    )
    assert 10.0 == plc["interval_s"]
    assert {"waiting_rows", "waiting_bytes", "spool_bytes", "unsent_bytes"} <= set(plc)
    assert "failed" == beats["bad"]["link"]
    assert "wrong" in beats["bad"]["detail"]


def test_the_next_start_says_since_when_nobody_collected(tmp_path):
    """Killed or stopped: of each source it is told when the collector last lived."""
    first = run_collector(tmp_path, lambda far: notices(far, "source_state"), plc={"play": idle})
    assert ["connected"] == [facts["link"] for facts in notices(first, "source_state")]
    write_alive(RealFileSystem(tmp_path / "spool"), 12_345)

    far = run_collector(
        tmp_path,
        lambda far: len(notices(far, "source_state")) >= 4,
        far=first,
        plc={"play": idle},
        other={"play": idle},
    )

    down = [facts for facts in notices(far, "source_state") if facts["link"] == "not_collected"]
    assert {("plc", 12_345), ("other", 12_345)} == {(d["source"], d["time_ns"]) for d in down}
    assert read_alive(RealFileSystem(tmp_path / "spool")) > 12_345


@pytest.mark.parametrize("said", ["", "[]", '{"time_ns": "soon"}', "\xff"])
def test_a_sign_of_life_that_cannot_be_read_says_nothing(tmp_path, said):
    """It costs how long we were away, never the start."""
    (tmp_path / "alive.json").write_text(said, encoding="latin-1")

    assert read_alive(RealFileSystem(tmp_path)) is None
    write_alive(RealFileSystem(tmp_path), 5)
    assert {"time_ns": 5} == json.loads((tmp_path / "alive.json").read_text())
