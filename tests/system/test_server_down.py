"""The server is gone for ten minutes' worth of messages: the spool holds them, all arrive once."""

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time

import aiomqtt
import pytest

from historian.collector.spool_files import salvage
from historian.testing import ServerProcess, free_port
from storage_engine.frame import peek_envelope

KEYS = 20  # values of a message, each of a tag
MS = 1_000_000
TAG_RULES = """
[[tag_rules]]
source = "*"
address = "(.+)"
name = "{source}/{1}"
"""
COLLECTOR = """
[[collectors]]
name = "line1"
supervised = false
spool_path = "spool"
server_url = "{url}"
token_file = "{token}"

[[sources]]
name = "broker"
kind = "mqtt"
collector = "line1"
[sources.settings]
host = "127.0.0.1"
port = {port}
protocol = "5"
subscriptions = [{{ topic = "plant/#", qos = 1 }}]
[[sources.settings.mappings]]
topic = "plant/#"
kind = "samples"
time = {{ path = "ts", unit = "ms" }}
value = "v"
address = "{{key}}"
"""


class Plant:
    """mosquitto, a collector and a server, each a process that can be killed."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.base_ms = time.time_ns() // MS - 700_000
        self.server = ServerProcess(folder / "server", TAG_RULES)
        self.collector = None
        self.broker = None

    @contextlib.contextmanager
    def running(self):
        conf = self.folder / "mosquitto.conf"
        conf.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nlog_dest none\n"
            "max_queued_messages 0\nmax_inflight_messages 0\n"
        )
        self.broker = subprocess.Popen([shutil.which("mosquitto"), "-c", str(conf)])
        try:
            self.server.start()
            self.start_collector()
            until(lambda: self.links() == ["connected"])  # from now on the broker keeps for us
            yield self
        finally:
            for process in (self.collector, self.broker):
                process.kill()
                process.wait()
            self.server.kill()

    def start_collector(self):
        config = self.folder / "collector.toml"
        token = self.server.token_file
        config.write_text(COLLECTOR.format(url=self.server.url, token=token, port=self.port))
        command = ["-m", "historian.collector", "--config", str(config), "--name", "line1"]
        with (self.folder / "collector.log").open("a") as log:
            self.collector = subprocess.Popen([sys.executable, *command], stderr=log)

    def kill_collector(self):
        self.collector.send_signal(signal.SIGKILL)
        self.collector.wait()

    def publish(self, first, count):
        """Messages of 100 ms each, in order; the broker has them on return."""

        async def send():
            async with aiomqtt.Client("127.0.0.1", self.port) as client:
                client.pending_calls_threshold = 10_000
                for start in range(first, first + count, 200):
                    end = min(start + 200, first + count)
                    await asyncio.gather(*(self._send(client, n) for n in range(start, end)))

        asyncio.run(send())

    async def _send(self, client, n):
        values = {f"t{key}": n + key / 100 for key in range(KEYS)}
        said = {"ts": self.base_ms + 100 * n, "v": values}
        await client.publish("plant/line1", json.dumps(said), qos=1)

    def spooled_rows(self):
        """Rows in the spool's files, read as they are."""
        found = 0
        for path in sorted((self.folder / "spool/frames").glob("*.frames")):
            with contextlib.suppress(FileNotFoundError):
                frames, _ = salvage(path.read_bytes())
                found += sum(peek_envelope(frame).row_count for frame in frames)
        return found

    def ask(self, path, **parameters):
        with self.server.client() as client:
            return client.get(path, params=parameters).json()

    def links(self):
        return [one["link"] for one in self.ask("/v1/sources")["sources"]]

    def count(self, key=0):
        window = {"start": str(self.base_ms * MS), "end": "now"}
        found = self.ask("/v1/aggregates", tag=f"broker/t{key}", aggregate="Count", **window)
        return (found.get("Count") or [0])[0]

    def all_revisions(self, key):
        """(time, lsn, value) of a tag, page by page."""
        rows, more = [], None
        window = {"start": str(self.base_ms * MS), "end": str(time.time_ns())}
        asked = {**window, "max_count": 50_000}
        while True:
            token = {} if more is None else {"continuation": more}
            page = self.ask("/v1/raw", tag=f"broker/t{key}", revisions="all", **asked, **token)
            rows += zip(map(int, page["time"]), page["lsn"], page["value"], strict=True)
            more = page["continuation"]
            if more is None:
                return rows, page


