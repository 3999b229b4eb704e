"""Resident memory of the server while 10,000 tags are written at 1 Hz."""

import tempfile
import time
from pathlib import Path

import orjson

from benchmarks import harness
from benchmarks.datasets import plant
from historian.testing import ServerProcess


def resident_mb(pid: int) -> float:
    """VmRSS of one process, in MB of 10^6 bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def run(small: bool) -> list[harness.Figure]:
    """Measure: the greatest resident size seen, once a second."""
    tags, seconds = (200, 3) if small else (10_000, 600)
    scans = plant.scan(min(tags, 60), seconds)
    sizes: list[float] = []
    late = 0.0
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as home,
        ServerProcess(Path(home)) as server,
        server.client() as client,
    ):
        names = [f"bench/tag{i:05d}" for i in range(tags)]
        for name in names:
            answer = client.post("/v1/tags", json={"name": name, "type": "float64"})
            assert answer.status_code in {200, 201}, answer.text
        began = time.perf_counter()
        for second in range(seconds):
            at = [plant.START_NS + second * 1_000_000_000]
            values = scans[second].tolist()
            series = [
                {"tag": name, "time": at, "value": [values[i % len(values)]]}
                for i, name in enumerate(names)
            ]
            body = orjson.dumps({"time_unit": "ns", "series": series})
            answer = client.post("/v1/samples", content=body)
            assert answer.status_code == 200, answer.text
            sizes.append(resident_mb(server.pid))
            wait = began + second + 1 - time.perf_counter()
            late = max(late, -wait)
            time.sleep(max(0.0, wait))
    conditions = {
        "boundary": "server process, VmRSS once a second",
        "data": f"{tags} tags x 1 Hz x {seconds} s over HTTP columnar JSON, fsync each",
        "cores": "2",
        "worst_lateness_s": f"{late:.2f}",
    }
    figure = harness.Figure(
        "resident, 10,000 tags at 1 Hz", "MB", [max(sizes)], "", [], "< 300", conditions
    )
    return [figure]
