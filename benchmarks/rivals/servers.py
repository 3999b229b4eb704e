"""Rivals that are servers: got by package name, started on loopback, asked over HTTP."""

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.parse
from pathlib import Path
from typing import Any

from benchmarks import places
from benchmarks.rivals.base import MissingError

GET_S = 600
START_S = 60

VICTORIA = "github.com/VictoriaMetrics/VictoriaMetrics"
VICTORIA_VERSION = "v0.0.0-20250718125606-9d9bea03485e"
INFLUX = "github.com/influxdata/influxdb/cmd/influxd"
INFLUX_VERSION = "v1.8.10"  # 1.9 and later want libflux, which is no Go module
QUESTDB = "org.questdb:questdb"
QUESTDB_VERSION = "9.3.4"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"


def victoria() -> Path:
    """The program of VictoriaMetrics, built as a Go tool is: a module that requires it."""
    package = f"{VICTORIA}/app/victoria-metrics"

    def make(folder: Path) -> None:
        _run(["go", "mod", "init", "bench.example/rivals"], folder)
        _run(["go", "get", "-tool", f"{package}@{VICTORIA_VERSION}"], folder)
        _run(["go", "build", "-o", "victoria-metrics", package], folder)

    return places.kept("got-victoria", VICTORIA_VERSION, make) / "victoria-metrics"


def influx() -> Path:
    """The program of InfluxDB."""

    def make(folder: Path) -> None:
        _run(["go", "install", f"{INFLUX}@{INFLUX_VERSION}"], folder, GOBIN=str(folder))

    return places.kept("got-influx", INFLUX_VERSION, make) / "influxd"


def questdb() -> Path:
    """The program of QuestDB, for Java 17 or newer."""
    if shutil.which("java") is None:
        raise MissingError("no java on the path")

    def make(folder: Path) -> None:
        artifact = f"-Dartifact={QUESTDB}:{QUESTDB_VERSION}"
        _run(["mvn", "-q", "-B", _COPY, artifact, f"-DoutputDirectory={folder}"], folder)

    return places.kept("got-questdb", QUESTDB_VERSION, make) / f"questdb-{QUESTDB_VERSION}.jar"


def _run(command: list[str], folder: Path, **environment: str) -> None:
    if shutil.which(command[0]) is None:
        raise MissingError(f"no {command[0]} on the path")
    given = {**os.environ, "GOFLAGS": "-mod=mod -buildvcs=false", **environment}
    try:
        done = subprocess.run(
            command, cwd=folder, env=given, capture_output=True, timeout=GET_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise MissingError(f"{' '.join(command[:3])}: not done in {GET_S} s") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise MissingError(f"{' '.join(command[:3])}: {said[-1] if said else done.returncode}")


class Server:
    """A child that answers on a port of loopback."""

    def __init__(self, command: list[str], port: int, home: Path, **environment: str) -> None:
        self.port = port
        with (home / "server.log").open("ab") as log:
            self._child = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=home, env={**os.environ, **environment}
            )
        self._link = http.client.HTTPConnection("127.0.0.1", port, timeout=GET_S)
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if self._child.poll() is not None:
                raise MissingError(f"the server ended with {self._child.returncode}")
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            time.sleep(0.1)
        self.stop()
        raise MissingError(f"the server does not answer after {START_S} s")

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._child.pid

    def ask(self, path: str, body: bytes | None = None, **query: object) -> bytes:
        """Body of an answer of 2xx."""
        url = f"{path}?{urllib.parse.urlencode(query)}" if query else path
        self._link.request("GET" if body is None else "POST", url, body)
        answer = self._link.getresponse()
        raw = answer.read()
        if answer.status // 100 != 2:
            raise RuntimeError(f"{path} answered {answer.status}: {raw[:300]!r}")
        return raw

    def json(self, path: str, **query: object) -> Any:
        """Parsed body."""
        return json.loads(self.ask(path, **query))

    def stop(self) -> None:
        """Let it end by itself, then end it."""
        self._link.close()
        self._child.terminate()
        try:
            self._child.wait(START_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pin(pid: int, cores: int) -> None:
    """Keep all threads of a server on so many cores."""
    allowed = sorted(os.sched_getaffinity(0))[:cores] if cores > 0 else os.sched_getaffinity(0)
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), allowed)
