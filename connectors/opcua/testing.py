"""A real OPC UA server and a line that can be cut, for tests of the client."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncua.server.standard_address_space  # noqa: F401 - else imported inside a coroutine
from asyncua import ua as asyncua_ua
from asyncua.server.server import Server

from connectors.connector import Clock, Connector, SourceUnavailable
from connectors.sink import Sink

ua: Any = asyncua_ua  # half of its names are not exported for type checkers

URI = "urn:lighthouse:test"
START = datetime(2016, 10, 1, tzinfo=UTC)
START_NS = int(START.timestamp()) * 1_000_000_000


class Plant:
    """A server with one folder of variables.

    Parameters
    ----------
    port : int
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.server = Server()
        self.nodes: dict[str, Any] = {}

    async def start(self, **variables: tuple[object, Any]) -> None:
        """Serve variables: name -> (value, VariantType)."""
        await self.server.init()
        self.server.set_endpoint(f"opc.tcp://127.0.0.1:{self.port}")
        index = await self.server.register_namespace(URI)
        folder = await self.server.nodes.objects.add_object(
            ua.NodeId("Line", index), ua.QualifiedName("Line", index)
        )
        for name, (value, type_) in variables.items():
            self.nodes[name] = await folder.add_variable(
                ua.NodeId(name, index), ua.QualifiedName(name, index), value, type_
            )
        await self.server.start()

    async def stop(self) -> None:
        """Close all sessions and stop listening."""
        await self.server.stop()

    async def write(
        self, name: str, value: object, type_: Any, step_s: float = 0.0, status: int = 0
    ) -> None:
        """Write a value, ``step_s`` after START."""
        moment = START + timedelta(seconds=step_s)
        data = ua.DataValue(ua.Variant(value, type_), ua.StatusCode(status), moment)
        await self.server.write_attribute_value(self.nodes[name].nodeid, data)

    def address(self, name: str) -> str:
        """Address of a variable."""
        return f"nsu={URI};s={name}"


def quick_settings(port: int, **more: object) -> dict[str, object]:
    """Give settings of a source that publishes often and notices loss soon."""
    return {
        "url": f"opc.tcp://127.0.0.1:{port}",
        "security": "none",
        "publishing_interval_ms": 20.0,
        "keepalive_s": 1.0,
        "request_timeout_s": 2.0,
        **more,
    }


@contextlib.asynccontextmanager
async def running(connector: Connector, sink: Sink) -> "AsyncIterator[asyncio.Task[None]]":
    """Run a connector within a block."""
    task = asyncio.create_task(connector.run(sink))
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, SourceUnavailable):
            await task


@contextlib.asynccontextmanager
async def collecting(connector: Connector, sink: Sink, clock: Clock) -> "AsyncIterator[None]":
    """Run a connector within a block, again whenever its source fails."""

    async def run() -> None:
        while True:
            with contextlib.suppress(SourceUnavailable):
                await connector.run(sink)
            await clock.sleep(0.02)

    task = asyncio.create_task(run())
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Cable:
    """A TCP forwarder that can be cut, taken away, or turned into a black hole.

    Parameters
    ----------
    port, target : int
        Where it listens and where it leads.
    """

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self._target = target
        self._writers: list[asyncio.StreamWriter] = []
        self._pipes: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._through = asyncio.Event()
        self._through.set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def cut(self) -> None:
        """Break every connection; new ones are possible at once."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers = []
        for pipe in self._pipes:
            pipe.cancel()

    def close(self) -> None:
        """Cut and stop listening; ``start`` mends it."""
        if self._server is not None:
            self._server.close()
        self.cut()

    def swallow(self) -> None:
        """Keep connections and take new ones, and let nothing through."""
        self._through.clear()

    def mend(self) -> None:
        """Let new connections through; what was swallowed stays lost, and so do its connections."""
        self.cut()
        self._through.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        await self._through.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        self._writers.append(far_writer)
        pipes = [
            asyncio.create_task(self._pipe(reader, far_writer)),
            asyncio.create_task(self._pipe(far_reader, writer)),
        ]
        self._pipes.update(pipes)
        await asyncio.gather(*pipes, return_exceptions=True)
        self._pipes.difference_update(pipes)

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                await self._through.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