def until(done, seconds=60.0):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.1)


def check_whole(plant, messages, keys):
    """Every message once, no later than its successor, and no gap was told."""
    for key in keys:
        rows, _ = plant.all_revisions(key)
        times = [(plant.base_ms + 100 * n) * MS for n in range(messages)]
        assert times == [row[0] for row in rows], "each once"
        assert [n + key / 100 for n in range(messages)] == [row[2] for row in rows]
        lsns = [row[1] for row in rows]
        assert sorted(lsns) == lsns, "in the order of the source"
    assert [messages] * KEYS == [plant.count(key) for key in range(KEYS)]
    events = plant.ask("/v1/events/gap", start="now-1h")
    assert [] == events["source"], events


def server_down(plant, messages):
    """The server is killed, the broker speaks on and is gone before the server is back."""
    live = 100
    plant.publish(0, live)
    until(lambda: plant.count() == live)
    until(lambda: plant.spooled_rows() == 0 or plant.count(KEYS - 1) == live)
    plant.server.kill()
    before = plant.spooled_rows()
    plant.publish(live, messages - live)
    until(lambda: plant.spooled_rows() >= before + (messages - live) * KEYS, 600.0)
    plant.broker.terminate()
    plant.broker.wait()
    plant.server.start()
    until(lambda: plant.count() == messages, 600.0)
    until(lambda: plant.count(KEYS - 1) == messages, 600.0)


broker_needed = pytest.mark.skipif(
    shutil.which("mosquitto") is None, reason="needs a broker that keeps sessions"
)


@broker_needed
def test_ten_minutes_without_a_server_arrive_once_and_in_order(tmp_path):
    """6,000 messages of 100 ms, 120,000 values, while nobody takes them; the broker keeps none."""
    messages = 6_000
    with Plant(tmp_path).running() as plant:
        server_down(plant, messages)

        check_whole(plant, messages, [0, KEYS - 1])
        (source,) = plant.ask("/v1/sources")["sources"]
        assert "broker" == source["source"]


@broker_needed
def test_a_collector_killed_while_the_server_is_down_loses_nothing_the_broker_had(tmp_path):
    """What was spooled and what was not, each once; the time that nobody collected is named."""
    messages, part = 3_000, 1_000
    with Plant(tmp_path).running() as plant:
        plant.publish(0, 10)
        until(lambda: plant.count() == 10)
        plant.server.kill()
        plant.publish(10, part)
        plant.kill_collector()
        killed_ns = time.time_ns()
        plant.publish(10 + part, messages - part - 10)
        plant.start_collector()
        started_ns = time.time_ns()
        plant.server.start()
        until(lambda: plant.count() == messages)
        until(lambda: plant.count(KEYS - 1) == messages)

        check_whole(plant, messages, [0, KEYS - 1])
        _, page = plant.all_revisions(0)
        (hole,) = [one for one in page["not_collected"] if one["link"] == "not_collected"]
        assert int(hole["start"]) <= killed_ns < started_ns < int(hole["end"])


@broker_needed
@pytest.mark.slow
@pytest.mark.timeout(3_000)
def test_more_than_a_million_values_without_a_server_arrive_once_and_in_order(tmp_path):
    """The long version: 60,000 messages, the spool and the log over many files."""
    messages = 60_000
    with Plant(tmp_path).running() as plant:
        plant.base_ms -= 100 * messages
        server_down(plant, messages)

        check_whole(plant, messages, [0, KEYS - 1])
