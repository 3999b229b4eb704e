"""InfluxDB 1: TSM files; answers as JSON."""

import time as time_module
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import places
from benchmarks.rivals import servers
from benchmarks.rivals.base import Buckets, Columns, Floats, Ints

LINES = 100_000


class InfluxDB:
    """A server process on loopback."""

    boundary = "server process on loopback, HTTP and JSON to numpy"
    layout = 1

    def __init__(self) -> None:
        self._program = servers.influx()

    def version(self) -> str:
        """Of the Go module."""
        return servers.INFLUX_VERSION

    def open(self, home: Path) -> None:
        """Start on what is there; it reports to nobody."""
        port, other = servers.free_port(), servers.free_port()
        folder = home / "rival"
        settings = {
            "REPORTING_DISABLED": "true",
            "BIND_ADDRESS": f"127.0.0.1:{other}",
            "HTTP_BIND_ADDRESS": f"127.0.0.1:{port}",
            "HTTP_LOG_ENABLED": "false",
            "MONITOR_STORE_ENABLED": "false",
            "META_DIR": f"{folder}/meta",
            "DATA_DIR": f"{folder}/data",
            "DATA_WAL_DIR": f"{folder}/wal",
            "DATA_INDEX_VERSION": "tsi1",
            "DATA_CACHE_SNAPSHOT_WRITE_COLD_DURATION": "5s",
            "DATA_COMPACT_FULL_WRITE_COLD_DURATION": "5s",
        }
        given = {f"INFLUXDB_{name}": value for name, value in settings.items()}
        empty = home / "influx.conf"
        empty.write_text("")
        command = [str(self._program), "-config", str(empty)]
        self._server = servers.Server(command, port, home, **given)

    def load(self, home: Path, columns: Columns) -> None:
        """Line protocol; then the cache has gone cold and is in files, fully compacted."""
        self.open(home)
        self._server.ask("/query", b"", q='CREATE DATABASE "b" WITH SHARD DURATION 30d')
        for tag, (time, value) in enumerate(columns):
            for lines in _lines(tag, time, value):
                self._server.ask("/write", lines, db="b")
        before = -1
        while (now := places.size_of(home / "rival")) != before:
            before = now
            time_module.sleep(12)
        self.close()

    def threads(self, count: int) -> None:
        """By affinity."""
        servers.pin(self._server.pid, count)

    def size(self, home: Path) -> int:
        """Files and series index, without the log."""
        return places.size_of(home / "rival", without=("wal", "meta"))

    def close(self) -> None:
        """The server ends in order."""
        self._server.stop()

    def _ask(self, query: str) -> list[dict[str, Any]]:
        found = self._server.json("/query", db="b", epoch="ns", q=query)
        series: list[dict[str, Any]] = found["results"][0].get("series", [])
        return series

    def buckets(self, tags: Sequence[int], start_ns: int, end_ns: int, step_ns: int) -> Buckets:
        """GROUP BY time and tag."""
        among = " OR ".join(f"\"tag\" = '{tag}'" for tag in tags)
        found = self._ask(
            f"SELECT min(v), max(v), mean(v) FROM s WHERE ({among}) AND time >= {start_ns} AND "
            f"time < {end_ns} GROUP BY time({step_ns}ns, {start_ns % step_ns}ns), "
            f'"tag" fill(none)'
        )
        parts = sorted((int(one["tags"]["tag"]), one["values"]) for one in found)
        tag = np.repeat([t for t, _ in parts], [len(rows) for _, rows in parts])
        rows = [row for _, part in parts for row in part]
        start = np.array([row[0] for row in rows], np.int64)
        values = (np.array([row[k] for row in rows], np.float64) for k in (1, 2, 3))
        return Buckets(tag, start, *values)

    def raw(self, tag: int, start_ns: int, end_ns: int) -> tuple[Ints, Floats]:
        """Rows in order."""
        found = self._ask(
            f"SELECT v FROM s WHERE \"tag\" = '{tag}' AND time >= {start_ns} AND time < {end_ns}"
        )
        rows = found[0]["values"]
        time = np.array([row[0] for row in rows], np.int64)
        return time, np.array([row[1] for row in rows], np.float64)


def _lines(tag: int, time: Ints, value: Floats) -> Iterator[bytes]:
    for begin in range(0, len(time), LINES):
        part = slice(begin, begin + LINES)
        pairs = zip(time[part].tolist(), value[part].tolist(), strict=True)
        yield "\n".join([f"s,tag={tag} v={v!r} {t}" for t, v in pairs]).encode()
