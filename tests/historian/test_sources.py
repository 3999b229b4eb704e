"""sources.py: unchanged and not collected are different things, whoever was down."""

import numpy as np

from historian.ingest_events import build_events
from historian.ingest_testing import SetClock
from historian.metrics import Metrics
from historian.source_figures import figures
from historian.sources import KIND, Sources
from storage_engine.sample import EventColumns, source_event_id

S = 1_000_000_000
START_NS = 1_000 * S


class Lines:
    """Sources on a clock to set; times are seconds after START."""

    def __init__(self, sources_max=10, newest_ns=lambda source: None):
        self.clock = SetClock(START_NS)
        self.sources = Sources(self.clock, sources_max, newest_ns)
        self.told = []

    def at(self, seconds):
        self.clock.ns = START_NS + round(seconds * S)

    def state(self, seconds, link, source="plc"):
        facts = {"source": source, "collector": "c", "link": link, "detail": link.title()}
        row = (START_NS + seconds * S, source_event_id(source, len(self.told)), facts)
        self.told.append(row)
        self.sources.apply(KIND, build_events(KIND, [row]), 0)

    def beat(self, seconds, link="connected", source="plc", **facts):
        said = {"source": source, "collector": "c", "link": link, "interval_s": 10.0, **facts}
        self.sources.heard([{**said, "time_ns": START_NS + seconds * S}])

    def holes(self, start=0, end=10_000):
        found = self.sources.coverage("plc", START_NS + start * S, START_NS + end * S)
        return [
            ((h.start_ns - START_NS) / S, (h.end_ns - START_NS) / S, h.link) for h in found.holes
        ]

    def until(self):
        return (self.sources.find("plc").collected_until_ns - START_NS) / S


def test_a_beating_collector_means_unchanged():
    """The value is old, and still true: nothing else came until the last heartbeat."""
    lines = Lines()
    lines.state(1, "connected")
    lines.at(10)
    lines.beat(10)
    lines.at(35)

    status = lines.sources.find("plc")
    assert status.collected
    assert ("connected", 10) == (status.state, lines.until())
    assert [] == lines.holes()


def test_three_silent_intervals_mean_not_collected_since_the_last_heartbeat():
    """Nobody knows what the source said since; a reader is told from when on."""
    lines = Lines()
    lines.state(1, "connected")
    lines.at(10)
    lines.beat(10)
    lines.at(40)
    assert lines.sources.find("plc").collected
    lines.at(41)

    status = lines.sources.find("plc")
    assert not status.collected
    assert ("not_collected", 10) == (status.state, lines.until())
    assert [(10, 41, "not_collected")] == lines.holes()
    assert [(20, 30, "not_collected")] == lines.holes(20, 30)


def test_what_a_spool_held_back_fills_the_silence():
    """The line to the server was down, not the one to the source: its heartbeats come late."""
    lines = Lines()
    lines.state(1, "connected")
    lines.beat(0)
    lines.at(600)
    assert [(1, 600, "not_collected")] == lines.holes()
    for seconds in range(10, 600, 10):
        lines.beat(seconds)

    assert [] == lines.holes()
    assert 590 == lines.until()


def test_a_lost_line_is_one_hole_until_it_is_connected():
    """A line that is tried again and again is not many holes; heartbeats meanwhile do not count."""
    lines = Lines()
    lines.state(1, "connected")
    lines.state(20, "disconnected")
    lines.state(25, "connecting")
    lines.at(30)
    lines.beat(30, "connecting")
    assert 20 == lines.until()
    lines.state(30, "connected")
    lines.at(60)
    lines.beat(60)

    assert [(20, 30, "disconnected")] == lines.holes()
    assert 60 == lines.until()


def test_what_comes_late_about_an_earlier_time_changes_no_later_state():
    """A collector that was killed says at its next start since when; its order is by time."""
    lines = Lines()
    lines.state(1, "connected")
    lines.state(50, "connected")
    lines.state(30, "not_collected")
    lines.at(55)
    lines.beat(55)

    assert [(30, 50, "not_collected")] == lines.holes()
    assert "connected" == lines.sources.find("plc").link


def test_a_restart_of_the_server_forgets_no_hole():
    """Lines are read from the store; heartbeats come anew, and until then nothing is claimed."""
    first = Lines()
    first.state(1, "connected")
    first.state(20, "disconnected")
    first.state(30, "connected")
    batch = build_events(KIND, first.told)
    data = {c.name: d for c, d in zip(batch.columns, batch.data, strict=True)}
    stored = EventColumns(batch.timestamp_ns, batch.event_id, data, np.zeros(3, np.uint64))

    lines = Lines(newest_ns=lambda source: START_NS + 80 * S)
    lines.at(100)
    lines.sources.rebuild(stored)

    assert lines.sources.find("plc").collected
    assert [(20, 30, "disconnected")] == lines.holes()
    lines.at(131)
    assert [(20, 30, "disconnected"), (80, 131, "not_collected")] == lines.holes()


def test_nothing_is_said_of_what_nobody_told():
    """An address of no collector is neither collected nor not."""
    lines = Lines()

    assert lines.sources.coverage("plc", 0, 1) is None
    assert lines.sources.find("plc") is None


def test_memory_is_bounded_and_the_answer_says_from_when_it_knows():
    """A line that flaps for years, and names that come from outside."""
    lines = Lines(sources_max=1)
    for k in range(5_000):
        lines.state(k, "connected" if k % 2 else "disconnected")
    lines.beat(5_000, source="another")

    assert ["plc"] == [s.source for s in lines.sources.every()]
    early = lines.sources.coverage("plc", START_NS, START_NS + 10 * S)
    late = lines.sources.coverage("plc", START_NS + 4_000 * S, START_NS + 4_001 * S)
    assert (START_NS + 904 * S, ()) == (early.known_from_ns, early.holes)
    assert late.known_from_ns is None


def test_a_heartbeat_that_is_odd_breaks_nothing():
    """A writer with a token is not always a collector of ours."""
    lines = Lines()
    lines.sources.heard([{}, {"source": "plc"}, {"source": "plc", "time_ns": "7"}])
    lines.sources.heard([{"source": "plc", "time_ns": True}])
    lines.beat(10**8, interval_s="often", last_timestamp_ns=1.5, received=10**40)

    status = lines.sources.find("plc")
    assert 10.0 == status.interval_s
    assert {} == status.numbers
    assert 0 == lines.until()  # not in the future


def test_figures_of_sources_and_collectors():
    """Depths of a collector stand once, as the last of its sources told them."""
    lines = Lines()
    lines.beat(10, received=5, unsent_bytes=9, last_timestamp_ns=START_NS + 8 * S)
    lines.at(12)
    lines.beat(12, source="broker", received=7, unsent_bytes=3, clock_offset_ns=-5 * 10**8)
    lines.at(50)
    metrics = Metrics(10)
    metrics.watch_sources(lambda: figures(lines.sources.every(), lines.clock.ns))

    def value(name, **labels):
        return metrics.registry.get_sample_value(f"historian_{name}", labels)

    assert (5, 7) == tuple(value("source_received_total", source=s) for s in ("plc", "broker"))
    assert 3 == value("collector_unsent_bytes", collector="c")
    assert 2 == value("source_put_lag_seconds", source="plc")
    assert -0.5 == value("source_clock_offset_seconds", source="broker")
    assert 38 == value("source_heartbeat_age_seconds", source="broker")
    assert 0 == value("source_collected", source="plc")
