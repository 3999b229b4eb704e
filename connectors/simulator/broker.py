"""A real MQTT broker for the simulator and the replay: mosquitto when it is there, else embedded.

mosquitto runs as a child process with a configuration of its own, on the loopback, without
users. What it queues for a collector that is away is bounded.
"""

import asyncio
import getpass
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Protocol

from connectors.connector import Clock, SourceUnavailable

QUEUED_BYTES_MAX = 256 * 1024 * 1024
_START_TRIES = 100
_START_WAIT_S = 0.1
_STOP_TIMEOUT_S = 5.0
# As root it would change its user, and a process that does forgets whose death to follow.
_CONFIGURATION = """\
user {user}
listener {port} 127.0.0.1
allow_anonymous true
persistence false
log_type error
log_dest stderr
max_inflight_messages 0
max_queued_messages 0
max_queued_bytes {queued_bytes_max}
"""


class Broker(Protocol):
    """A running broker."""

    kind: str
    port: int

    async def stop(self) -> None:
        """End it; nothing of it stays behind."""
        ...


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def find_mosquitto() -> str | None:
    """Path of mosquitto; sbin is searched too, because a user's PATH often leaves it out."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


async def start_broker(clock: Clock, *, port: int = 0, kind: str = "auto") -> Broker:
    """Start a broker and return when it accepts connections.

    Parameters
    ----------
    clock : Clock
        For the waits between tries.
    port : int
        TCP port on 127.0.0.1; 0 takes a free one.
    kind : str
        ``mosquitto``, ``embedded``, or ``auto``: mosquitto when installed.

    Raises
    ------
    SourceUnavailable
        When the broker does not come up, or mosquitto is wanted and not installed.
    """
    port = port or free_port()
    path = find_mosquitto()
    if kind == "mosquitto" and path is None:
        msg = "cannot start broker: got no mosquitto on PATH, want it installed"
        raise SourceUnavailable(msg)
    if kind != "embedded" and path is not None:
        broker = Mosquitto(path, port)
        await broker.start(clock)
        return broker
    from connectors.simulator.embedded_broker import EmbeddedBroker

    embedded = EmbeddedBroker(port)
    await embedded.start()
    return embedded


class Mosquitto:
    """mosquitto as a child process.

    It is started through setpriv, where that exists, so that it ends with us even when we are
    killed; otherwise a killed simulator would leave the port taken.
    """

    kind = "mosquitto"

    def __init__(self, path: str, port: int) -> None:
        self.port = port
        self._path = path
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, clock: Clock) -> None:
        """Start and wait until it accepts connections."""
        self._folder = tempfile.TemporaryDirectory(prefix="historian-mosquitto-")
        configuration = Path(self._folder.name) / "mosquitto.conf"
        text = _CONFIGURATION.format(
            user=getpass.getuser(), port=self.port, queued_bytes_max=QUEUED_BYTES_MAX
        )
        await asyncio.to_thread(configuration.write_text, text)
        setpriv = shutil.which("setpriv")
        guard = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
        self._process = await asyncio.create_subprocess_exec(
            *guard,
            self._path,
            "-c",
            str(configuration),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(_START_TRIES):
            if self._process.returncode is not None:
                break
            if await _accepts(self.port):
                return
            await clock.sleep(_START_WAIT_S)
        assert self._process.stderr is not None
        await self._terminate()
        said = (await self._process.stderr.read(500)).decode(errors="replace").strip()
        await self.stop()
        msg = f"cannot start mosquitto: got {said or 'no answer'!r}, want a listener at {self.port}"
        raise SourceUnavailable(msg)

    async def _terminate(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def stop(self) -> None:
        """Terminate the child and remove its configuration."""
        await self._terminate()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
