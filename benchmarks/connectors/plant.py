"""A whole plant line: player, collector and server as processes, and what each of them costs."""

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from multiprocessing.connection import Connection
from pathlib import Path

from asyncua.crypto.cert_gen import (
    dump_private_key_as_pem,
    generate_private_key,
    generate_self_signed_app_certificate,
)
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from benchmarks.connectors.collecting import replayed
from benchmarks.connectors.delayed_line import delayed
from benchmarks.connectors.replay_server import NAMESPACE, Manner
from benchmarks.datasets import plant as recording
from connectors.opcua.certificates import Identity, make
from historian.clock import SystemClock
from historian.testing import ServerProcess

CLIENT_URI = "urn:lighthouse:historian:collector"
_TICKS = os.sysconf("SC_CLK_TCK")
_RULES = """
[[tag_rules]]
source = "*"
address = "(.+)"
name = "{source}/{1}"
"""
_COLLECTOR = """
[[collectors]]
name = "bench"
supervised = false
spool_path = "spool"
server_url = "{url}"
token_file = "{token}"

[[sources]]
name = "plc"
kind = "opcua"
collector = "bench"
[sources.settings]
url = "opc.tcp://127.0.0.1:{port}"
nodes = [{nodes}]
publish_requests = {requests}
{security}
"""


@dataclass(frozen=True)
class Cost:
    """What a run took: wall seconds, CPU seconds of collector and server, peak memory."""

    seconds: float
    collector_s: float
    server_s: float
    collector_bytes: int


def certificates(home: Path) -> tuple[bytes, bytes, str]:
    """Certificate and key of the player, and the collector's settings that trust it."""
    key = generate_private_key()
    names = {"commonName": "player"}
    others = [x509.UniformResourceIdentifier(NAMESPACE), x509.IPAddress(ip_address("127.0.0.1"))]
    usage = [ExtendedKeyUsageOID.SERVER_AUTH]
    certificate = generate_self_signed_app_certificate(key, "player", names, others, usage)
    own, trusted = home / "pki" / "own", home / "pki" / "trusted"
    for folder in (own, trusted):
        folder.mkdir(parents=True)
    make(own, Identity(CLIENT_URI, ("127.0.0.1",)), SystemClock().now_ns(), 30)
    der = certificate.public_bytes(Encoding.DER)
    (trusted / "player.der").write_bytes(der)
    settings = f'[sources.settings.security]\npki_path = "{home / "pki"}"'
    return der, dump_private_key_as_pem(key), settings


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def peak_bytes(pid: int) -> int:
    """Most memory that a process has had resident."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) * 1024


@contextlib.contextmanager
def _collecting(home: Path, text: str, core: int) -> Iterator[int]:
    config = home / "collector.toml"
    config.write_text(text)
    command = [sys.executable, "-m", "historian.collector", "--config", str(config), "--name"]
    with (home / "collector.log").open("wb") as log:
        process = subprocess.Popen([*command, "bench"], stderr=log, stdout=log)
    os.sched_setaffinity(process.pid, {core})
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _told(conn: Connection, word: str, seconds: float) -> None:
    assert conn.poll(seconds), f"the player does not say {word!r}"
    found = conn.recv()
    assert found == word, f"the player says {found!r}"


def line(
    home: Path,
    manner: Manner,
    cores: tuple[int, int],
    *,
    secure: bool = False,
    round_trip_s: float = 0.0,
    requests: int = 0,
) -> Cost:
    """Play a recording through a collector into a server that keeps it; every row is counted.

    Parameters
    ----------
    home : Path
        A new folder.
    manner : Manner
    cores : (int, int)
        Of the collector; of the server, the player and the delayed line.
    secure : bool
        Sign and encrypt.
    round_trip_s : float
    requests : int
        Publish requests in flight, 0 for the connector's own choice.
    """
    collector, others = cores
    security = ""
    if secure:
        certificate, key, security = certificates(home / "security")
        manner = Manner(manner.items, manner.cycles, manner.rows, manner.pace_s, certificate, key)
    server = ServerProcess(home / "server", _RULES)
    with contextlib.ExitStack() as stack:
        conn, port, _ = stack.enter_context(replayed(manner, others))
        if round_trip_s:
            port = stack.enter_context(delayed(port, round_trip_s, others))
        stack.callback(server.kill)
        server.start()
        for thread in Path(f"/proc/{server.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {others})
        nodes = ", ".join(f'"ns=2;s=tag{k}"' for k in range(manner.items))
        text = _COLLECTOR.format(
            url=server.url, token=server.token_file, port=port, nodes=nodes, requests=requests,
            security=security or 'security = "none"',
        )  # fmt: skip
        pid = stack.enter_context(_collecting(home, text, collector))
        _told(conn, "monitored", 600)
        time.sleep(2)  # the line is up
        before = cpu_s(pid), cpu_s(server.pid)
        start_s = time.monotonic()
        conn.send("begin")
        _told(conn, "acknowledged", 600)
        seconds = time.monotonic() - start_s
        _stored(server, manner.items * manner.cycles)
        cost = Cost(seconds, cpu_s(pid) - before[0], cpu_s(server.pid) - before[1], peak_bytes(pid))
        _whole(server, manner)
    return cost


def _stored(server: ServerProcess, rows: int) -> None:
    """Return when the server has stored every row."""
    deadline = time.monotonic() + 120
    with server.client() as client:
        while True:
            text = client.get("/metrics").text
            found = re.search(r'^\w*rows_total\{source="plc"\} (\S+)$', text, re.MULTILINE)
            if found and float(found[1]) >= rows:
                assert float(found[1]) == rows, f"got {found[1]} rows, want {rows}"
                return
            assert time.monotonic() < deadline, f"got {found and found[1]} rows, want {rows}"
            time.sleep(0.1)


def _whole(server: ServerProcess, manner: Manner) -> None:
    """Some tags over all have every value, and nothing is told as lost."""
    start_ns = recording.START_NS
    window = {"start": str(start_ns), "end": str(start_ns + 10**12)}
    with server.client() as client:
        for item in range(0, manner.items, max(1, manner.items // 20)):
            asked = {"tag": f"plc/nsu={NAMESPACE};s=tag{item}", "aggregate": "Count", **window}
            found = client.get("/v1/aggregates", params=asked).json()
            assert found["samples_used"] == [manner.cycles], found
        gaps = client.get("/v1/events/gap", params={"start": "now-1h"}).json()
        assert gaps["source"] == [], gaps
