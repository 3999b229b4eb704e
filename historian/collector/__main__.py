"""``python -m historian.collector --config historian.toml --name line1``: one collector process."""

import asyncio
import logging
import signal
import sys
from pathlib import Path

from historian.clock import SystemClock
from historian.collector.host import Collector
from historian.collector.supervisor import stdin_closed
from historian.config import CollectorConfig, load_config
from historian.errors import ConfigInvalid
from historian.memory import bound_allocator
from storage_engine.errors import StorageError

_USAGE = (
    "usage: python -m historian.collector --config FILE --name COLLECTOR"
    " [--base FOLDER] [--supervised]"
)
_EXIT_USAGE = 2
_EXIT_FAILED = 1

_log = logging.getLogger(__name__)


async def collect(config: CollectorConfig, *, supervised: bool) -> None:
    """Run a collector until a signal comes or, when supervised, the parent is gone.

    Parameters
    ----------
    config : CollectorConfig
    supervised : bool
        Whether stdin is a pipe held by the parent.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    parent = asyncio.create_task(stdin_closed()) if supervised else None
    if parent is not None:
        parent.add_done_callback(lambda _: stop.set())
    try:
        await Collector(config, SystemClock()).run(stop)
    finally:
        if parent is not None:
            parent.cancel()


def main(arguments: list[str]) -> int:
    """Read the arguments, run, and give the exit code."""
    bound_allocator()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for chatty in ("asyncua", "httpx", "httpcore", "connectors.mqtt.paho"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    supervised = "--supervised" in arguments
    rest = [word for word in arguments if word != "--supervised"]
    given = dict(zip(rest[::2], rest[1::2], strict=False))
    if len(rest) % 2 or set(given) - {"--base"} != {"--config", "--name"}:
        sys.stderr.write(f"{_USAGE}\n")
        return _EXIT_USAGE
    try:
        base = Path(given["--base"]) if "--base" in given else None
        config = load_config(Path(given["--config"]), base=base).collector(given["--name"])
    except ConfigInvalid as error:
        sys.stderr.write(f"{error}\n")
        return _EXIT_USAGE
    if config is None:
        sys.stderr.write(f"cannot start collector: got name {given['--name']!r}, want one in it\n")
        return _EXIT_USAGE
    try:
        asyncio.run(collect(config, supervised=supervised))
    except StorageError as error:
        _log.error("collector %s ends: %s", config.name, error)
        return _EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
