"""The plant with its doors open: OPC UA server, MQTT broker, paced by a clock."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from connectors.connector import Clock
from connectors.simulator.broker import Broker, start_broker
from connectors.simulator.config import LiveConfig, PlantConfig
from connectors.simulator.opcua_server import PlantServer
from connectors.simulator.output import Output, PlantEvent, PlantRows, Truth
from connectors.simulator.plant import Plant
from connectors.simulator.process import plant_nodes
from connectors.simulator.publisher import Publisher, provision_session

NAMESPACE = "urn:lighthouse:simulator"
COLLECTOR_CLIENT_ID = "lighthouse-line1"  # its messages wait for it from the first one on
_TOPICS = "plant/#"
_ROWS_WAITING_MAX = 200_000


class TruthFile:
    """The truth as JSON lines, appended; nothing without a path.

    Parameters
    ----------
    path : Path or None
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, truth: Truth) -> None:
        """Append one line."""
        if self._file is not None:
            self._file.write(truth.line())
            self._file.flush()


class LivePlant:
    """Runs a plant until cancelled.

    Parameters
    ----------
    config : LiveConfig
    clock : Clock
        Paces the plant and dates it.
    """

    def __init__(self, config: LiveConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._broker: Broker | None = None
        self._server = PlantServer(
            plant_nodes(),
            clock,
            namespace=NAMESPACE,
            port=config.opcua_port,
            queue_rows_max=_ROWS_WAITING_MAX,
        )

    async def run(self, ready: Callable[[str, Broker], None]) -> None:
        """Open the doors, call ``ready`` with the server's URL and the broker, and run.

        Raises
        ------
        SourceUnavailable
            When the broker does not start.
        OSError
            When the port of the OPC UA server is taken.
        """
        config = self._config
        broker = await start_broker(self._clock, port=config.mqtt_port, kind=config.broker)
        try:
            await provision_session(broker.port, COLLECTOR_CLIENT_ID, _TOPICS)
            publisher = Publisher(broker.port, "lighthouse-simulator")
            await publisher.start()
            try:
                await self._server.start()
                ready(self._server.url, broker)
                await self._play(publisher)
                await publisher.drained()
            finally:
                await publisher.stop()
                await self._server.stop()
        finally:
            await broker.stop()

    async def _play(self, publisher: Publisher) -> None:
        config = self._config
        start_ns = self._clock.now_ns() // 1_000_000_000 * 1_000_000_000
        plant = Plant(
            PlantConfig(
                seed=config.seed,
                start_ns=start_ns,
                boards_per_hour=config.boards_per_hour * config.speed,
            )
        )
        with TruthFile(config.truth_path) as truth:
            for item in plant.run():
                wait_ns = item.time_ns - self._clock.now_ns()
                if wait_ns > 0:
                    await self._clock.sleep(wait_ns / 1e9)
                await self._give(item, publisher, truth)

    async def _give(self, item: Output, publisher: Publisher, truth: TruthFile) -> None:
        if isinstance(item, PlantEvent):
            await publisher.publish(item.topic, item.body())
        elif isinstance(item, PlantRows):
            await self._server.play(item.rows)
        else:
            truth.write(item)
