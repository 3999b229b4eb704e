"""Start the simulated plant: ``python -m connectors.simulator --config-json '{...}'``.

Prints one JSON line when its doors are open, and ends on SIGINT, on SIGTERM, or when the pipe on
its standard input closes (the parent is gone).
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import stat
import sys
import time

from connectors.connector import ConnectorError
from connectors.simulator.broker import Broker
from connectors.simulator.config import LiveConfig, read_live_config
from connectors.simulator.live import NAMESPACE, LivePlant


class _WallClock:
    """The process's own clock: this is where it enters the simulator."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _say_ready(url: str, broker: Broker) -> None:
    facts = {"opcua_url": url, "namespace": NAMESPACE, "mqtt_port": broker.port}
    sys.stdout.write(json.dumps({**facts, "broker": broker.kind}) + "\n")
    sys.stdout.flush()


async def _parent_gone() -> None:
    """Return when the pipe on standard input closes; never when it is no pipe.

    A parent under uvloop gives its children one half of a socket pair instead.
    """
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        await asyncio.Event().wait()
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(4_096):
        pass


async def _run(config: LiveConfig) -> None:
    loop = asyncio.get_running_loop()
    plant = asyncio.create_task(LivePlant(config, _WallClock()).run(_say_ready))
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    watch = asyncio.create_task(_parent_gone())
    watch.add_done_callback(lambda _: told.set())
    end = asyncio.create_task(told.wait())
    await asyncio.wait({plant, end}, return_when=asyncio.FIRST_COMPLETED)
    # Cancelled once, however often we are told: a second time would cut the clearing up short.
    plant.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await plant


def main() -> int:
    """Read the arguments and run until told to end."""
    parser = argparse.ArgumentParser(prog="connectors.simulator", description=__doc__)
    parser.add_argument("--config-json", default="{}", help="settings, as in [simulator]")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    for chatty in ("asyncua", "amqtt"):  # they warn of what is meant here: no security, no users
        logging.getLogger(chatty).setLevel(logging.ERROR)
    try:
        asyncio.run(_run(read_live_config(arguments.config_json)))
    except (ConnectorError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
