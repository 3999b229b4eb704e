"""Plays recordings through a real OPC UA server: a variable per item, times as recorded."""

from collections.abc import Callable, Sequence

from connectors.connector import Clock
from connectors.replay.pace import Pace
from connectors.replay.recording import Item, Recording
from connectors.simulator.node import Node, Row
from connectors.simulator.opcua_server import PlantServer
from storage_engine.sample import GOOD, ValueType

NAMESPACE = "urn:lighthouse:replay"
PLAYED = Item("played", ValueType.FLOAT64)
ROWS_WAITING_MAX = 50_000
_BATCH_ROWS = 1_000


def node_address(recording: str, item: str) -> str:
    """Node id of an item as a client names it."""
    return f"nsu={NAMESPACE};s={recording}/{item}"


class OpcUaPlayer:
    """A server with the items of some recordings, and one variable ``played`` per recording.

    ``played`` counts the samples sent; it is written behind them, so whoever has it has them.

    Parameters
    ----------
    recordings : sequence of Recording
    clock : Clock
    """

    def __init__(self, recordings: Sequence[Recording], clock: Clock) -> None:
        self._clock = clock
        self._first: dict[str, int] = {}
        nodes: list[Node] = []
        for recording in recordings:
            self._first[recording.name] = len(nodes)
            items = (*recording.items, PLAYED)
            nodes += [Node((recording.name,), item.name, item.type) for item in items]
        self._server = PlantServer(
            nodes, clock, namespace=NAMESPACE, keep=True, queue_rows_max=ROWS_WAITING_MAX
        )

    @property
    def url(self) -> str:
        """Endpoint of the running server."""
        return self._server.url

    @property
    def acknowledged(self) -> int:
        """Rows that the client has acknowledged."""
        return self._server.acknowledged

    async def start(self) -> None:
        """Listen."""
        await self._server.start()

    async def monitored(self) -> None:
        """Return when a client monitors every variable."""
        await self._server.monitored()

    async def play(
        self, recording: Recording, speed: float | None, sent: Callable[[int], None]
    ) -> int:
        """Send a recording and return when the client has acknowledged all of it.

        Parameters
        ----------
        recording : Recording
            One of those given at the start.
        speed : float or None
            Times as fast as recorded; None: as fast as the client takes it.
        sent : callable(count)
            Told of rows handed over.

        Returns
        -------
        int
            Rows sent.
        """
        pace = Pace(self._clock, speed)
        first = self._first[recording.name]
        batch: list[Row] = []
        total = 0
        for node, timestamp_ns, quality, value in recording.rows():
            ahead_s = pace.ahead_s(timestamp_ns)
            if len(batch) == _BATCH_ROWS or (ahead_s > 0 and batch):
                await self._server.play(batch)
                sent(len(batch))
                batch = []
            if ahead_s > 0:
                await self._clock.sleep(ahead_s)
            batch.append((first + node, timestamp_ns, quality, value))
            total += 1
        await self._server.play(batch)
        sent(len(batch))
        await self._server.drained()
        return total

    async def say_played(self, recording: Recording, count: int) -> int:
        """Write ``played``; return its time when the client has it."""
        node = self._first[recording.name] + len(recording.items)
        now_ns = self._clock.now_ns() // 1_000 * 1_000
        await self._server.play([(node, now_ns, GOOD, float(count))])
        await self._server.drained()
        return now_ns

    async def stop(self) -> None:
        """End the server."""
        await self._server.stop()
