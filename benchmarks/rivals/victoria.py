"""VictoriaMetrics, single node: times in ms, values to about 12 digits; answers as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import places
from benchmarks.rivals import servers
from benchmarks.rivals.base import Buckets, Columns, Floats, Ints

MS_NS = 1_000_000


class VictoriaMetrics:
    """A server process on loopback."""

    boundary = "server process on loopback, HTTP and JSON to numpy"
    layout = 1

    def __init__(self) -> None:
        self._program = servers.victoria()

    def version(self) -> str:
        """Of the Go module."""
        return servers.VICTORIA_VERSION

    def open(self, home: Path) -> None:
        """Start on what is there; caches of answers off."""
        port = servers.free_port()
        command = [
            str(self._program),
            f"-storageDataPath={home / 'rival'}",
            f"-httpListenAddr=127.0.0.1:{port}",
            "-retentionPeriod=100y",
            "-search.disableCache",
            "-search.maxPointsPerTimeseries=1000000",
        ]
        self._server = servers.Server(command, port, home)

    def load(self, home: Path, columns: Columns) -> None:
        """JSON lines of a tag each; then flushed and merged."""
        self.open(home)
        for tag, (time, value) in enumerate(columns):
            line = {
                "metric": {"__name__": "s", "tag": str(tag)},
                "values": value.tolist(),
                "timestamps": (time // MS_NS).tolist(),
            }
            self._server.ask("/api/v1/import", json.dumps(line).encode())
        self._server.ask("/internal/force_flush")
        self._server.ask("/internal/force_merge")
        self.close()

    def threads(self, count: int) -> None:
        """By affinity."""
        servers.pin(self._server.pid, count)

    def size(self, home: Path) -> int:
        """Data and index, without caches."""
        return places.size_of(home / "rival", without=("cache",))

    def close(self) -> None:
        """The server ends in order."""
        self._server.stop()

    def buckets(self, tags: Sequence[int], start_ns: int, end_ns: int, step_ns: int) -> Buckets:
        """One rollup query; a window ends at its time, so ends are a millisecond early."""
        step_ms = step_ns // MS_NS
        found = self._server.json(
            "/api/v1/query_range",
            query=f'rollup(s{{tag=~"{"|".join(map(str, tags))}"}}[{step_ms}ms])',
            start=(start_ns // MS_NS + step_ms - 1) / 1000,
            end=(end_ns // MS_NS - 1) / 1000,
            step=f"{step_ms}ms",
            nocache=1,
        )
        series: dict[tuple[int, str], tuple[Ints, Floats]] = {}
        for one in found["data"]["result"]:
            rows = np.array(one["values"], np.float64)
            start = np.rint(rows[:, 0] * 1000).astype(np.int64) + 1 - step_ms
            labels = one["metric"]
            series[int(labels["tag"]), labels["rollup"]] = (start * MS_NS, rows[:, 1])
        known = sorted({tag for tag, _ in series})
        parts = [[series[tag, name] for tag in known] for name in ("min", "max", "avg")]
        counts = [len(start) for start, _ in parts[0]]
        joined = (np.concatenate([values for _, values in part]) for part in parts)
        starts = np.concatenate([start for start, _ in parts[0]])
        return Buckets(np.repeat(known, counts), starts, *joined)

    def raw(self, tag: int, start_ns: int, end_ns: int) -> tuple[Ints, Floats]:
        """Export lines of one tag, one a block, which come in no order."""
        body = self._server.ask(
            "/api/v1/export",
            **{"match[]": f'{{__name__="s",tag="{tag}"}}', "start": start_ns / 1e9,
               "end": (end_ns // MS_NS - 1) / 1000},
        )  # fmt: skip
        blocks = [json.loads(line) for line in body.splitlines()]
        time = np.concatenate([np.array(b["timestamps"], np.int64) for b in blocks]) * MS_NS
        value = np.concatenate([np.array(b["values"], np.float64) for b in blocks])
        order = np.argsort(time, kind="stable")
        return time[order], value[order]
