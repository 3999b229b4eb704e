"""A kit for tests: a collector of scripted sources, and a real HTTP server as its far side."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from connectors.connector import Clock, ConfigError, ConnectorStatus
from connectors.sink import Sink
from historian.clock import SystemClock
from historian.collector.host import Collector
from historian.config import CollectorConfig, SourceConfig, ThinningConfig
from storage_engine.frame import Frame, decode_frame, split_frames

TOKEN = "far-side-token"  # noqa: S105 - of tests only
INCARNATION = bytes(range(16))

_Key = tuple[bytes, int, int]


class FarSide:
    """Speaks just enough HTTP: POST /v1/frames and GET /v1/store.

    Attributes
    ----------
    frames : list of Frame
        Stored, each key once, in order of arrival.
    duplicates : int
        Frames that came again.
    bodies : list of int
        Frames of each body.
    refuse : set of (epoch, sequence)
        Frames that are answered as refused.
    fail_next : int
        So many requests are stored and then answered by closing the connection.
    """

    def __init__(self, incarnation: bytes = INCARNATION) -> None:
        self.incarnation = incarnation
        self.frames: list[Frame] = []
        self.duplicates = 0
        self.bodies: list[int] = []
        self.refuse: set[tuple[int, int]] = set()
        self.fail_next = 0
        self.port = 0
        self._keys: set[_Key] = set()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def positions(self) -> list[tuple[int, int]]:
        """(epoch, sequence) of stored frames in order of arrival."""
        return [(f.envelope.epoch, f.envelope.sequence) for f in self.frames]

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["FarSide"]:
        """Listen; on the same port again the next time."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])
        try:
            yield self
        finally:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                fields = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
                body = await reader.readexactly(int(fields.get("content-length", "0")))
                status, answer = self._answer(head[0], fields, body)
                if self.fail_next and body:
                    self.fail_next -= 1
                    break
                text = json.dumps(answer).encode()
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(text)))
                writer.write(text)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    def _answer(
        self, request: str, fields: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, object]]:
        if fields.get("authorization") != f"bearer {TOKEN}":
            return 401, {"error": "token"}
        store: dict[str, object] = {"incarnation": self.incarnation.hex()}
        if request.startswith("GET /v1/store"):
            return 200, store
        taken = [self._take(bytes(frame)) for frame in split_frames(body)]
        self.bodies.append(len(taken))
        return 200, {**store, "frames": taken}

    def _take(self, data: bytes) -> dict[str, object]:
        frame = decode_frame(data)
        envelope = frame.envelope
        key = (envelope.producer_id, envelope.epoch, envelope.sequence)
        told: dict[str, object] = {
            "producer": envelope.producer_id.hex(),
            "epoch": envelope.epoch,
            "sequence": envelope.sequence,
            "rows": envelope.row_count,
            "rejected": 0,
            "reason": None,
        }
        known = envelope.incarnation in {bytes(16), self.incarnation}
        if key[1:] in self.refuse or not known:
            return {**told, "status": "refused", "reason": "told to refuse"}
        if key in self._keys:
            self.duplicates += 1
            return {**told, "status": "duplicate"}
        self._keys.add(key)
        self.frames.append(frame)
        return {**told, "status": "stored"}


class Scripted:
    """A connector that plays what its settings say: ``play(sink, run)``, and then waits."""

    def __init__(self, name: str, settings: Mapping[str, Any], clock: Clock) -> None:
        if "wrong" in settings:
            raise ConfigError("cannot use setting wrong: got 1, want nothing")
        self._play: Callable[[Sink, int], Awaitable[None]] = settings["play"]
        self._runs = 0
        self.status: ConnectorStatus = settings.get("status") or ConnectorStatus()

    async def run(self, sink: Sink) -> None:
        """Play once more."""
        self._runs += 1
        await self._play(sink, self._runs)
        await asyncio.Event().wait()


def run_collector(
    folder: Path,
    until: Callable[[FarSide], object],
    *,
    clock: Clock | None = None,
    far: FarSide | None = None,
    keys: Mapping[str, Any] | None = None,
    rules: Mapping[str, tuple[ThinningConfig, ...]] | None = None,
    **plays: Mapping[str, Any],
) -> FarSide:
    """Collect from scripted sources until ``until(far)`` holds, then stop.

    Parameters
    ----------
    folder : Path
        Of the spool; the same one again goes on with it.
    until : callable
    clock : Clock, optional
    far : FarSide, optional
        The server of a run before.
    keys : mapping, optional
        More keys of the collector's configuration.
    rules : mapping, optional
        Source -> its thinning.
    **plays : mapping
        Source -> settings of its :class:`Scripted`.
    """
    (folder / "token").write_text(TOKEN)

    async def play() -> FarSide:
        server = far or FarSide()
        async with server.serving():
            wanted = {"linger_ms": 1, "frame_rows_max": 100, **(keys or {})}
            config = CollectorConfig(
                name="line1",
                spool_path=folder / "spool",
                server_url=server.url,
                token_file=folder / "token",
                sources=tuple(
                    SourceConfig(
                        name,
                        "scripted",
                        settings=settings,
                        thinning=(rules or {}).get(name, ()),
                    )
                    for name, settings in plays.items()
                ),
                **wanted,
            )
            stop = asyncio.Event()
            collector = Collector(config, clock or SystemClock(), {"scripted": Scripted})
            task = asyncio.create_task(collector.run(stop))
            async with asyncio.timeout(30):
                while not until(server):
                    await SystemClock().sleep(0.01)
            stop.set()
            await task
        return server

    return asyncio.run(play())
