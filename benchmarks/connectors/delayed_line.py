"""A TCP line with a round trip: a forwarder in a process of its own that holds every byte back."""

import asyncio
import contextlib
import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection

from benchmarks import harness


@contextlib.contextmanager
def delayed(port: int, round_trip_s: float, core: int) -> Iterator[int]:
    """Port of a line to a local port; each way takes half of the round trip, at any rate."""
    spawn = multiprocessing.get_context("spawn")
    conn, far = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(far, port, round_trip_s / 2, core), daemon=True)
    process.start()
    try:
        yield conn.recv()
    finally:
        process.kill()
        process.join()


def _serve(told: Connection, port: int, way_s: float, core: int) -> None:
    harness.pin({core})
    asyncio.run(_forward(told, port, way_s))


async def _forward(told: Connection, port: int, way_s: float) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(
            _pipe(reader, far_writer, way_s),
            _pipe(far_reader, writer, way_s),
            return_exceptions=True,
        )

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    told.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way_s: float) -> None:
    """Every piece leaves so long after it came; the line holds as much as is under way."""
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def leave() -> None:
        data = b"-"
        while data:
            due_s, data = await under_way.get()
            await asyncio.sleep(due_s - loop.time())
            writer.write(data)
        writer.close()

    leaving = asyncio.create_task(leave())
    data = b"-"
    while data:
        data = await reader.read(1 << 20)
        under_way.put_nowait((loop.time() + way_s, data))
    await leaving
