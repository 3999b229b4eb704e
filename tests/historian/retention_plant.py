"""A historian on a disk in memory whose time of day and uptime one sets, for tests of retention."""

import asyncio

import numpy as np

from historian.catalog_records import TagDraft
from historian.clock import SystemClock
from historian.config import parse_config
from historian.genealogy.testing import Event
from historian.ingest import SeriesInput
from historian.retention_rules import RetentionClass
from historian.runtime import Historian
from query.request import RawRequest
from storage_engine.recording import RecordingFileSystem
from storage_engine.retention import DAY_NS
from storage_engine.sample import ColumnData, ValueType

SECOND_NS = 1_000_000_000
NOW = 20_000 * DAY_NS


class SetClock(SystemClock):
    """Time of day and uptime as they were set; sleeping is real and short."""

    def __init__(self):
        self.time_ns = NOW
        self.uptime_s = 0.0

    def now_ns(self):
        """Time of day."""
        return self.time_ns

    def monotonic_s(self):
        """Uptime."""
        return self.uptime_s

    async def sleep(self, seconds):
        """A moment."""
        await super().sleep(min(seconds, 0.02))

    def wait(self, seconds):
        """Both go on."""
        self.time_ns += int(seconds * 1e9)
        self.uptime_s += seconds


TABLES = {
    "store": {"path": "store", "free_bytes_min": 0},
    "retention": {"enabled": False, "hold_margin_s": 10.0},
    "stations": [
        {"name": "ST10", "tags": ["st10/*"]},
        {"name": "ST20", "tags": ["st20/torque"]},
    ],
}


class Plant:
    """A historian on a disk in memory, with ten days of samples of three tags."""

    def __init__(self, folder, **tables):
        self.clock = SetClock()
        self.fs = RecordingFileSystem()
        self.config = parse_config({**TABLES, **tables}, base=folder)

    def run(self, work):
        """Open, start, work, stop."""

        async def main():
            historian = Historian.open(self.config, self.clock, filesystem=self.fs)
            try:
                await historian.start()
                await work(historian)
            finally:
                await historian.stop()

        asyncio.run(main())

    async def write(self, historian, days=10, tags=("st10/force", "st20/torque", "hall/temp")):
        """A sample every tenth of a day, flushed day by day."""
        for tag in tags:
            if historian.catalog.find(tag) is None:
                historian.catalog.declare_tag(TagDraft(tag, ValueType.FLOAT64), "ann")
        for day in range(days - 1, -1, -1):
            time = NOW - day * DAY_NS - np.arange(10, 0, -1, dtype=np.int64) * (DAY_NS // 10)
            series = [
                SeriesInput(
                    tag,
                    time,
                    np.zeros(10, np.uint32),
                    ColumnData(ValueType.FLOAT64, np.arange(10.0)),
                )
                for tag in tags
            ]
            await historian.ingest.put_samples(series, "ann")
            await asyncio.to_thread(historian.engine.flush)

    async def visit(self, historian, unit, station, start_ns):
        """A unit at a station for eight seconds."""
        at = {"unit": unit, "station": station}
        for number, (kind, after_s) in enumerate(
            [("unit_arrived", 0), ("work_started", 2), ("work_completed", 6), ("unit_departed", 8)]
        ):
            event = Event(kind, start_ns + after_s * SECOND_NS, at, number)
            await historian.ingest.put_events(event.batch(), "mes")


def times(historian, tag):
    """Times of the samples that a tag has."""
    return historian.query.raw(RawRequest(tag, -DAY_NS, NOW + DAY_NS)).columns.timestamp_ns


def count(historian, tag):
    """Samples that a tag has."""
    return len(times(historian, tag))


async def until(done):
    """Wait for the historian's own round to do it."""
    for _ in range(500):
        if done():
            return
        await asyncio.sleep(0.02)
    raise TimeoutError("it never came")


def put(historian, name, days=None, bytes_max=None):
    """Make a class."""
    age_ns = None if days is None else int(days * DAY_NS)
    historian.retention.stored.put_class(RetentionClass(name, age_ns, bytes_max), "ann")
